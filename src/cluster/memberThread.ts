// One life of one member thread, seen from main: spawn, talk, stop, kill.
import { Worker } from "node:worker_threads";
import { ThreadGate } from "../base/threadGate.ts";
import type { FromMember, MemberThreadData, ToMember } from "./protocol.ts";
import { threadFile } from "./threadFile.ts";

/** A thread that does not leave by itself within this time is terminated. */
export const leaveMsMax = 3_000;
/** One that is in the middle of a batch has this long: a disk may be slow, the machine starved. */
export const batchMsMax = 60_000;
const insistEveryMs = 50;

export interface MemberThreadHooks {
  onMessage(message: FromMember): void;
  /** Called once, last. `error`: what the thread died of, if it threw. */
  onExit(error: Error | undefined): void;
}

export class MemberThread {
  readonly #worker: Worker;
  readonly #gate = new ThreadGate();
  readonly #exited: Promise<void>;
  #error: Error | undefined;

  constructor(data: Omit<MemberThreadData, "gate">, hooks: MemberThreadHooks) {
    this.#worker = new Worker(threadFile(import.meta.url), {
      workerData: { ...data, gate: this.#gate.cell } satisfies MemberThreadData,
      name: data.name,
      execArgv: process.execArgv.filter(isForThreads),
    });
    this.#worker.on("message", (message: FromMember) => hooks.onMessage(message));
    this.#worker.on("error", (error: unknown) => {
      this.#error = error instanceof Error ? error : new Error(String(error));
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.on("exit", () => {
        hooks.onExit(this.#error);
        resolve();
      });
    });
  }

  /** Ports within the message are transferred. */
  post(message: ToMember): void {
    const ports = message.kind === "peer" || message.kind === "client" ? [message.port] : [];
    this.#worker.postMessage(message, ports);
  }

  /** Orderly end; resolves when the thread is gone. */
  async stop({ handOver }: { readonly handOver: boolean }): Promise<void> {
    this.post({ kind: "stop", handOver });
    await this.#leave();
  }

  /** Crash: nothing is written that is not written yet. Resolves when the thread is gone. */
  async kill(): Promise<void> {
    this.post({ kind: "die" });
    await this.#leave();
  }

  async #leave(): Promise<void> {
    const endMs = performance.now() + batchMsMax;
    // Terminating a thread during a batch of its store would take the process down.
    const insist = (): void => {
      if (this.#gate.close() || performance.now() > endMs) void this.#worker.terminate();
      else timer = setTimeout(insist, insistEveryMs);
    };
    let timer = setTimeout(insist, leaveMsMax);
    await this.#exited;
    clearTimeout(timer);
  }
}

// Flags of a profiler or of the engine hold for threads too. Those that say what the process runs
// (`-e`, `--input-type`, `--import`) would make a thread refuse its file, or load it twice.
const isForThreads = (flag: string): boolean =>
  /^--(cpu|heap)-prof(-\w+=|$)|^--max-[\w-]+=/.test(flag);
