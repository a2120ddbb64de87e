// One seed from beginning to end: faults and load, then healing, then the last checks.
import { Prng } from "../../src/base/prng.ts";
import { checkProgress } from "./checkers/progress.ts";
import { SimCluster } from "./cluster.ts";
import type { Doubles } from "./doubles.ts";
import { describeOdds, drawOdds, type Odds } from "./odds.ts";
import { checkRegisters } from "./registerCalls.ts";
import type { TraceSink } from "./trace.ts";
import { Violation } from "./violation.ts";

export interface SeedOptions {
  readonly doubles?: Doubles;
  /** Changes what the seed drew. */
  readonly odds?: (drawn: Odds) => Odds;
  readonly traceSink?: TraceSink | undefined;
}

/** Plain values: it may cross threads. */
export interface Verdict {
  readonly seed: number;
  readonly odds: readonly string[];
  readonly violation: Failure | undefined;
  readonly steps: number;
  readonly simulatedUs: number;
  readonly operations: number;
  readonly answered: number;
  readonly entries: number;
  readonly faults: ReadonlyMap<string, number>;
}

export interface Failure {
  readonly checker: string;
  readonly message: string;
  readonly stack: string;
  readonly atUs: number;
}

export function runSeed(seed: number, options: SeedOptions = {}): Verdict {
  const random = new Prng(seed);
  const drawn = drawOdds(random);
  const odds = options.odds?.(drawn) ?? drawn;
  const { doubles = {}, traceSink } = options;
  const cluster = new SimCluster({ random, odds, doubles, traceSink });
  const violation = failureOf(cluster, () => {
    cluster.begin();
    cluster.run(odds.faultsUs);
    cluster.heal();
    checkProgress(cluster);
    cluster.judges.writes.finish();
    const { operations, keys } = cluster.workload;
    checkRegisters(operations, keys, (op) => cluster.judges.writes.revisionOf(op));
  });
  const { operations } = cluster.workload;
  return {
    seed,
    odds: describeOdds(odds),
    violation,
    steps: cluster.queue.steps,
    simulatedUs: cluster.queue.nowUs,
    operations: operations.length,
    answered: operations.filter(({ state }) => state === "done").length,
    entries: cluster.judges.committedCount,
    faults: cluster.sites.counts,
  };
}

function failureOf(cluster: SimCluster, run: () => void): Failure | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const cause = error.cause instanceof Error ? error.cause : error;
    return {
      checker: error instanceof Violation ? error.checker : "simulator",
      message: error.message,
      stack: cause.stack ?? "",
      atUs: cluster.queue.nowUs,
    };
  }
}
