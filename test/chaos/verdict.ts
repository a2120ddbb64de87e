// What is asked of every history, whatever befell the cluster: it went on, kept its promises, and all members
// hold the same.
import { setTimeout as wait } from "node:timers/promises";
import { checkRegisters } from "../sim/registerCalls.ts";
import { check } from "../sim/violation.ts";
import type { KeySpace } from "./call.ts";
import { checkRevisions } from "./checkers/revisions.ts";
import type { Settled } from "./checkers/settled.ts";
import type { Load } from "./load.ts";
import type { Past, Probe } from "./probe.ts";

export const keyCount = 6;
export const pollMs = 5;
/** Answers that clients get when nothing is wrong: the cluster goes on, not only up. */
const answersToGoOn = 30;
const goOnMsMax = 30_000;

/** Resolves when clients got some more answers. */
export async function goesOn(load: Load): Promise<void> {
  const fromMs = performance.now();
  const wanted = load.answered + answersToGoOn;
  while (load.answered < wanted) {
    const waitedMs = Math.round(performance.now() - fromMs);
    if (waitedMs > goOnMsMax) throw new Error(`clients get no answers for ${waitedMs} ms`);
    await wait(pollMs);
  }
}

export interface VerdictParts {
  /** Members, as the probe counts them. */
  readonly names: readonly string[];
  readonly probe: Probe;
  readonly settled: Settled;
  readonly load: Load;
  readonly space: KeySpace;
  /** Revision before the first call. */
  readonly floor: number;
  /** The member that is asked for what is settled. */
  readonly witness: number;
  /** What else is to be judged by what was. */
  readonly alsoJudge?: (past: Past) => Promise<void>;
}

/** @returns the last revision. @throws a violation of the first promise that was not kept. */
export async function judgeHistory(parts: VerdictParts): Promise<number> {
  const { names, probe, settled, load, space, floor, witness, alsoJudge } = parts;
  const last = await probe.awaitAll();
  check(
    last >= load.revisionMax,
    "revisions",
    () => `the members are at ${last}, clients were told of ${load.revisionMax}`,
  );
  const hashes = await Promise.all(names.map((_, at) => probe.hash(at, last)));
  const past = await probe.past(space, { from: floor, last });
  await alsoJudge?.(past);
  checkRevisions(load.calls, space, past);
  checkRegisters(load.calls, space.keys);
  check(
    hashes.every((hash) => hash === hashes[0]),
    "equalState",
    () => `hashes of ${names.join()} at ${last}: ${hashes.join()}`,
  );
  settled.check(await probe.range(witness % names.length, "k", "l"));
  settled.add(space, past.states.at(-1) ?? new Map(), load.calls);
  return last;
}
