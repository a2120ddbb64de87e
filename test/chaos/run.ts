// Rounds one after the other on one cluster, until one fails, the time is over or all are done.
import { Settled } from "./checkers/settled.ts";
import { ClusterHandle } from "./clusterHandle.ts";
import { Probe } from "./probe.ts";
import { type RoundReport, runRound } from "./round.ts";

export interface RunOptions {
  /** First seed. */
  readonly from: number;
  readonly rounds: number;
  /** No round begins after this time. */
  readonly msMax: number;
  readonly onRound: (report: RoundReport) => void;
}

export interface RunResult {
  /** Rounds that were judged. */
  readonly rounds: number;
  readonly calls: number;
  readonly revisions: number;
  readonly events: number;
  readonly faults: number;
  /** Lives of the process. */
  readonly starts: number;
  readonly failed: RoundReport | undefined;
}

export async function runRounds({ from, rounds, msMax, onRound }: RunOptions): Promise<RunResult> {
  const startMs = performance.now();
  await using cluster = await ClusterHandle.start();
  const probe = new Probe(cluster);
  const settled = new Settled();
  const total = { rounds: 0, calls: 0, revisions: 0, events: 0, faults: 0 };
  let failed: RoundReport | undefined;
  for (let seed = from; seed < from + rounds && failed === undefined; seed++) {
    if (performance.now() - startMs > msMax) break;
    const report = await runRound(seed, { cluster, probe, settled });
    total.rounds++;
    total.calls += report.calls.length;
    total.revisions += report.revisions;
    total.events += report.events;
    total.faults += report.protocol.length;
    onRound(report);
    if (report.failure !== undefined) failed = report;
  }
  probe.close();
  return { ...total, starts: cluster.starts, failed };
}

export function describeResult({
  rounds,
  calls,
  revisions,
  events,
  faults,
  starts,
}: RunResult): string {
  return `${rounds} rounds, ${faults} acts of harm and healing, ${starts} lives of the process, ${calls} calls, ${revisions} revisions, ${events} events`;
}
