// Piscina task: one simulator seed, from its first event to its verdict. It holds nothing afterwards.
import { withFocus } from "../test/sim/focus.ts";
import type { SeedTask } from "../test/sim/pool.ts";
import { runSeed, type Verdict } from "../test/sim/runSeed.ts";

export function judgeSeed({ seed, focus }: SeedTask): Verdict {
  return runSeed(seed, { odds: (drawn) => withFocus(drawn, focus) });
}
