// Rounds one after the other on a cluster, until one fails, the time is over or all are done.
import { setTimeout as wait } from "node:timers/promises";
import { Members } from "./checkers/members.ts";
import { Settled } from "./checkers/settled.ts";
import { ClusterHandle } from "./clusterHandle.ts";
import { leaseKeys } from "./leases.ts";
import { Probe } from "./probe.ts";
import { type RoundReport, runRound } from "./round.ts";
import type { Kind } from "./schedule.ts";

/** From the last round until its leases are gone; seconds are enough on a quiet machine. */
const leasesMsMax = 30_000;
const leasesPollMs = 100;

export interface RunOptions {
  /** First seed. */
  readonly from: number;
  readonly rounds: number;
  /** No round begins after this time. */
  readonly msMax: number;
  readonly onRound: (report: RoundReport) => void;
  /** Asked before each round. */
  readonly isOver?: () => boolean;
  /** The kinds of harm; all of them if missing. */
  readonly only?: readonly Kind[] | undefined;
  /** Another build than that of this tree. */
  readonly build?: string;
}

export interface RunResult {
  /** Rounds that were judged. */
  readonly rounds: number;
  readonly calls: number;
  readonly revisions: number;
  readonly events: number;
  readonly faults: number;
  /** Answers about leases. */
  readonly leases: number;
  /** Stores that were built anew. */
  readonly copies: number;
  /** Lives of the process. */
  readonly starts: number;
  /** Members that joined and were seen to serve. */
  readonly joined: number;
  readonly failed: RoundReport | undefined;
}

/**
 * Shares the rounds among so many clusters, side by side: most of a round is waiting. All of them end with
 * the first failure.
 */
export async function runSideBySide(options: RunOptions, clusters: number): Promise<RunResult> {
  const { from, rounds, onRound } = options;
  let isOver = false;
  const runs = Array.from({ length: clusters }, async (_, i) => {
    const [first, next] = [i, i + 1].map((at) => from + Math.round((at * rounds) / clusters));
    try {
      return await runRounds({
        ...options,
        ...{ from: first ?? from, rounds: (next ?? from) - (first ?? from) },
        isOver: () => isOver,
        onRound: (report) => {
          if (report.failure !== undefined) isOver = true;
          onRound(report);
        },
      });
    } catch (error) {
      isOver = true;
      throw error;
    }
  });
  const results = await Promise.allSettled(runs);
  return results
    .map((result) => {
      if (result.status === "rejected") throw result.reason;
      return result.value;
    })
    .reduce(added);
}

const added = (a: RunResult, b: RunResult): RunResult => ({
  rounds: a.rounds + b.rounds,
  calls: a.calls + b.calls,
  revisions: a.revisions + b.revisions,
  events: a.events + b.events,
  faults: a.faults + b.faults,
  leases: a.leases + b.leases,
  copies: a.copies + b.copies,
  starts: a.starts + b.starts,
  joined: a.joined + b.joined,
  failed: a.failed ?? b.failed,
});

export async function runRounds(options: RunOptions): Promise<RunResult> {
  const { from, rounds, msMax, onRound, only, build } = options;
  const startMs = performance.now();
  await using cluster = await ClusterHandle.start(build);
  const probe = new Probe(cluster);
  const settled = new Settled();
  const members = new Members();
  const total = { rounds: 0, calls: 0, revisions: 0, events: 0, faults: 0, leases: 0, copies: 0 };
  let failed: RoundReport | undefined;
  for (let seed = from; seed < from + rounds && failed === undefined; seed++) {
    if (performance.now() - startMs > msMax || options.isOver?.()) break;
    const report = await runRound(seed, { cluster, probe, settled, members, only });
    total.rounds++;
    total.calls += report.calls.length;
    total.revisions += report.revisions;
    total.events += report.events;
    total.faults += report.protocol.length;
    total.leases += report.leases ?? 0;
    total.copies += report.copies ?? 0;
    onRound(report);
    if (report.failure !== undefined) failed = report;
  }
  if (failed === undefined) await awaitNoLeases(probe);
  probe.close();
  return { ...total, starts: cluster.starts, joined: cluster.joined, failed };
}

/** Nobody renews a lease of a round that is over: all of them end. @throws when one does not. */
async function awaitNoLeases(probe: Probe): Promise<void> {
  const endMs = performance.now() + leasesMsMax;
  for (;;) {
    const left = await probe.range(0, leaseKeys.from, leaseKeys.to);
    if (left.size === 0) return;
    if (performance.now() > endMs) {
      throw new Error(`leases do not end: ${[...left.keys()].join()} after ${leasesMsMax} ms`);
    }
    await wait(leasesPollMs);
  }
}

export function describeResult({
  rounds,
  calls,
  revisions,
  events,
  faults,
  leases,
  copies,
  starts,
  joined,
}: RunResult): string {
  return `${rounds} rounds, ${faults} acts of harm and healing, ${joined} members that joined, ${starts} lives of the process, ${calls} calls, ${revisions} revisions, ${events} events, ${leases} answers about leases, ${copies} stores built anew`;
}
