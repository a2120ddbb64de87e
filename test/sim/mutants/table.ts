// All mutants, one after the other, as a table.
import { allMutants } from "./all.ts";
import { hunt } from "./hunt.ts";

/** @param only part of a name or trap. @returns how many no seed found. */
export async function printTable({
  jobs,
  only,
  seedsMax,
}: {
  jobs: number;
  only: string;
  seedsMax: number;
}): Promise<number> {
  const chosen = allMutants.filter(({ name, trap }) => `${name} ${trap}`.includes(only));
  const nameWidth = Math.max(...chosen.map(({ name }) => name.length), 6);
  const trapWidth = Math.max(...chosen.map(({ trap }) => trap.length), 4);
  const line = (...cells: readonly string[]): void => {
    const [name = "", trap = "", ...rest] = cells;
    console.log([name.padEnd(nameWidth), trap.padEnd(trapWidth), ...rest].join("  "));
  };
  line("mutant", "trap", "  seed", "checker     ", "seconds");
  let missed = 0;
  for (const mutant of chosen) {
    const { seed, checker, seconds } = await hunt(mutant, { jobs, seedsMax });
    if (seed === undefined) missed++;
    const found = seed === undefined ? "  none" : String(seed).padStart(6);
    line(mutant.name, mutant.trap, found, checker.padEnd(12), seconds.toFixed(1).padStart(7));
  }
  const caught = chosen.length - missed;
  console.log(`${caught} of ${chosen.length} mutants caught within ${seedsMax} seeds each`);
  return missed;
}
