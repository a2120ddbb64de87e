// Members in processes of their own that can be stopped and started again: ours and etcd's take the same
// command line.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ChildServer } from "./childProcess.ts";
import { findEtcd } from "./etcd.ts";
import { freePorts } from "./ports.ts";

/** Of each member a process, or of all of them one, which is ours. */
export type Shape = "processes" | "threads";

export interface Program {
  readonly name: string;
  /** Command and its first arguments. */
  readonly command: readonly [string, ...string[]];
  /** Behind the flags that all have. */
  readonly flags: readonly string[];
  /** In the first line that tells that a member serves. */
  readonly ready: RegExp;
}

/** Ours, and that of `--peer etcd` or `--peer etcd=path`. */
export function programsOf(peer: string | undefined): readonly Program[] {
  if (peer === undefined) return [ownProgram()];
  const [, path] = /^etcd(?:=(.+))?$/.exec(peer) ?? [];
  return [ownProgram(), etcdProgram(findEtcd(path))];
}

const entry = fileURLToPath(new URL("../../bundle/main.js", import.meta.url));

function ownProgram(): Program {
  return {
    name: "quorlet",
    command: [process.execPath, entry, "serve"],
    flags: [],
    ready: /^ready /,
  };
}

function etcdProgram({ path, version }: { path: string; version: string }): Program {
  return {
    name: `etcd ${version}`,
    command: [path],
    flags: [
      "--logger",
      "zap",
      "--log-outputs",
      "stderr",
      "--quota-backend-bytes",
      `${8 * 2 ** 30}`,
    ],
    ready: /ready to serve client requests/,
  };
}

export interface MembersOptions {
  readonly count: number;
  /** Beside those that every member needs. */
  readonly flags: readonly string[];
  readonly shape?: Shape;
}

export class Members implements AsyncDisposable {
  readonly folder: string;
  readonly #program: Program;
  readonly #ports: readonly number[];
  readonly #flags: readonly string[];
  readonly #shape: Shape;
  /** By member; of threads the first has them all. */
  readonly #servers: (ChildServer | undefined)[];

  private constructor(
    program: Program,
    ports: readonly number[],
    { flags, shape = "processes" }: MembersOptions,
  ) {
    this.folder = mkdtempSync(join(tmpdir(), "quorlet-bench-members-"));
    this.#program = program;
    this.#ports = ports;
    this.#flags = flags;
    this.#shape = program.name === "quorlet" ? shape : "processes";
    this.#servers = Array(ports.length / 2).fill(undefined);
  }

  /** Resolves when all serve. */
  static async start(program: Program, options: MembersOptions): Promise<Members> {
    const members = new Members(program, await freePorts(2 * options.count), options);
    try {
      for (const at of members.all) members.spawn(at);
      await Promise.all(members.#servers.map((server) => server?.ready(program.ready)));
    } catch (error) {
      await members[Symbol.asyncDispose]();
      throw error;
    }
    return members;
  }

  get all(): readonly number[] {
    return [...this.#servers.keys()];
  }

  endpoint(at: number): string {
    return `127.0.0.1:${this.#ports[2 * at]}`;
  }

  /** 0: it does not run. */
  pid(at: number): number {
    return this.#servers[at]?.pid ?? 0;
  }

  get pids(): readonly number[] {
    return this.all.map((at) => this.pid(at)).filter((pid) => pid !== 0);
  }

  /** The next life of a member; it is only begun. */
  spawn(at: number): void {
    if (this.#shape === "threads") {
      if (at === 0) this.#servers[0] = this.#threads();
      return;
    }
    const [command, ...first] = this.#program.command;
    const client = `http://${this.endpoint(at)}`;
    this.#servers[at] = new ChildServer(command, [
      ...[...first, "--name", `m${at}`, "--data-dir", join(this.folder, `m${at}`)],
      ...["--listen-client-urls", client, "--advertise-client-urls", client],
      ...["--listen-peer-urls", this.#peer(at), "--initial-advertise-peer-urls", this.#peer(at)],
      ...["--initial-cluster", this.all.map((n) => `m${n}=${this.#peer(n)}`).join()],
      ...["--initial-cluster-token", `catch-up-${this.#ports[0]}`],
      ...[...this.#flags, ...this.#program.flags],
    ]);
  }

  async stop(at: number, signal?: NodeJS.Signals): Promise<void> {
    await this.#servers[at]?.stop(signal);
    this.#servers[at] = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((at) => this.stop(at)));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #threads(): ChildServer {
    const ports = this.all.map((at) => this.#ports[2 * at]).join();
    return new ChildServer(process.execPath, [
      ...[entry, "dev", "--members", `${this.all.length}`, "--client-ports", ports],
      ...["--data-dir", this.folder],
    ]);
  }

  #peer(at: number): string {
    return `http://127.0.0.1:${this.#ports[2 * at + 1]}`;
  }
}
