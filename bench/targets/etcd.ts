// A real etcd of the same size beside which we are measured.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ChildServer } from "./childProcess.ts";
import { freePorts } from "./ports.ts";
import type { Target } from "./target.ts";

const startsMax = 3;

/** @param path binary, or folder that holds it; else $QUORLET_ETCD, else the search path. */
export async function startEtcd(options: {
  readonly members: number;
  readonly path?: string;
}): Promise<Target> {
  const { path, version } = findEtcd(options.path);
  for (let start = 1; ; start++) {
    try {
      return await startMembers({ path, version, members: options.members });
    } catch (error) {
      const isTaken = error instanceof Error && /address already in use/.test(error.message);
      if (!isTaken || start === startsMax) throw error;
    }
  }
}

/** @param given binary, or folder that holds it; else $QUORLET_ETCD, else the search path. */
export function findEtcd(given = process.env.QUORLET_ETCD): { path: string; version: string } {
  const candidates = given === undefined ? ["etcd"] : [join(given, "etcd"), given];
  for (const path of candidates) {
    try {
      const text = execFileSync(path, ["--version"], { encoding: "utf8", stdio: "pipe" });
      const [, version] = /etcd Version: (\S+)/.exec(text) ?? [];
      if (version !== undefined) return { path, version };
    } catch {
      // The next one may be it.
    }
  }
  throw new Error(`no etcd at ${candidates.join(" or ")}: say --peer etcd=PATH or QUORLET_ETCD`);
}

async function startMembers(etcd: {
  readonly path: string;
  readonly version: string;
  readonly members: number;
}): Promise<Target> {
  const ports = await freePorts(2 * etcd.members);
  const numbers = [...Array(etcd.members).keys()];
  const client = (i: number) => `127.0.0.1:${ports[2 * i]}`;
  const peer = (i: number) => `http://127.0.0.1:${ports[2 * i + 1]}`;
  const folder = mkdtempSync(join(tmpdir(), "quorlet-bench-etcd-"));
  const servers = numbers.map(
    (i) =>
      new ChildServer(etcd.path, [
        ...["--name", `m${i}`, "--data-dir", join(folder, `m${i}`)],
        ...["--listen-client-urls", `http://${client(i)}`],
        ...["--advertise-client-urls", `http://${client(i)}`],
        ...["--listen-peer-urls", peer(i), "--initial-advertise-peer-urls", peer(i)],
        ...["--initial-cluster", numbers.map((n) => `m${n}=${peer(n)}`).join(",")],
        ...["--initial-cluster-token", `bench-${process.pid}-${ports[0]}`],
        ...["--logger", "zap", "--log-outputs", "stderr"],
      ]),
  );
  const close = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await Promise.all(servers.map((server) => server.ready(/ready to serve client requests/)));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    name: `etcd ${etcd.version}`,
    endpoints: numbers.map(client),
    pids: servers.map(({ pid }) => pid),
    sharesProcess: false,
    [Symbol.asyncDispose]: close,
  };
}
