// The simulator's command: many seeds at once, or one told line by line.
//   npm run sim -- --seeds 1000 --from 1 --jobs 2
//   npm run sim -- --seeds 2000 --budget 120    as many of them as fit into so many seconds
//   npm run sim -- --seed 17 --trace
//   npm run sim -- --mutants [--only "part of a name"] [--seeds 200]
import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { projectRoot } from "../support/paths.ts";
import { mutantSeedsMax } from "./mutants/hunt.ts";
import { printTable } from "./mutants/table.ts";
import { runPool } from "./pool.ts";
import { runSeed, type Verdict } from "./runSeed.ts";
import { Summary } from "./summary.ts";

const seedsDefault = 100;

process.exitCode = await main();

interface Range {
  readonly from: number;
  readonly count: number;
  readonly jobs: number;
  /** Seeds that have not begun after this time do not run; 0: all of them do. */
  readonly budgetSec: number;
}

/** @returns the exit code: 1 when a seed failed, 2 for flags that make no sense. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string" },
      from: { type: "string", default: "1" },
      jobs: { type: "string", default: String(availableParallelism()) },
      budget: { type: "string", default: "0" },
      seed: { type: "string" },
      trace: { type: "boolean", default: false },
      mutants: { type: "boolean", default: false },
      only: { type: "string", default: "" },
    },
  });
  const seeds = values.seeds ?? (values.mutants ? mutantSeedsMax : seedsDefault);
  const [count, from, jobs] = [Number(seeds), Number(values.from), Number(values.jobs)];
  const budgetSec = Number(values.budget);
  const one = values.seed === undefined ? from : Number(values.seed);
  const numbers = [count, from, jobs, one, budgetSec];
  if (!numbers.every((n) => Number.isSafeInteger(n) && n >= 0) || jobs === 0) {
    console.error("seeds, from, seed, jobs and budget (seconds) are whole numbers");
    return 2;
  }
  if (values.mutants) {
    const missed = await printTable({ jobs, only: values.only, seedsMax: count });
    return missed === 0 ? 0 : 1;
  }
  if (values.seed !== undefined) return runOne(one, values.trace);
  return await runMany({ from, count, jobs, budgetSec });
}

function runOne(seed: number, trace: boolean): number {
  const traceSink = trace ? (line: string) => void process.stdout.write(`${line}\n`) : undefined;
  const verdict = runSeed(seed, { traceSink });
  const summary = new Summary();
  summary.add(verdict);
  if (verdict.violation !== undefined) report(verdict);
  for (const line of summary.lines()) console.log(line);
  return verdict.violation === undefined ? 0 : 1;
}

async function runMany({ from, count, jobs, budgetSec }: Range): Promise<number> {
  const summary = new Summary();
  const startedMs = performance.now();
  const isOver = (): boolean => budgetSec > 0 && performance.now() - startedMs >= budgetSec * 1000;
  await runPool({ from, count, jobs, isOver }, (verdict) => {
    summary.add(verdict);
    if (verdict.violation !== undefined) report(verdict);
    showProgress(summary, count);
  });
  if (process.stderr.isTTY) process.stderr.write("\n");
  for (const line of summary.lines()) console.log(line);
  if (summary.seeds < count)
    console.log(`${summary.seeds} of the ${count} seeds fit into ${budgetSec} s`);
  return summary.failures === 0 && summary.missed.length === 0 ? 0 : 1;
}

/** Everything that one needs to see it again. */
function report({ seed, violation, odds }: Verdict): void {
  if (violation === undefined) return;
  const at = (violation.atUs / 1e6).toFixed(6);
  console.log(`seed ${seed} fails at ${at} s: ${violation.checker}: ${violation.message}`);
  console.log(`  commit ${commit()}; npm run sim -- --seed ${seed} --trace`);
  for (const line of odds) console.log(`  ${line}`);
  console.log(violation.stack.replace(/^/gm, "    "));
}

function commit(): string {
  const git = (...args: readonly string[]): string =>
    execFileSync("git", args, { cwd: projectRoot, encoding: "utf8" }).trim();
  try {
    return `${git("rev-parse", "--short", "HEAD")}${git("status", "--porcelain") && " and changes"}`;
  } catch {
    return "unknown";
  }
}

/** On a terminal one line that changes, elsewhere a line for each tenth. */
function showProgress(summary: Summary, count: number): void {
  const line = `${summary.seeds}/${count} seeds, ${summary.failures} failures, ${summary.speed()}`;
  if (process.stderr.isTTY) process.stderr.write(`\r${line}`);
  else if (summary.seeds % Math.ceil(count / 10) === 0) process.stderr.write(`${line}\n`);
}
