// All mutants as a table, several hunted at a time, told in the order of the list.
import { allMutants } from "./all.ts";
import { foundAt } from "./foundAt.ts";
import { type Find, hunt } from "./hunt.ts";

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
  const finds: (Find | undefined)[] = [];
  let [begun, told] = [0, 0];
  const tell = (): void => {
    for (let find = finds[told]; find !== undefined; find = finds[++told]) {
      const { name = "", trap = "" } = chosen[told] ?? {};
      const { seed, checker, seconds } = find;
      const found = seed === undefined ? "  none" : String(seed).padStart(6);
      line(name, trap, found, checker.padEnd(12), seconds.toFixed(1).padStart(7));
    }
  };
  // One thread each: a hunt ends with the first seed that finds its mutant, and most end at once.
  const work = async (): Promise<void> => {
    for (let at = begun++; at < chosen.length; at = begun++) {
      const mutant = chosen[at];
      if (mutant === undefined) return;
      finds[at] = await hunt(mutant, { jobs: 1, threads: jobs, seedsMax });
      tell();
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  const missed = finds.filter((find) => find?.seed === undefined).length;
  const caught = chosen.length - missed;
  chosen.forEach(({ name }, i) => {
    const seed = finds[i]?.seed;
    if (seed !== undefined && seed !== foundAt[name])
      console.log(`for foundAt.ts:  "${name}": ${seed},`);
  });
  console.log(`${caught} of ${chosen.length} mutants caught within ${seedsMax} seeds each`);
  return missed;
}
