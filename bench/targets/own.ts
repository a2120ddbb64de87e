// Our own cluster in processes of its own: all members as threads of one, or one process for each.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BenchOptions } from "../options.ts";
import { ChildServer } from "./childProcess.ts";
import { freePorts } from "./ports.ts";
import type { Target } from "./target.ts";

const readyLine = /^ready ETCDCTL_ENDPOINTS=(\S+)$/;
/** Another process may take a peer port between our look and the member's listen. */
const startsMax = 3;

/** `quorlet dev`. */
export async function ownThreads(options: BenchOptions): Promise<Target> {
  const { members, memory } = options;
  const folder = memory ? undefined : dataFolder(options);
  const data = folder === undefined ? ["--memory"] : ["--data-dir", folder.path];
  const ports = Array<number>(members).fill(0).join(",");
  const server = new ChildServer(process.execPath, [
    ...[entry(), "dev", "--members", `${members}`, "--client-ports", ports, ...data],
  ]);
  return await targetOf(options.label ?? "quorlet", [server], folder);
}

/** `quorlet member`, joined by WebSocket. */
export async function ownProcesses(options: BenchOptions): Promise<Target> {
  if (options.memory) throw new Error("--transport ws keeps its data on disk: leave out --memory");
  for (let start = 1; ; start++) {
    try {
      return await startProcesses(options);
    } catch (error) {
      const isTaken = error instanceof Error && /in use|EADDRINUSE/.test(error.message);
      if (!isTaken || start === startsMax) throw error;
    }
  }
}

async function startProcesses(options: BenchOptions): Promise<Target> {
  const ports = await freePorts(options.members);
  const folder = dataFolder(options);
  const cluster = ports.map((port, i) => `m${i + 1}=ws://127.0.0.1:${port}`).join(",");
  const servers = ports.map(
    (_, i) =>
      new ChildServer(process.execPath, [
        ...[entry(), "member", "--name", `m${i + 1}`, "--initial-cluster", cluster],
        ...["--data-dir", join(folder.path, `m${i + 1}`), "--listen-client", "127.0.0.1:0"],
      ]),
  );
  return await targetOf(options.label ?? "quorlet ws", servers, folder);
}

async function targetOf(
  name: string,
  servers: readonly ChildServer[],
  folder: { remove(): void } | undefined,
): Promise<Target> {
  const close = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
    folder?.remove();
  };
  try {
    const lines = await Promise.all(servers.map((server) => server.ready(readyLine)));
    return {
      name,
      endpoints: lines.flatMap(([, list]) => list?.split(",") ?? []),
      pids: servers.map(({ pid }) => pid),
      sharesProcess: false,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The given folder stays; a temporary one goes. */
export function dataFolder({ dataDir }: { readonly dataDir?: string }): {
  readonly path: string;
  remove(): void;
} {
  const path = dataDir ?? mkdtempSync(join(tmpdir(), "quorlet-bench-"));
  const remove = () => rmSync(path, { recursive: true, force: true });
  return { path, remove: dataDir === undefined ? remove : () => {} };
}

function entry(): string {
  return fileURLToPath(new URL("../../bundle/main.js", import.meta.url));
}
