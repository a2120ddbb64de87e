// Whom the load goes to: a cluster in this process, or one that runs elsewhere.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster } from "../src/quorlet.ts";
import { EmbeddedCaller } from "./embedded.ts";
import type { Caller } from "./generator.ts";
import { ownCpuMs, processCpuMs } from "./machine.ts";
import type { BenchOptions } from "./options.ts";

export interface Target extends AsyncDisposable {
  readonly name: string;
  readonly endpoints: readonly string[];
  /** True when the generators' CPU time is part of `cpuMs` and must be taken off. */
  readonly sharesProcess: boolean;
  /** CPU time of the servers so far; undefined when their processes are not known. */
  cpuMs(): number | undefined;
  /** Opens a way in without sockets, where there is one. */
  embedded?(): Caller;
}

export async function openTarget(options: BenchOptions): Promise<Target> {
  const { endpoints, pids, label } = options;
  if (endpoints.length === 0) return await ownTarget(options);
  return foreignTarget(label ?? endpoints.join(","), endpoints, pids);
}

export function foreignTarget(
  name: string,
  endpoints: readonly string[],
  pids: readonly number[],
): Target {
  return {
    name,
    endpoints,
    sharesProcess: false,
    cpuMs: () =>
      pids.length === 0 ? undefined : pids.reduce((sum, pid) => sum + processCpuMs(pid), 0),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function ownTarget({ members, memory, dataDir, label }: BenchOptions): Promise<Target> {
  const removeDir = memory || dataDir ? undefined : mkdtempSync(join(tmpdir(), "quorlet-bench-"));
  const folder = dataDir ?? removeDir;
  const cluster = await Cluster.start({ members, ...(folder ? { dataDir: folder } : {}) });
  return {
    name: label ?? "quorlet",
    endpoints: cluster.endpoints,
    sharesProcess: true,
    cpuMs: ownCpuMs,
    embedded: () => new EmbeddedCaller(cluster.connect()),
    [Symbol.asyncDispose]: async () => {
      await cluster.close();
      if (removeDir) rmSync(removeDir, { recursive: true, force: true });
    },
  };
}
