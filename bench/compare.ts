// Two targets under the same load, one at a time and in turn, so that the machine's moods hit both.
import type { BenchOptions, Verb } from "./options.ts";
import { type BenchResult, digits } from "./report.ts";
import { runBench } from "./run.ts";
import type { Target } from "./target.ts";

export interface Comparison {
  readonly first: readonly BenchResult[];
  readonly second: readonly BenchResult[];
}

export interface CompareOptions {
  readonly verb: Verb;
  readonly options: BenchOptions;
  readonly first: Target;
  readonly second: Target;
  readonly rounds: number;
  readonly onResult: (result: BenchResult) => void;
}

export async function compareTargets(plan: CompareOptions): Promise<Comparison> {
  const { verb, options, first, second, rounds, onResult } = plan;
  const results: { first: BenchResult[]; second: BenchResult[] } = { first: [], second: [] };
  for (let round = 0; round < rounds; round++) {
    // Who goes first changes with each round.
    const turns = [
      { target: first, into: results.first },
      { target: second, into: results.second },
    ];
    for (const { target, into } of round % 2 === 0 ? turns : turns.toReversed()) {
      const result = await runBench(verb, options, target);
      into.push(result);
      onResult(result);
    }
  }
  return results;
}

/** Medians of the first in proportion to those of the second. */
export function ratioLine({ first, second }: Comparison): string {
  const ratio = (figure: (result: BenchResult) => number | undefined) => {
    const [one, two] = [first, second].map((results) => median(results.map(figure)));
    return one === undefined || two === undefined || two === 0 ? "unknown" : digits(one / two);
  };
  const [name, other] = [first[0]?.name ?? "", second[0]?.name ?? ""];
  return [
    `${name} to ${other}, medians of ${first.length}:`,
    `per second ${ratio(({ perSec }) => perSec)},`,
    `p50 ${ratio(({ latencyMs }) => latencyMs.p50)},`,
    `p99 ${ratio(({ latencyMs }) => latencyMs.p99)},`,
    `server CPU per operation ${ratio(({ serverCpuUs }) => serverCpuUs)}`,
  ].join(" ");
}

/** Of the upper two in the middle when they are even; undefined if any figure is. */
function median(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  if (known.length < values.length) return undefined;
  return known.toSorted((a, b) => a - b)[Math.floor(known.length / 2)];
}
