// npm run bench -- put|range|txn|mixed [flags]: load on an own cluster or on --endpoints.
// With --against, both in turn: npm run bench -- put --against host:port,… --against-pids 1,2,3
import { Command, Option } from "commander";
import { compareTargets, ratioLine } from "./compare.ts";
import { machineFacts } from "./machine.ts";
import {
  type BenchOptions,
  benchFlags,
  count,
  endpointList,
  pidList,
  type Verb,
  verbs,
} from "./options.ts";
import { type BenchResult, jsonLine, machineLine, textLines } from "./report.ts";
import { runBench } from "./run.ts";
import { foreignTarget, openTarget, type Target } from "./target.ts";

interface MainOptions extends BenchOptions {
  readonly against: readonly string[];
  readonly againstPids: readonly number[];
  readonly againstLabel: string;
  readonly rounds: number;
}

await main();

async function main(): Promise<void> {
  const program = new Command("bench").description(
    "Load on a key-value cluster, and what it costs.",
  );
  for (const verb of verbs) {
    const command = program.command(verb).description(`load of ${verb} operations`);
    for (const flag of [...benchFlags(), ...compareFlags()]) command.addOption(flag);
    command.action(async (options: MainOptions) => await bench(verb, options));
  }
  try {
    await program.parseAsync();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}

function compareFlags(): readonly Option[] {
  return [
    endpointList("--against <list>", "host:port of another cluster, loaded in turn with the first"),
    pidList("--against-pids <list>", "its processes"),
    new Option("--against-label <text>", "its name in the report").default("the other"),
    count("--rounds <n>", "turns of each", 3),
  ];
}

async function bench(verb: Verb, options: MainOptions): Promise<void> {
  const machine = machineFacts();
  const print = (result: BenchResult) => {
    const lines = options.json ? [jsonLine(result, options, machine)] : textLines(result);
    for (const line of lines) console.log(line);
    if (Object.keys(result.errors).length > 0) process.exitCode = 1;
  };
  if (!options.json) console.log(machineLine(machine));
  await using target = await openTarget(options);
  if (options.against.length === 0) print(await runBench(verb, options, target));
  else await compare(verb, options, target, print);
}

async function compare(
  verb: Verb,
  options: MainOptions,
  first: Target,
  print: (result: BenchResult) => void,
): Promise<void> {
  const { against, againstPids, againstLabel, rounds } = options;
  const second = foreignTarget(againstLabel, against, againstPids);
  const comparison = await compareTargets({
    verb,
    options,
    first,
    second,
    rounds,
    onResult: print,
  });
  if (!options.json) console.log(ratioLine(comparison));
}
