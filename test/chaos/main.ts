// Rounds of harm to real threads and files, from the command line. Needs a build.
//   npm run chaos -- --rounds 200 --from 1
//   npm run chaos -- --mutants [--only "part of a name"]
import { parseArgs } from "node:util";
import { chaosMutants, huntOnThreads, mutantRoundsMax } from "./mutants.ts";
import { describeFailure, describeRound } from "./report.ts";
import { describeResult, runRounds } from "./run.ts";

process.exitCode = await main();

/** @returns the exit code: 1 when a round failed, 2 for flags that make no sense. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "50" },
      from: { type: "string", default: "1" },
      mutants: { type: "boolean", default: false },
      only: { type: "string", default: "" },
    },
  });
  if (values.mutants) return await huntAll(values.only);
  const [rounds, from] = [Number(values.rounds), Number(values.from)];
  if (![rounds, from].every((n) => Number.isSafeInteger(n) && n >= 0)) {
    console.error("rounds and from are whole numbers");
    return 2;
  }
  const result = await runRounds({
    from,
    rounds,
    msMax: Number.POSITIVE_INFINITY,
    onRound: (report) => console.log(describeRound(report)),
  });
  console.log(describeResult(result));
  if (result.failed === undefined) return 0;
  console.log(describeFailure(result.failed));
  return 1;
}

/** @returns 1 when one is not found. */
async function huntAll(only: string): Promise<number> {
  let missed = 0;
  for (const mutant of chaosMutants.filter(({ name }) => name.includes(only))) {
    const { round, what, seconds } = await huntOnThreads(mutant);
    if (round === undefined) missed++;
    const found = round === undefined ? `not in ${mutantRoundsMax} rounds` : `round ${round}`;
    console.log(`${mutant.name} (${mutant.proves}): ${found}, ${seconds.toFixed(0)} s; ${what}`);
  }
  return missed === 0 ? 0 : 1;
}
