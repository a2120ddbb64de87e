// One measured run: prefill, warm up, measure. The load is made in threads of a Piscina pool.
import { Piscina } from "piscina";
import { type LoadResult, type LoadTask, runLoad } from "./generator.ts";
import { latencyMs, sumOf } from "./histogram.ts";
import type { BenchOptions, Verb } from "./options.ts";
import type { BenchResult } from "./report.ts";
import type { Target } from "./target.ts";

/** The part of a run that one phase changes. */
type Phase = Pick<LoadTask, "verb" | "total" | "seed">;

export async function runBench(
  verb: Verb,
  options: BenchOptions,
  target: Target,
): Promise<BenchResult> {
  // Ports to the members start in this thread, so an embedded load is made here.
  const pool = options.embedded ? undefined : loadPool(options.generators);
  const phase = (part: Phase) => runPhase(pool, options, target, part);
  try {
    // A read of a missing key is cheaper than any real one.
    if (verb !== "put") await phase({ verb: "put", total: options.keySpace, seed: undefined });
    await phase({ verb, total: options.warmup, seed: options.seed + 1_000_000 });
    const cpuBeforeMs = target.cpuMs();
    const results = await phase({ verb, total: options.total, seed: options.seed });
    const cpuAfterMs = target.cpuMs();
    return summary(verb, options, target, results, { cpuBeforeMs, cpuAfterMs });
  } finally {
    await pool?.destroy();
  }
}

/** One thread per generator: they hold sockets, so nothing may stand still between their events. */
function loadPool(generators: number): Piscina<LoadTask, LoadResult> {
  return new Piscina<LoadTask, LoadResult>({
    filename: new URL("../workers/load.js", import.meta.url).href,
    name: "generateLoad",
    atomics: "disabled",
    minThreads: generators,
    maxThreads: generators,
    concurrentTasksPerWorker: 1,
  });
}

async function runPhase(
  pool: Piscina<LoadTask, LoadResult> | undefined,
  options: BenchOptions,
  target: Target,
  { verb, total, seed }: Phase,
): Promise<readonly LoadResult[]> {
  const { clients, conns, keySize, valSize, keySpace, serializable, reads, txnOps, compare } =
    options;
  const scenario = { keySize, valSize, keySpace, serializable, reads, txnOps, compare };
  const generators = pool ? Math.min(options.generators, clients) : 1;
  const tasks = Array.from({ length: generators }, (_, i): LoadTask => {
    const share = (count: number) => shareOf(count, i, generators);
    return {
      verb,
      scenario,
      // Each generator starts at another member.
      endpoints: target.endpoints.map(
        (_, n) => target.endpoints[(n + i) % target.endpoints.length] ?? "",
      ),
      conns: Math.max(1, share(conns)),
      clients: share(clients),
      total: share(total),
      seed: seed === undefined ? undefined : seed + i,
      firstKey: Math.floor((total / generators) * i),
    };
  });
  return await Promise.all(
    tasks.map((task) => (pool ? pool.run(task) : runEmbedded(task, target))),
  );
}

async function runEmbedded(task: LoadTask, target: Target): Promise<LoadResult> {
  const caller = target.embedded?.();
  if (caller === undefined) throw new Error("--embedded needs a cluster in this process");
  try {
    return await runLoad(task, [caller]);
  } finally {
    caller.close();
  }
}

/** Part `i` of `count` things dealt to `parts`. */
function shareOf(count: number, i: number, parts: number): number {
  return Math.floor((count * (i + 1)) / parts) - Math.floor((count * i) / parts);
}

interface CpuWindow {
  readonly cpuBeforeMs: number | undefined;
  readonly cpuAfterMs: number | undefined;
}

function summary(
  verb: Verb,
  options: BenchOptions,
  target: Target,
  results: readonly LoadResult[],
  { cpuBeforeMs, cpuAfterMs }: CpuWindow,
): BenchResult {
  const done = results.reduce((sum, { doneCount }) => sum + doneCount, 0);
  const elapsedMs = Math.max(...results.map((result) => result.elapsedMs));
  const loadCpuMs = results.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
  const errors: Record<string, number> = {};
  for (const [why, count] of results.flatMap((result) => [...result.errors])) {
    errors[why] = (errors[why] ?? 0) + count;
  }
  const perOperation = (ms: number) => (done === 0 ? 0 : (ms * 1000) / done);
  const bothMs =
    cpuBeforeMs === undefined || cpuAfterMs === undefined ? undefined : cpuAfterMs - cpuBeforeMs;
  const serverMs =
    bothMs === undefined ? undefined : bothMs - (target.sharesProcess ? loadCpuMs : 0);
  return {
    name: target.name,
    verb,
    clients: options.clients,
    conns: options.conns,
    done,
    errors,
    elapsedSec: elapsedMs / 1000,
    perSec: done / (elapsedMs / 1000),
    latencyMs: latencyMs(sumOf(results.map(({ histogram }) => histogram))),
    serverCpuUs: serverMs === undefined ? undefined : perOperation(serverMs),
    loadCpuUs: perOperation(loadCpuMs),
  };
}
