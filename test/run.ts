// The test command: lists the test files, hands them to Node's own runner, says what was left out.
//   node .build/test/run.js [part-of-a-path ...] [--rewrite] [--seed N]
// Built, it runs what is built: three threads of a cluster start several times faster than through tsx.
// `tsx test/run.ts` does the same with the source as it is.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { costsVariable, type FileCost } from "./support/eachFile.ts";
import { projectRoot, runnable } from "./support/paths.ts";

/** Files that run at the same time; the machines have two cores. */
const concurrentFilesMax = 2;
/** A file that takes longer is taken for hung: it is ended and named. The longest takes half of it. */
const fileTimeoutMs = 300_000;
/** Files that the closing lines name, by the time they took. */
const slowestShown = 10;

interface Skipped {
  readonly name: string;
  readonly reason: string;
}

const isBuilt = import.meta.filename.endsWith(".js");
/** How the runner and every test process are started. */
const nodeFlags = [
  ...(isBuilt ? ["--enable-source-maps"] : ["--import", "tsx"]),
  ...["--import", runnable(new URL("support/eachFile.ts", import.meta.url)).href],
];

process.exitCode = await main();

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rewrite: { type: "boolean", default: false },
      seed: { type: "string" },
    },
  });
  const files = testFiles(positionals);
  if (files.length === 0) {
    console.error(`no test file's path contains ${positionals.join(" or ")}`);
    return 2;
  }
  const env = { ...process.env };
  if (values.rewrite) env.QUORLET_REWRITE = "1";
  if (values.seed !== undefined) env.QUORLET_SEED = values.seed;
  return await runFiles(files, env);
}

function testFiles(filters: readonly string[]): readonly string[] {
  return readdirSync(join(projectRoot, "test"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.ts"))
    .map((path) => join("test", path))
    .filter((path) => filters.length === 0 || filters.some((part) => path.includes(part)))
    .map((path) => (isBuilt ? join(".build", path.replace(/ts$/, "js")) : path))
    .sort();
}

/** Readable lines go to stdout as they come; the exact ones to a file, for the closing lines. */
async function runFiles(files: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "quorlet-run-"));
  const tapPath = join(folder, "result.tap");
  const costsPath = join(folder, "costs");
  writeFileSync(costsPath, "");
  try {
    const code = await runNode(
      [
        ...nodeFlags,
        "--test",
        `--test-concurrency=${concurrentFilesMax}`,
        `--test-timeout=${fileTimeoutMs}`,
        "--test-reporter=spec",
        "--test-reporter-destination=stdout",
        "--test-reporter=tap",
        `--test-reporter-destination=${tapPath}`,
        ...files,
      ],
      { ...env, [costsVariable]: costsPath },
    );
    for (const line of slowest(readFileSync(costsPath, "utf8"))) console.log(line);
    return report(readFileSync(tapPath, "utf8").split("\n"), code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runNode(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: projectRoot, env, stdio: "inherit" });
    child.on("error", reject);
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

/** @returns the exit code: the runner's own, and never 0 without its closing lines. */
function report(tap: readonly string[], code: number): number {
  // What a test prints appears in the file as well, but never after the runner's last words.
  const from = tap.findLastIndex((line) => /^# tests \d+$/.test(line));
  const closing = from < 0 ? [] : tap.slice(from).filter((line) => line.startsWith("# "));
  for (const line of leftOut(skippedIn(tap))) console.log(line);
  for (const line of closing) console.log(line);
  if (closing.length > 0) return code;
  console.error("the test runner ended without its closing lines");
  return code === 0 ? 1 : code;
}

function slowest(costLines: string): readonly string[] {
  const costs = costLines.split("\n").filter((line) => line !== "");
  const rows = costs.map((line): FileCost => JSON.parse(line));
  rows.sort((a, b) => b.wallSec - a.wallSec);
  const rounded = (sec: number): string => sec.toFixed(0).padStart(3);
  const sum = rows.reduce((total, { cpuSec }) => total + cpuSec, 0);
  return [
    `Slowest files; all of them took ${rounded(sum)} s of CPU:`,
    ...rows
      .slice(0, slowestShown)
      .map(
        ({ path, wallSec, cpuSec }) =>
          `  ${rounded(wallSec)} s, ${rounded(cpuSec)} of CPU  ${path}`,
      ),
  ];
}

function skippedIn(tap: readonly string[]): readonly Skipped[] {
  return tap.flatMap((line) => {
    const match = /^\s*ok \d+ - (.*?) # SKIP ?(.*)$/.exec(line);
    return match ? [{ name: match[1] ?? "", reason: match[2] || "no reason given" }] : [];
  });
}

function leftOut(skipped: readonly Skipped[]): readonly string[] {
  if (skipped.length === 0) return ["Nothing was left out on this machine."];
  const namesByReason = new Map<string, string[]>();
  for (const { name, reason } of skipped) {
    namesByReason.set(reason, [...(namesByReason.get(reason) ?? []), name]);
  }
  return [
    "Left out on this machine:",
    ...[...namesByReason].map(([reason, names]) => `  ${reason}: ${names.join("; ")}`),
  ];
}
