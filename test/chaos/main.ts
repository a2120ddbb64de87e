// Rounds of harm to real threads and files, from the command line. Needs a build.
//   npm run chaos -- --rounds 200 --from 1
import { parseArgs } from "node:util";
import { describeFailure, describeRound } from "./report.ts";
import { describeResult, runRounds } from "./run.ts";

process.exitCode = await main();

/** @returns the exit code: 1 when a round failed, 2 for flags that make no sense. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "50" },
      from: { type: "string", default: "1" },
    },
  });
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
