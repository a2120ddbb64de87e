// The real etcd beside which Quorlet is judged; 3.5 or newer, from $QUORLET_ETCD (a folder) or the path.
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server as NetServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { Child } from "./child.ts";
import type { RunningCluster } from "./server.ts";

const run = promisify(execFile);
const startTimeoutMs = 60_000;
/** Another process may take a port between our look and etcd's listen. */
const startAttemptsMax = 3;

export interface EtcdBinary {
  readonly path: string;
  /** As printed: "3.5.30". */
  readonly version: string;
}

/** @returns undefined when this machine has none, or only one before 3.5. */
export function findEtcd(): EtcdBinary | undefined {
  const folder = process.env.QUORLET_ETCD;
  const path = folder ? join(folder, "etcd") : "etcd";
  try {
    const text = execFileSync(path, ["--version"], { encoding: "utf8", stdio: "pipe" });
    const version = /etcd Version: (\S+)/.exec(text)?.[1] ?? "";
    const [major = 0, minor = 0] = version.split(".").map(Number);
    return major === 3 && minor >= 5 ? { path, version } : undefined;
  } catch {
    return undefined;
  }
}

/** The tool beside it that works on files. */
export const etcdutlOf = ({ path }: EtcdBinary): string => join(dirname(path), "etcdutl");

/** Reason to give when a test is skipped for want of a real etcd. */
export const noEtcdReason = "no etcd 3.5 in $QUORLET_ETCD or on the path";

export interface EtcdOptions {
  readonly binary: EtcdBinary;
  readonly members?: number;
  readonly flags?: readonly string[];
  /** A file of `etcdctl snapshot save`, from which its members begin. */
  readonly snapshot?: string;
}

export class Etcd implements RunningCluster {
  readonly name: string;
  readonly endpoints: readonly string[];
  readonly #children: Child[];
  readonly #folder: string;
  /** Binary, and the members that the cluster began with. */
  readonly #begun: { readonly path: string; readonly cluster: string };

  private constructor(
    name: string,
    endpoints: readonly string[],
    children: Child[],
    { folder, ...begun }: { folder: string; path: string; cluster: string },
  ) {
    this.name = name;
    this.endpoints = endpoints;
    this.#children = children;
    this.#folder = folder;
    this.#begun = begun;
  }

  /** @throws with the output of the members when they are not ready in time. */
  static async start(options: EtcdOptions): Promise<Etcd> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await Etcd.#startOnce(options);
      } catch (error) {
        const portTaken = error instanceof Error && /address already in use/.test(error.message);
        if (!portTaken || attempt === startAttemptsMax) throw error;
      }
    }
  }

  static async #startOnce(options: EtcdOptions): Promise<Etcd> {
    const { binary, members = 1, flags = [], snapshot } = options;
    const ports = await freePorts(2 * members);
    const peer = (i: number) => `http://127.0.0.1:${ports[2 * i + 1]}`;
    const endpoint = (i: number) => `127.0.0.1:${ports[2 * i]}`;
    const numbers = [...Array(members).keys()];
    const folder = mkdtempSync(join(tmpdir(), "quorlet-etcd-"));
    const cluster = numbers.map((n) => `m${n}=${peer(n)}`).join(",");
    const identity = (i: number): readonly string[] => [
      ...["--name", `m${i}`, "--data-dir", join(folder, `m${i}`)],
      ...["--initial-advertise-peer-urls", peer(i), "--initial-cluster", cluster],
    ];
    if (snapshot !== undefined) {
      const restore = (i: number): Promise<unknown> =>
        run(etcdutlOf(binary), ["snapshot", "restore", snapshot, ...identity(i)]);
      await Promise.all(numbers.map(restore));
    }
    const children = numbers.map(
      (i) =>
        new Child({
          command: binary.path,
          args: [
            ...identity(i),
            ...["--listen-client-urls", `http://${endpoint(i)}`],
            ...["--advertise-client-urls", `http://${endpoint(i)}`],
            ...["--listen-peer-urls", peer(i)],
            ...["--logger", "zap", "--log-outputs", "stderr", ...flags],
          ],
        }),
    );
    const etcd = new Etcd(`etcd ${binary.version}`, numbers.map(endpoint), children, {
      ...{ folder, path: binary.path, cluster },
    });
    try {
      const pattern = /ready to serve client requests/;
      await Promise.all(children.map((c) => c.line({ pattern, timeoutMs: startTimeoutMs })));
      return etcd;
    } catch (error) {
      await etcd.kill9();
      throw error;
    }
  }

  /** A member that may be added, and how it is started then. */
  async plan(): Promise<{ name: string; peerUrl: string; run: () => Promise<unknown> }> {
    const [client, peer] = await freePorts(2);
    const name = `m${this.#children.length + 1}`;
    const peerUrl = `http://127.0.0.1:${peer}`;
    const run = (): Promise<unknown> => {
      const clientUrl = `http://127.0.0.1:${client}`;
      const child = new Child({
        command: this.#begun.path,
        args: [
          ...["--name", name, "--data-dir", join(this.#folder, name)],
          ...["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl],
          ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
          ...["--initial-cluster", `${this.#begun.cluster},${name}=${peerUrl}`],
          ...["--initial-cluster-state", "existing", "--logger", "zap", "--log-outputs", "stderr"],
        ],
      });
      this.#children.push(child);
      // A learner serves next to nothing, but it says that it does.
      return child.line({ pattern: /ready to serve client requests/, timeoutMs: startTimeoutMs });
    };
    return { name, peerUrl, run };
  }

  get pids(): readonly number[] {
    return this.#children.map((child) => child.pid);
  }

  get output(): string {
    return this.#children.map((child) => child.output).join("\n");
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop()));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async kill9(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill9()));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** An oracle has nothing to tidy up, and three of them take seconds for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill9();
  }
}

/** All are held open until the last one is known, so that they differ. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(Array.from({ length: count }, listenAnywhere));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

function listenAnywhere(): Promise<NetServer> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(server));
  });
}
