// Two sides of a comparison, run by run: the ratio of each pair, then the median of the ratios.
import type { BenchResult } from "./result.ts";

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface RowComparison {
  readonly row: string;
  readonly pairs: number;
  readonly first: RowMedians;
  readonly second: RowMedians;
  /** First in proportion to second; undefined where one side lacks the figure. */
  readonly perSec: Spread | undefined;
  readonly p50: Spread | undefined;
  readonly p99: Spread | undefined;
  readonly cpu: Spread | undefined;
  readonly rss: Spread | undefined;
  readonly warnings: number;
}

export interface RowMedians {
  readonly name: string;
  readonly perSec: number | undefined;
  readonly p50: number | undefined;
  readonly p99: number | undefined;
  readonly cpuUs: number | undefined;
  readonly rssMiB: number | undefined;
}

type Figure = (result: BenchResult) => number | undefined;

const figures = {
  perSec: (result: BenchResult) => result.perSec,
  p50: (result: BenchResult) => result.latencyMs.p50,
  p99: (result: BenchResult) => result.latencyMs.p99,
  cpuUs: (result: BenchResult) => result.server?.cpuUs,
  rssMiB: (result: BenchResult) => result.server?.rssMiB,
};

/** Rows that both sides have, in the order of the first; the n-th run of one meets the n-th of the other. */
export function comparisons(
  first: readonly BenchResult[],
  second: readonly BenchResult[],
): readonly RowComparison[] {
  const rows = [...new Set(first.map(({ row }) => row))];
  return rows.flatMap((row) => {
    const ours = first.filter((result) => result.row === row);
    const theirs = second.filter((result) => result.row === row);
    return theirs.length === 0 ? [] : [comparison(row, ours, theirs)];
  });
}

/** Sides of one file: the first name against the second. */
export function sidesOf(results: readonly BenchResult[]): readonly (readonly BenchResult[])[] {
  const names = [...new Set(results.map(({ name }) => name))];
  return names.map((name) => results.filter((result) => result.name === name));
}

function comparison(
  row: string,
  first: readonly BenchResult[],
  second: readonly BenchResult[],
): RowComparison {
  const pairs = Math.min(first.length, second.length);
  const ratio = (figure: Figure): Spread | undefined => {
    const ratios: number[] = [];
    for (let i = 0; i < pairs; i++) {
      const [one, two] = [first[i], second[i]].map((result) => result && figure(result));
      if (one === undefined || two === undefined || two === 0) return undefined;
      ratios.push(one / two);
    }
    return spreadOf(ratios);
  };
  return {
    ...{ row, pairs, first: mediansOf(first), second: mediansOf(second) },
    perSec: ratio(figures.perSec),
    p50: ratio(figures.p50),
    p99: ratio(figures.p99),
    cpu: ratio(figures.cpuUs),
    rss: ratio(figures.rssMiB),
    warnings: [...first, ...second].filter(({ warnings }) => warnings.length > 0).length,
  };
}

export function mediansOf(results: readonly BenchResult[]): RowMedians {
  const median = (figure: Figure): number | undefined => {
    const known = results.map(figure).filter((value) => value !== undefined);
    return known.length < results.length ? undefined : spreadOf(known)?.median;
  };
  return {
    name: results[0]?.name ?? "",
    perSec: median(figures.perSec),
    p50: median(figures.p50),
    p99: median(figures.p99),
    cpuUs: median(figures.cpuUs),
    rssMiB: median(figures.rssMiB),
  };
}

/** Of the two in the middle the mean; undefined for nothing. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) return undefined;
  const [low = min, high = min] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return { median: (low + high) / 2, min, max };
}
