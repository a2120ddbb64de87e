// Piscina task: one simulator seed, from its first event to its verdict. It holds nothing afterwards.
import { runSeed, type Verdict } from "../test/sim/runSeed.ts";

export function judgeSeed(seed: number): Verdict {
  return runSeed(seed);
}
