// Two files of JSON lines, as --json prints them, beside one another.
import { readFileSync } from "node:fs";
import { comparisons } from "./pairs.ts";
import { comparisonLines } from "./report/table.ts";
import type { BenchResult } from "./result.ts";

/** The n-th run of a row in one file meets the n-th in the other, whatever the sides are called. */
export function compareFiles(first: string, second: string): readonly string[] {
  return comparisonLines(comparisons(readResults(first), readResults(second)));
}

/** @throws with file and line for what is no result. */
export function readResults(file: string): readonly BenchResult[] {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.flatMap((line, i) => {
    if (line.trim() === "") return [];
    const result = parsed(line);
    if (!isResult(result)) throw new Error(`${file}:${i + 1} is no result of --json`);
    return [result];
  });
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function isResult(value: unknown): value is BenchResult {
  if (typeof value !== "object" || value === null) return false;
  const { name, row, perSec, latencyMs, buckets, warnings }: Partial<BenchResult> = value;
  const named = typeof name === "string" && typeof row === "string";
  const measured = typeof perSec === "number" && typeof latencyMs === "object";
  return named && measured && Array.isArray(buckets) && Array.isArray(warnings);
}
