// A cluster of one member per process, as `quorlet member` runs it: each can be killed and started again.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child } from "./child.ts";
import { serverEntry } from "./paths.ts";

const startTimeoutMs = 60_000;

/** One member, over all lives of its process. */
export interface MemberProcess {
  readonly name: string;
  readonly child: Child;
  /** host:port for clients; another one in each life. */
  readonly endpoint: string;
}

export interface MemberFlags {
  readonly name: string;
  readonly dataDir: string;
  readonly token?: string;
}

export class MemberProcesses implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "quorlet-members-"));
  readonly names: string[];
  readonly peerPorts: number[];
  /** Those that the cluster began with come first in `names`. */
  readonly #begunCount: number;
  readonly #members = new Map<string, MemberProcess>();
  readonly #children = new Set<Child>();

  private constructor(peerPorts: readonly number[]) {
    this.peerPorts = [...peerPorts];
    this.#begunCount = peerPorts.length;
    this.names = peerPorts.map((_, i) => `m${i + 1}`);
  }

  /** Resolves when every member knows a leader. */
  static async start(count = 3): Promise<MemberProcesses> {
    const processes = new MemberProcesses(await freePorts(count));
    try {
      await Promise.all(processes.names.map((name) => processes.run(name)));
    } catch (error) {
      await processes[Symbol.asyncDispose]();
      throw error;
    }
    return processes;
  }

  /** Names and peer ports, and no process yet. */
  static async unstarted(count: number): Promise<MemberProcesses> {
    return new MemberProcesses(await freePorts(count));
  }

  /** A name and a peer port for a member that is to be added to the running cluster. */
  async plan(): Promise<{ readonly name: string; readonly peerUrl: string }> {
    const [port = 0] = await freePorts(1);
    const name = `m${this.names.length + 1}`;
    this.names.push(name);
    this.peerPorts.push(port);
    return { name, peerUrl: `http://127.0.0.1:${port}` };
  }

  /** As `name` is told: who was added later knows all, the others those that they began with. */
  initialCluster(name: string): string {
    const count = this.#isAdded(name) ? this.names.length : this.#begunCount;
    const known = this.names.slice(0, count);
    return known.map((each, i) => `${each}=${this.peerUrl(i)}`).join(",");
  }

  #isAdded(name: string): boolean {
    return this.names.indexOf(name) >= this.#begunCount;
  }

  peerUrl(i: number): string {
    return `ws://127.0.0.1:${this.peerPorts[i]}`;
  }

  member(name: string): MemberProcess {
    const found = this.#members.get(name);
    assert.ok(found, `${name} was started`);
    return found;
  }

  dataDir(name: string): string {
    return join(this.folder, name);
  }

  /** Starts a member, or starts it again; resolves when it knows a leader. */
  async run(name: string): Promise<MemberProcess> {
    const child = this.spawn({ name, dataDir: this.dataDir(name) });
    const ready = await child.line({
      pattern: /^ready ETCDCTL_ENDPOINTS=(\S+)$/,
      timeoutMs: startTimeoutMs,
    });
    const member = { name, child, endpoint: ready[1] ?? "" };
    this.#members.set(name, member);
    return member;
  }

  /** Starts a process and waits for nothing. */
  spawn(flags: MemberFlags): Child {
    const child = new Child({ command: process.execPath, args: this.args(flags) });
    this.#children.add(child);
    return child;
  }

  args({ name, dataDir, token = "mesh-test" }: MemberFlags): readonly string[] {
    return [
      ...[serverEntry, "member", "--name", name, "--data-dir", dataDir],
      ...["--initial-cluster", this.initialCluster(name), "--initial-cluster-token", token],
      ...["--initial-cluster-state", this.#isAdded(name) ? "existing" : "new"],
      ...["--listen-client", "127.0.0.1:0"],
    ];
  }

  /** What all processes printed, for failure messages. */
  get output(): string {
    return [...this.#members.values()]
      .map(({ name, child }) => `--- ${name}: ${child.ending ?? "running"}\n${child.output}`)
      .join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#children].map((child) => child.kill9()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Ports that were free a moment ago, all bound together so that they differ. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, "127.0.0.1", () => {
            const address = server.address();
            assert.ok(address !== null && typeof address === "object");
            resolve(address.port);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
