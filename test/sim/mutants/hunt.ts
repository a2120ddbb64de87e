// Seeds against one mutant, until a checker finds it: first the one that did so last time, then from 1 on.
import { runPool } from "../pool.ts";
import { foundAt } from "./foundAt.ts";
import { type Mutant, MutantTree } from "./mutant.ts";

/** A mutant that survives this many seeds is not found. */
export const mutantSeedsMax = 2_000;
/** A seed takes tenths of a second; one that works this long has been broken into going on for ever. */
const seedCpuMsMax = 30_000;

export interface Find {
  /** That of the last time if it found it again, else the lowest that did; undefined: none did. */
  readonly seed: number | undefined;
  readonly checker: string;
  readonly message: string;
  readonly seeds: number;
  readonly seconds: number;
}

export async function hunt(
  mutant: Mutant,
  {
    jobs,
    threads = jobs,
    seedsMax = mutantSeedsMax,
  }: { jobs: number; threads?: number; seedsMax?: number },
): Promise<Find> {
  const startedMs = performance.now();
  const tree = await MutantTree.create();
  let [seeds, seed] = [0, Number.POSITIVE_INFINITY];
  let [checker, message] = ["", ""];
  const onFound = (at: number, by: string, why: string): void => {
    if (at < seed) [seed, checker, message] = [at, by, why];
  };
  try {
    await tree.plant(mutant);
    const bounds = { threads, seedCpuMsMax, onHang: (at: number) => onFound(at, "hang", "no end") };
    const parts = { ...bounds, jobs, tree: tree.root, focus: mutant.focus };
    const lastTime = foundAt[mutant.name] ?? 1;
    for (const range of [
      { from: lastTime, count: Math.min(1, seedsMax) },
      { from: 1, count: seedsMax },
    ]) {
      if (seed !== Infinity) break;
      await runPool({ ...range, ...parts, isOver: () => seed !== Infinity }, (verdict) => {
        seeds++;
        const { violation } = verdict;
        if (violation) onFound(verdict.seed, violation.checker, violation.message);
      });
    }
  } finally {
    await tree.dispose();
  }
  const seconds = (performance.now() - startedMs) / 1000;
  return { seed: seed === Infinity ? undefined : seed, checker, message, seeds, seconds };
}
