// Seeds in the threads of a Piscina pool; verdicts come in the order in which they are ready.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { Piscina } from "piscina";
import { projectRoot } from "../support/paths.ts";
import type { Focus } from "./focus.ts";
import type { Verdict } from "./runSeed.ts";

/** Survivors of a seed are few; yet a nursery that is much larger than the caches costs more than it spares. */
const nurseryMegabytes = 96;
/**
 * How V8 compiles: each thread does all of it for itself, and for seconds only. A first, quick compiler as
 * soon as a function runs; the slow one later than usual, and while the thread waits for it: what runs beside
 * it would take the time from the other seeds, and what is made for less than was seen is thrown away again.
 */
const compilerFlags = [
  "--always-sparkplug",
  "--interrupt-budget=100000",
  "--no-concurrent-recompilation",
];
/** Between two looks at how long a seed has worked. */
const hangLookMs = 500;

/** What a thread is told. */
export interface SeedTask {
  readonly seed: number;
  readonly focus?: Focus | undefined;
}

export interface PoolOptions {
  readonly from: number;
  readonly count: number;
  readonly jobs: number;
  readonly focus?: Focus | undefined;
  /** Seeds that have not begun when this says so do not run. */
  readonly isOver?: () => boolean;
  /**
   * A seed for which its thread works longer than this is ended and told to `onHang`; without it seeds
   * take as long as they do. What others do on the machine does not count.
   */
  readonly seedCpuMsMax?: number;
  /** Threads of the process that work at the same time; `jobs` by default. */
  readonly threads?: number;
  readonly onHang?: (seed: number) => void;
  /** Where the simulator and what it runs lie; the project by default. */
  readonly tree?: string;
}

export async function runPool(
  options: PoolOptions,
  onVerdict: (verdict: Verdict) => void,
): Promise<void> {
  const { from, count, jobs, tree = projectRoot } = options;
  for (const flag of compilerFlags) setFlagsFromString(flag);
  const pool = new Piscina<SeedTask, Verdict>({
    ...workerFile(tree),
    name: "judgeSeed",
    minThreads: jobs,
    maxThreads: jobs,
    concurrentTasksPerWorker: 1,
    resourceLimits: { maxYoungGenerationSizeMb: nurseryMegabytes },
  });
  let isEnding = false;
  // A thread that was ended for taking too long gets a successor, which may find its tree gone.
  pool.on("error", (error: unknown) => {
    if (!isEnding) throw error;
  });
  let next = from;
  const work = async (): Promise<void> => {
    while (next < from + count && options.isOver?.() !== true) {
      const seed = next++;
      const verdict = await runOne(pool, seed, options);
      if (verdict === undefined) options.onHang?.(seed);
      else onVerdict(verdict);
    }
  };
  try {
    await Promise.all(Array.from({ length: jobs }, work));
  } finally {
    isEnding = true;
    await pool.destroy();
  }
}

/** @returns undefined when it took too long. */
async function runOne(
  pool: Piscina<SeedTask, Verdict>,
  seed: number,
  { seedCpuMsMax, focus, jobs, threads = jobs }: PoolOptions,
): Promise<Verdict | undefined> {
  if (seedCpuMsMax === undefined) return await pool.run({ seed, focus });
  // Node tells the time of all threads together: that of one is at most an equal share of it, as the
  // others may be at quicker seeds.
  const before = process.cpuUsage();
  const ending = new AbortController();
  const watch = setInterval(() => {
    const { user, system } = process.cpuUsage(before);
    if ((user + system) / 1_000 > seedCpuMsMax * threads) ending.abort();
  }, hangLookMs);
  try {
    return await pool.run({ seed, focus }, { signal: ending.signal });
  } catch (error) {
    if (ending.signal.aborted) return undefined;
    throw error;
  } finally {
    clearInterval(watch);
  }
}

/** The compiled worker, or its source with what reads TypeScript in front. */
function workerFile(tree: string): { readonly filename: string; readonly execArgv?: string[] } {
  const compiled = join(tree, ".build/workers/seed.js");
  if (existsSync(compiled)) return { filename: compiled };
  return {
    filename: join(tree, "workers/seed.ts"),
    execArgv: ["--import", import.meta.resolve("tsx")],
  };
}
