// One act on the running cluster under load of its own, after which everything is judged: the promises of
// every answer, the order of each key, the same state at all members.
import { setTimeout as wait } from "node:timers/promises";
import { type Call, keySpace } from "../chaos/call.ts";
import { checkRevisions } from "../chaos/checkers/revisions.ts";
import type { Settled } from "../chaos/checkers/settled.ts";
import { Load } from "../chaos/load.ts";
import { Probe } from "../chaos/probe.ts";
import { describeFailure } from "../chaos/report.ts";
import { checkRegisters } from "../sim/registerCalls.ts";
import { check } from "../sim/violation.ts";
import type { HostCluster } from "./hostCluster.ts";

const keyCount = 6;
/** Answers before the act, and after it: the cluster goes on, not only up. */
const answersAround = 30;
const goOnMsMax = 30_000;
const pollMs = 5;
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
    const last = await judge({ cluster, settled, seed, load, floor, probe });
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

async function goesOn(load: Load): Promise<void> {
  const fromMs = performance.now();
  const wanted = load.answered + answersAround;
  while (load.answered < wanted) {
    if (performance.now() - fromMs > goOnMsMax) throw new Error("clients get no answers");
    await wait(pollMs);
  }
}

async function judge({
  cluster,
  settled,
  seed,
  load,
  floor,
  probe,
}: Pick<PhaseParts, "cluster" | "settled" | "seed"> & {
  readonly load: Load;
  readonly floor: number;
  readonly probe: Probe;
}): Promise<number> {
  const space = keySpace(seed, keyCount);
  const present = cluster.present();
  const last = await probe.awaitAll();
  check(
    last >= load.revisionMax,
    "revisions",
    () => `the members are at ${last}, clients were told of ${load.revisionMax}`,
  );
  const hashes = await Promise.all(present.names.map((_, at) => probe.hash(at, last)));
  const past = await probe.past(space, { from: floor, last });
  checkRevisions(load.calls, space, past);
  checkRegisters(load.calls, space.keys);
  check(
    hashes.every((hash) => hash === hashes[0]),
    "equalState",
    () => `hashes of ${present.names.join()} at ${last}: ${hashes.join()}`,
  );
  settled.check(await probe.range(seed % present.names.length, "k", "l"));
  settled.add(space, past.states.at(-1) ?? new Map(), load.calls);
  return last;
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
