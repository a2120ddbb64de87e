// The commands of the benchmark: verbs of load, parts of the path, the whole table, and comparing files.
import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { tuneHeapOfThreads } from "../src/base/system.ts";
import { addCatchUp } from "./catchUp/command.ts";
import { addCheckPerf } from "./checkPerf.ts";
import { compareFiles, readResults } from "./compare.ts";
import { machineFacts } from "./measure/machine.ts";
import {
  type ApplyOptions,
  applyFlags,
  type BenchOptions,
  count,
  type LoadVerb,
  loadFlags,
  loadVerbs,
} from "./options.ts";
import { comparisons, sidesOf } from "./pairs.ts";
import { applyInThread } from "./path/applyPool.ts";
import { runPipeline } from "./path/pipeline.ts";
import { htmlReport } from "./report/html.ts";
import { ratioPicture } from "./report/picture.ts";
import { comparisonLines, machineLine, textLines } from "./report/table.ts";
import type { BenchResult } from "./result.ts";
import { Contest } from "./rounds.ts";
import { suiteRows } from "./rows.ts";
import { addScale } from "./scale/scale.ts";

type Output = Pick<BenchOptions, "json" | "report">;

/** @param args behind the command's name. */
export async function runBenchCommand(args: readonly string[], name = "bench"): Promise<void> {
  // As `quorlet dev` does for its members: threads started from here on.
  tuneHeapOfThreads();
  try {
    await benchCommand(name).parseAsync(args, { from: "user" });
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}

function benchCommand(name: string): Command {
  const program = new Command(name)
    .description("Load on a key-value cluster, and what it costs.")
    .helpCommand(false);
  for (const verb of loadVerbs) addLoad(program, verb);
  addSuite(program);
  addPath(program);
  addScale(program);
  addCatchUp(program);
  program
    .command("compare <first> <second>")
    .description("rows that two files of JSON lines share, run by run")
    .action((first: string, second: string) => print(compareFiles(first, second)));
  program
    .command("draw <files...>")
    .description("a page with drawings from files of JSON lines")
    .option("--report <file.html>", "where")
    .option("--picture <file.svg>", "the comparison alone, as a picture")
    .action((files: readonly string[], options: { report?: string; picture?: string }) => {
      const results = files.flatMap(readResults);
      const { report, picture } = options;
      if (report === undefined && picture === undefined)
        throw new Error("draw where? --report FILE.html or --picture FILE.svg");
      if (report !== undefined) write(report, results);
      if (picture !== undefined) writeFileSync(picture, ratioPicture(results));
    });
  addCheckPerf(program);
  return program;
}

function addLoad(program: Command, verb: LoadVerb): void {
  const command = program.command(verb).description(descriptions[verb]);
  for (const flag of loadFlags(verb)) command.addOption(flag);
  command.action(
    async (options: BenchOptions) =>
      await contest(options, async (open) => await open.play(verb, options)),
  );
}

const descriptions: Readonly<Record<LoadVerb, string>> = {
  put: "one key each",
  range: "one key each, or --prefix for many; linearizable or --serializable",
  "txn-put": "puts in transactions",
  "txn-mixed": "reads and puts, each in a transaction",
  mixed: "reads and puts",
  stm: "read, then write what nobody changed meanwhile",
  watch: "events at watchers, with puts in a closed loop",
  "watch-latency": "events at watchers, with puts at a fixed rate",
  "lease-keepalive": "renewals of leases, a stream for each client",
};

function addSuite(program: Command): void {
  const command = program.command("suite").description("the whole table, row by row");
  for (const flag of loadFlags("put")) command.addOption(flag);
  command
    .addOption(count("--scale <n>", "times the operations of each row", 1))
    .option("--only <text>", "rows whose name contains it");
  command.action(async (options: BenchOptions & { scale: number; only?: string }) => {
    const rows = suiteRows.filter(
      ({ verb }) => options.only === undefined || verb.includes(options.only),
    );
    await contest(options, async (open) => {
      for (const { verb, options: own } of rows) {
        const total = (own.total ?? options.total) * options.scale;
        await open.play(verb, { ...options, ...own, total });
      }
    });
  });
}

function addPath(program: Command): void {
  const apply = program
    .command("apply")
    .description("encoded commands into the state machine of one member; no network, no log");
  for (const flag of applyFlags()) apply.addOption(flag);
  apply.action(
    async (options: ApplyOptions) =>
      await rounds(options, (round) => applyInThread(options, round)),
  );
  const pipeline = program
    .command("pipeline")
    .description("propose, durable on a majority, applied, answered; without a door");
  for (const flag of loadFlags("pipeline")) pipeline.addOption(flag);
  pipeline.action(
    async (options: BenchOptions) =>
      await rounds({ ...options, rounds: 1 }, (round) => runPipeline(options, round)),
  );
}

async function rounds(
  options: Output & { readonly rounds: number },
  run: (round: number) => Promise<BenchResult>,
): Promise<void> {
  begin(options);
  const results: BenchResult[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const result = await run(round);
    results.push(result);
    show(options, result);
  }
  end(options, results);
}

async function contest(
  options: BenchOptions,
  play: (open: Contest) => Promise<void>,
): Promise<void> {
  begin(options);
  await using open = await Contest.open(options, (result) => show(options, result));
  await play(open);
  end(options, open.results);
}

function begin({ json }: Output): void {
  if (!json) console.log(machineLine(machineFacts()));
}

function show({ json }: Output, result: BenchResult): void {
  print(json ? [JSON.stringify(result)] : textLines(result));
  if (Object.keys(result.errors).length > 0) process.exitCode = 1;
}

function end({ json, report }: Output, results: readonly BenchResult[]): void {
  const [first = [], second = []] = sidesOf(results);
  if (!json && second.length > 0) print(["", ...comparisonLines(comparisons(first, second))]);
  if (report !== undefined) write(report, results);
}

function write(file: string, results: readonly BenchResult[]): void {
  writeFileSync(file, htmlReport(results, `quorlet bench ${process.argv.slice(2).join(" ")}`));
}

function print(lines: readonly string[]): void {
  for (const line of lines) console.log(line);
}
