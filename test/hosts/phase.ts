// One act on the running cluster under load of its own, after which everything is judged: the promises of
// every answer, the order of each key, the same state at all members.
import { type Call, keySpace } from "../chaos/call.ts";
import type { Settled } from "../chaos/checkers/settled.ts";
import { Load } from "../chaos/load.ts";
import { Probe } from "../chaos/probe.ts";
import { describeFailure } from "../chaos/report.ts";
import { goesOn, judgeHistory, keyCount } from "../chaos/verdict.ts";
import type { HostCluster } from "./hostCluster.ts";

/** Acts take many seconds; the history of each stays small enough to be searched. */
const thinkMsMax = 60;

export interface PhaseParts {
  readonly cluster: HostCluster;
  readonly settled: Settled;
  readonly seed: number;
  /** Notes down what is done. */
  readonly note: (what: string) => void;
}

export interface PhaseResult {
  readonly ms: number;
  readonly calls: number;
  readonly answered: number;
  readonly revisions: number;
  /** Longest time in which no write was answered. */
  readonly gapMs: number;
}

/** @throws with everything that is needed to understand it. */
export async function underLoad(
  { cluster, settled, seed, note }: PhaseParts,
  act: (note: (what: string) => void) => Promise<void>,
): Promise<PhaseResult> {
  const startMs = performance.now();
  const protocol: string[] = [];
  const noteHere = (what: string): void => {
    protocol.push(`${Math.round(performance.now() - startMs)} ms: ${what}`);
    note(what);
  };
  const space = keySpace(seed, keyCount);
  const before = new Probe(cluster.present());
  const floor = await before.awaitAll();
  before.close();
  const nowUs = (): number => Math.round((performance.now() - startMs) * 1000);
  const load = new Load({ seed, floor, space, cluster, nowUs, thinkMsMax });
  try {
    load.begin();
    await goesOn(load);
    await act(noteHere);
    const probe = new Probe(cluster.present());
    await probe.awaitAll();
    await goesOn(load);
    await load.end();
    const { names } = cluster.present();
    const last = await judgeHistory({ names, probe, settled, load, space, floor, witness: seed });
    probe.close();
    const { calls, answered } = load;
    const ms = performance.now() - startMs;
    return { ms, calls: calls.length, answered, revisions: last - floor, gapMs: gapMs(calls) };
  } catch (error) {
    await load.end().catch(() => {});
    const failure = error instanceof Error ? error : new Error(String(error));
    const { calls } = load;
    const report = { seed, ms: 0, healMs: 0, calls, protocol, revisions: 0, events: 0, streams: 0 };
    throw new Error(`${describeFailure({ ...report, failure })}\n${cluster.output}`, {
      cause: error,
    });
  }
}

function gapMs(calls: readonly Call[]): number {
  const writes = calls.filter(({ state, action }) => state === "done" && action.kind === "put");
  const times = writes.map(({ returnUs }) => returnUs).sort((a, b) => a - b);
  const gaps = times.map((time, i) => time - (times[i - 1] ?? time));
  return Math.max(0, ...gaps) / 1000;
}

export function describePhase({ ms, calls, answered, revisions, gapMs: gap }: PhaseResult): string {
  const figures = [
    `${answered} of ${calls} calls answered`,
    `${revisions} revisions`,
    `no write answered for ${Math.round(gap)} ms at most`,
  ];
  return `${(ms / 1000).toFixed(1)} s, ${figures.join(", ")}`;
}
