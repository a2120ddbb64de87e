// One measured run: prefill, warm up, measure. The load is made in threads of a Piscina pool.
import { Piscina } from "piscina";
import { type LoadResult, type LoadTask, runLoad, timelineMs } from "./load/generator.ts";
import { coarseBuckets, latencyMs, sumOf } from "./load/histogram.ts";
import { type Counters, countersOf } from "./measure/counters.ts";
import { machineFacts } from "./measure/machine.ts";
import { type MachineUsage, machineUsage, ownUsage, type ServerUsage } from "./measure/usage.ts";
import type { BenchOptions, LoadVerb } from "./options.ts";
import { type BenchResult, type ServerFigures, warningsOf } from "./result.ts";
import { rowName } from "./rows.ts";
import { serverUsage, type Target } from "./targets/target.ts";

export interface RunPlan {
  readonly verb: LoadVerb;
  readonly options: BenchOptions;
  readonly target: Target;
  readonly round: number;
  /** Keys are there already. */
  readonly isFilled: boolean;
  /** Looks at how far the measured part is, while it goes on. */
  readonly watch?: (done: () => number) => () => void;
}

/** The part of a run that one phase changes. */
interface Phase extends Pick<LoadTask, "verb" | "total" | "seed" | "ratePerSec"> {
  readonly progress: SharedArrayBuffer;
}

export async function runBench(plan: RunPlan): Promise<BenchResult> {
  const { verb, options, target } = plan;
  const { embedded, generators, keySpace, warmup, total, seed, rate } = options;
  // Ports to the members start in this thread, so an embedded load is made here.
  const pool = embedded ? undefined : loadPool(generators);
  const progress = new SharedArrayBuffer(4 * generators);
  const phase = (part: Omit<Phase, "progress">) =>
    runPhase(pool, options, target, { ...part, progress });
  const closed = { ratePerSec: 0 };
  try {
    // A read of a missing key is cheaper than any real one.
    if (!plan.isFilled) await phase({ verb: "put", total: keySpace, seed: undefined, ...closed });
    if (warmup > 0) await phase({ verb, total: warmup, seed: seed + 1_000_000, ...closed });
    new Int32Array(progress).fill(0);
    const before = await snapshot(target);
    const done = () => new Int32Array(progress).reduce((sum, n) => sum + n, 0);
    const stopWatching = plan.watch?.(done);
    const results = await phase({ verb, total, seed: seedOf(options), ratePerSec: rate });
    stopWatching?.();
    return summary(plan, results, { before, after: await snapshot(target) });
  } finally {
    await pool?.destroy();
  }
}

const seedOf = ({ sequential, seed }: BenchOptions): number | undefined =>
  sequential ? undefined : seed;

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
  { verb, total, seed, ratePerSec, progress }: Phase,
): Promise<readonly LoadResult[]> {
  const { clients, conns } = options;
  const { endpoints } = target;
  const generators = pool ? Math.min(options.generators, clients) : 1;
  const tasks = Array.from({ length: generators }, (_, i): LoadTask => {
    const share = (count: number) => shareOf(count, i, generators);
    return {
      ...{ verb, progress },
      scenario: options,
      client: options.client,
      generator: i,
      // Each generator starts at another member.
      endpoints: endpoints.map((_, n) => endpoints[(n + i) % endpoints.length] ?? ""),
      conns: Math.max(1, share(conns)),
      clients: share(clients),
      total: share(total),
      ratePerSec: ratePerSec / generators,
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

interface Snapshot {
  readonly atMs: number;
  readonly server: ServerUsage | undefined;
  readonly own: ServerUsage;
  readonly machine: MachineUsage;
  readonly counters: Counters | undefined;
}

interface Window {
  readonly before: Snapshot;
  readonly after: Snapshot;
}

async function snapshot(target: Target): Promise<Snapshot> {
  const counters = await countersOf(target.endpoints);
  return {
    ...{ atMs: performance.now(), counters },
    server: serverUsage(target),
    own: ownUsage(),
    machine: machineUsage(),
  };
}

function summary(plan: RunPlan, results: readonly LoadResult[], window: Window): BenchResult {
  const { verb, options, target, round } = plan;
  const latencies = sumOf(results.map((result) => result.latencies));
  const done = latencies.count;
  const startMs = Math.min(...results.map(({ startedAtMs }) => startedAtMs));
  const endMs = Math.max(...results.map(({ startedAtMs, elapsedMs }) => startedAtMs + elapsedMs));
  const elapsedSec = (endMs - startMs) / 1000;
  const loadCpuMs = results.reduce((sum, { usage }) => sum + usage.cpuMs, 0);
  const most = (of: (result: LoadResult) => number) => Math.max(...results.map(of));
  const result = {
    ...{ name: target.name, row: rowName(verb, options), verb, round, done, elapsedSec },
    clients: options.clients,
    conns: options.conns,
    errors: errorsOf(results),
    perSec: done / elapsedSec,
    latencyMs: latencyMs(latencies),
    buckets: coarseBuckets(latencies),
    timeline: { everyMs: timelineMs, counts: timelineOf(results, startMs) },
    server: serverFigures(target, window, { done, loadCpuMs }),
    load: {
      cpuUs: done === 0 ? 0 : (loadCpuMs * 1000) / done,
      busy: most(({ usage, elapsedMs }) => usage.cpuMs / elapsedMs),
      gcMs: results.reduce((sum, { usage }) => sum + usage.gcMs, 0),
      loopDelayP99Ms: most(({ usage }) => usage.loopDelayP99Ms),
      lateMsMax: most(({ usage }) => usage.lateMsMax),
    },
    ...foreign(target, window),
    ...{ options, machine: machineFacts() },
  };
  return { ...result, warnings: warningsOf(result, options) };
}

function errorsOf(results: readonly LoadResult[]): Readonly<Record<string, number>> {
  const errors: Record<string, number> = {};
  for (const [why, count] of results.flatMap((result) => [...result.errors])) {
    errors[why] = (errors[why] ?? 0) + count;
  }
  return errors;
}

function timelineOf(results: readonly LoadResult[], startMs: number): readonly number[] {
  const counts: number[] = [];
  for (const { timeline, startedAtMs } of results) {
    const shift = Math.round((startedAtMs - startMs) / timelineMs);
    timeline.forEach((count, i) => {
      counts[i + shift] = (counts[i + shift] ?? 0) + count;
    });
  }
  return Array.from(counts, (count) => count ?? 0);
}

function serverFigures(
  target: Target,
  { before, after }: Window,
  { done, loadCpuMs }: { readonly done: number; readonly loadCpuMs: number },
): ServerFigures | undefined {
  if (before.server === undefined || after.server === undefined || done === 0) return undefined;
  const systemMs = after.server.systemMs - before.server.systemMs;
  const allMs = after.server.userMs - before.server.userMs + systemMs;
  const serverMs = allMs - (target.sharesProcess ? loadCpuMs : 0);
  return {
    cpuUs: (serverMs * 1000) / done,
    systemUs: (systemMs * 1000) / done,
    rssMiB: after.server.rssMiB,
    ...counted(before.counters, after.counters, done),
  };
}

function counted(
  before: Counters | undefined,
  after: Counters | undefined,
  done: number,
): Partial<ServerFigures> {
  const more = (of: (counters: Counters) => number | undefined): number | undefined => {
    const [from, to] = [before && of(before), after && of(after)];
    return from === undefined || to === undefined ? undefined : to - from;
  };
  const syncs = more((counters) => counters.syncs);
  const entries = more((counters) => counters.entries);
  const gcSec = more((counters) => counters.gcSec);
  const { loopDelayP99Ms } = after ?? {};
  return {
    ...(syncs !== undefined && { syncs }),
    ...(syncs && { opsPerSync: done / syncs }),
    ...(entries && { opsPerEntry: done / entries }),
    ...(gcSec !== undefined && { gcMs: gcSec * 1000 }),
    ...(loopDelayP99Ms !== undefined && { loopDelayP99Ms }),
  };
}

function foreign(
  { sharesProcess }: Target,
  { before, after }: Window,
): Pick<BenchResult, "foreignCores" | "stealCores"> {
  const wallMs = after.atMs - before.atMs;
  const spent = (from: ServerUsage, to: ServerUsage) =>
    to.userMs + to.systemMs - from.userMs - from.systemMs;
  const stealCores = (after.machine.stealMs - before.machine.stealMs) / wallMs;
  if (before.server === undefined || after.server === undefined) {
    return { foreignCores: undefined, stealCores };
  }
  const ownMs = spent(before.own, after.own);
  const serverMs = sharesProcess ? 0 : spent(before.server, after.server);
  const busyMs = after.machine.busyMs - before.machine.busyMs;
  return { foreignCores: Math.max(0, busyMs - ownMs - serverMs) / wallMs, stealCores };
}
