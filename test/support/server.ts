// Quorlet as its users run it: `quorlet dev` in a process of its own, one port per member.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child } from "./child.ts";
import { serverEntry } from "./paths.ts";

/** From the start of the process to the answer of the last member. */
const startTimeoutMs = 60_000;

/** A running cluster that answers etcd's protocol: Quorlet, or the real one. */
export interface RunningCluster extends AsyncDisposable {
  readonly name: string;
  /** host:port of each member. */
  readonly endpoints: readonly string[];
  readonly pids: readonly number[];
  /** What it printed lately, for failure messages. */
  readonly output: string;
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly members?: number;
  /** Kept after the end; without it a temporary one is made and removed. */
  readonly dataDir?: string;
  readonly flags?: readonly string[];
}

export class Server implements RunningCluster {
  readonly name = "quorlet";
  readonly endpoints: readonly string[];
  readonly #child: Child;
  readonly #removeDir: string | undefined;

  private constructor(child: Child, endpoints: readonly string[], removeDir: string | undefined) {
    this.#child = child;
    this.endpoints = endpoints;
    this.#removeDir = removeDir;
  }

  /** @throws with the output of the process when it is not ready in time. */
  static async start({ members = 3, dataDir, flags = [] }: ServerOptions = {}): Promise<Server> {
    const removeDir = dataDir ? undefined : mkdtempSync(join(tmpdir(), "quorlet-server-"));
    const child = new Child({
      command: process.execPath,
      args: [
        serverEntry,
        "dev",
        "--members",
        `${members}`,
        "--data-dir",
        dataDir ?? removeDir ?? "",
        "--client-ports",
        Array(members).fill(0).join(","),
        ...flags,
      ],
    });
    try {
      const ready = await child.line({
        pattern: /^ready ETCDCTL_ENDPOINTS=(\S+)/,
        timeoutMs: startTimeoutMs,
      });
      return new Server(child, (ready[1] ?? "").split(","), removeDir);
    } catch (error) {
      await child.kill9();
      if (removeDir) rmSync(removeDir, { recursive: true, force: true });
      throw error;
    }
  }

  get pids(): readonly number[] {
    return [this.#child.pid];
  }

  get output(): string {
    return this.#child.output;
  }

  async stop(): Promise<void> {
    await this.#child.stop();
    this.#cleanUp();
  }

  /** As a power cut of the machine's processes: nothing gets a chance to tidy up. */
  async kill9(): Promise<void> {
    await this.#child.kill9();
    this.#cleanUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #cleanUp(): void {
    if (this.#removeDir) rmSync(this.#removeDir, { recursive: true, force: true });
  }
}
