// Members in processes of their own that can be stopped and started again: ours and etcd's take the same
// command line.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ChildServer } from "../targets/childProcess.ts";
import { freePorts } from "../targets/ports.ts";

export interface Program {
  readonly name: string;
  /** Command and its first arguments. */
  readonly command: readonly [string, ...string[]];
  /** Behind the flags that all have. */
  readonly flags: readonly string[];
  /** In the first line that tells that a member serves. */
  readonly ready: RegExp;
}

export function ownProgram(): Program {
  const entry = fileURLToPath(new URL("../../bundle/main.js", import.meta.url));
  return {
    name: "quorlet",
    command: [process.execPath, entry, "serve"],
    flags: [],
    ready: /^ready /,
  };
}

export function etcdProgram({ path, version }: { path: string; version: string }): Program {
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

export class Members implements AsyncDisposable {
  readonly folder: string;
  readonly #program: Program;
  readonly #ports: readonly number[];
  readonly #flags: readonly string[];
  readonly #servers: (ChildServer | undefined)[];

  private constructor(program: Program, ports: readonly number[], flags: readonly string[]) {
    this.folder = mkdtempSync(join(tmpdir(), "quorlet-catch-up-"));
    this.#program = program;
    this.#ports = ports;
    this.#flags = flags;
    this.#servers = Array(ports.length / 2).fill(undefined);
  }

  /** @param flags beside those that every member needs. Resolves when all serve. */
  static async start(
    program: Program,
    { count, flags }: { readonly count: number; readonly flags: readonly string[] },
  ): Promise<Members> {
    const members = new Members(program, await freePorts(2 * count), flags);
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

  /** The next life of a member; it is only begun. */
  spawn(at: number): void {
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

  async stop(at: number): Promise<void> {
    await this.#servers[at]?.stop();
    this.#servers[at] = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((at) => this.stop(at)));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #peer(at: number): string {
    return `http://127.0.0.1:${this.#ports[2 * at + 1]}`;
  }
}
