// The cluster under test as its tester sees it: a process that obeys, can be killed, and starts again
// on what it left on disk.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { projectRoot } from "../support/paths.ts";
import { memberNames, type Order, type Place, type Report } from "./orders.ts";
import type { Reachable } from "./reachable.ts";

/** Far above what a start takes, for a machine that is busy with something else. */
const startMsMax = 60_000;
/** Of what the process printed, in a failure. */
const keptLinesMax = 60;
/** Where the build is that runs. */
export const ownBuild = join(projectRoot, ".build");

interface Waiting {
  readonly resolve: (whom: string) => void;
  readonly reject: (error: Error) => void;
}

export class ClusterHandle implements Reachable, AsyncDisposable {
  readonly #dataDir = mkdtempSync(join(tmpdir(), "quorlet-chaos-"));
  readonly #waiting = new Map<number, Waiting>();
  readonly #lines: string[] = [];
  #process: ChildProcess | undefined;
  #places: readonly Place[] = [];
  readonly #everSeen = new Set<string>();
  readonly #entry: string;
  #lastId = 0;
  /** What went wrong that nobody ordered: threads that crashed, a process that ended. */
  readonly accidents: string[] = [];
  /** Lives of the process. */
  starts = 0;

  private constructor(build: string) {
    this.#entry = join(build, "test/chaos/clusterProcess.js");
    if (!existsSync(this.#entry)) throw new Error(`${this.#entry} is missing: npm run build`);
  }

  static async start(build = ownBuild): Promise<ClusterHandle> {
    const handle = new ClusterHandle(build);
    try {
      await handle.#start();
    } catch (error) {
      await handle[Symbol.asyncDispose]();
      throw error;
    }
    return handle;
  }

  /** Members come and go, but for the first ones. */
  get names(): readonly string[] {
    return this.#places.length === 0 ? memberNames : this.#places.map(({ name }) => name);
  }

  /** host:port of the members' client doors; empty while the process is down. */
  get endpoints(): readonly string[] {
    return this.#places.map(({ endpoint }) => endpoint);
  }

  /** Members that came after the first ones, over all lives. */
  get joined(): number {
    return Math.max(0, this.#everSeen.size - memberNames.length);
  }

  /** What the process printed lately. */
  get output(): string {
    return this.#lines.join("\n");
  }

  /** @returns whom it met. @throws when it cannot be carried out, also when the process ends first. */
  order(order: Order): Promise<string> {
    const child = this.#process;
    if (child === undefined || this.#places.length === 0) {
      return Promise.reject(new Error("the process is down"));
    }
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      // A failure to send is the end of the process, which is noticed elsewhere.
      child.send({ id, order }, () => {});
    });
  }

  /** SIGKILL in the middle of everything; resolves when the next life serves. */
  async killProcess(): Promise<string> {
    const pid = this.#process?.pid;
    await this.#kill();
    await this.#start();
    return `process ${pid}, then ${this.#process?.pid}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kill();
    rmSync(this.#dataDir, { recursive: true, force: true });
  }

  async #kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  async #start(): Promise<void> {
    const child = fork(this.#entry, [this.#dataDir], {
      execArgv: [],
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    this.#process = child;
    this.starts++;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on("line", (line) => this.#onLine(line));
    }
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`the cluster ${why}\n${this.output}`));
      const timer = setTimeout(() => fail(`is not there after ${startMsMax} ms`), startMsMax);
      child.on("message", (message) => {
        const report = message as Report;
        if (report.kind === "members") resolve();
        this.#onReport(report);
      });
      child.on("exit", (code, signal) => {
        clearTimeout(timer);
        fail(`ended with ${signal ?? code}`);
        this.#onExit(child, `the process ended first, with ${signal ?? code}`);
      });
      child.once("message", () => clearTimeout(timer));
    });
  }

  #onReport(report: Report): void {
    switch (report.kind) {
      case "members":
        this.#places = report.places;
        for (const { name } of report.places) this.#everSeen.add(name);
        break;
      case "crash":
        this.accidents.push(`${report.name} went down by itself: ${report.why}`);
        break;
      case "done":
        this.#waiting.get(report.id)?.resolve(report.whom);
        this.#waiting.delete(report.id);
        break;
      case "failed":
        this.#waiting.get(report.id)?.reject(new Error(report.why));
        this.#waiting.delete(report.id);
        break;
    }
  }

  #onExit(child: ChildProcess, how: string): void {
    this.#places = [];
    if (this.#process === child) this.accidents.push(how);
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(new Error(`${how}\n${this.output}`));
  }

  #onLine(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > keptLinesMax) this.#lines.shift();
  }
}
