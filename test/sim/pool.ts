// Seeds in the threads of a Piscina pool; verdicts come in the order in which they are ready.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Piscina } from "piscina";
import type { Verdict } from "./runSeed.ts";

export async function runPool(
  { from, count, jobs }: { from: number; count: number; jobs: number },
  onVerdict: (verdict: Verdict) => void,
): Promise<void> {
  const pool = new Piscina<number, Verdict>({
    ...workerFile(),
    name: "judgeSeed",
    minThreads: jobs,
    maxThreads: jobs,
    concurrentTasksPerWorker: 1,
    maxQueue: count,
  });
  try {
    const seeds = Array.from({ length: count }, (_, i) => from + i);
    await Promise.all(seeds.map(async (seed) => onVerdict(await pool.run(seed))));
  } finally {
    await pool.destroy();
  }
}

/** The compiled worker, or its source with what reads TypeScript in front. */
function workerFile(): { readonly filename: string; readonly execArgv?: string[] } {
  const compiled = new URL("../../workers/seed.js", import.meta.url);
  if (existsSync(compiled)) return { filename: compiled.href };
  const source = fileURLToPath(new URL("../../workers/seed.ts", import.meta.url));
  return { filename: source, execArgv: ["--import", "tsx"] };
}
