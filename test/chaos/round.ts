// One seed on the running cluster: load and faults, then healing, then everything is judged.
import { setTimeout as wait } from "node:timers/promises";
import { Prng } from "../../src/base/prng.ts";
import { check } from "../sim/violation.ts";
import { type Call, isSamePair, type KeySpace, keySpace } from "./call.ts";
import type { Members } from "./checkers/members.ts";
import type { Settled } from "./checkers/settled.ts";
import { checkWatch } from "./checkers/watches.ts";
import type { ClusterHandle } from "./clusterHandle.ts";
import { LeaseLoad } from "./leases.ts";
import { Load } from "./load.ts";
import { memberNames } from "./orders.ts";
import type { Past, Probe } from "./probe.ts";
import { describeStep, drawSchedule, faultsMs, type Kind, type Step } from "./schedule.ts";
import { goesOn, judgeHistory, keyCount, pollMs } from "./verdict.ts";
import { Watcher } from "./watcher.ts";

/** From the last write until all watchers have heard of it. */
const watchMsMax = 30_000;

export interface RoundParts {
  readonly cluster: ClusterHandle;
  readonly probe: Probe;
  readonly settled: Settled;
  readonly members: Members;
  /** The kinds of harm; all of them if missing. */
  readonly only?: readonly Kind[] | undefined;
}

export interface RoundReport {
  readonly seed: number;
  readonly ms: number;
  /** From the order to heal until all members answered. */
  readonly healMs: number;
  readonly calls: readonly Call[];
  /** What was done, to whom and when. */
  readonly protocol: readonly string[];
  readonly revisions: number;
  /** Events that watchers were told, and streams that they needed for it. */
  readonly events: number;
  readonly streams: number;
  /** Answers about leases. */
  readonly leases?: number;
  /** Stores that were built anew while the members were harmed. */
  readonly copies?: number;
  readonly failure: Error | undefined;
}

export function runRound(seed: number, parts: RoundParts): Promise<RoundReport> {
  return new Round(seed, parts).run();
}

class Round {
  readonly #seed: number;
  readonly #parts: RoundParts;
  readonly #startMs = performance.now();
  readonly #protocol: string[] = [];
  readonly #watchers: Watcher[] = [];
  #load: Load | undefined;
  #leases: LeaseLoad | undefined;
  #healMs = 0;
  #revisions = 0;
  #copies = 0;

  constructor(seed: number, parts: RoundParts) {
    this.#seed = seed;
    this.#parts = parts;
  }

  async run(): Promise<RoundReport> {
    const failure = await this.#play().then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
    );
    await this.#load?.end().catch(() => {});
    await this.#leases?.end().catch(() => {});
    await Promise.all(this.#watchers.map((watcher) => watcher.end()));
    return {
      seed: this.#seed,
      ms: this.#nowMs(),
      healMs: this.#healMs,
      calls: this.#load?.calls ?? [],
      protocol: this.#protocol,
      revisions: this.#revisions,
      events: this.#watchers.reduce((sum, { events }) => sum + events.length, 0),
      streams: this.#watchers.reduce((sum, { streams }) => sum + streams, 0),
      leases: this.#leases?.judged ?? 0,
      copies: this.#copies,
      failure,
    };
  }

  async #play(): Promise<void> {
    const { cluster, probe } = this.#parts;
    const space = keySpace(this.#seed, keyCount);
    const floor = await probe.awaitAll();
    const nowUs = (): number => Math.round(this.#nowMs() * 1000);
    const load = new Load({ seed: this.#seed, floor, space, cluster, nowUs });
    const leases = new LeaseLoad({ seed: this.#seed, cluster, nowUs });
    this.#load = load;
    this.#leases = leases;
    this.#watch(space, floor);
    load.begin();
    leases.begin();
    const compaction = this.#compact(floor);
    const defragmenting = this.#defragment();
    await this.#harm();
    await this.#heal(load);
    await compaction;
    await defragmenting;
    await load.end();
    await leases.end();
    await this.#judge(load, floor);
    await this.#shrink();
  }

  /** Who joined goes, so that every round begins alike. */
  async #shrink(): Promise<void> {
    const { cluster, probe, members } = this.#parts;
    members.agree(await probe.lists());
    const whom = await cluster.order({ kind: "shrink" });
    this.#protocol.push(`${Math.round(this.#nowMs())} ms: remove ${whom}`);
    members.settled(await probe.lists());
  }

  #watch({ from, to, keys }: KeySpace, after: number): void {
    const { cluster } = this.#parts;
    const [key = from] = keys;
    const ranges = [
      { from, to, prevKv: true, isSlow: false },
      { from, to, prevKv: false, isSlow: false },
      { from: key, to: undefined, prevKv: false, isSlow: false },
      { from, to, prevKv: true, isSlow: true },
    ];
    for (const [i, range] of ranges.entries()) {
      const random = new Prng(this.#seed * 100 + 50 + i);
      const watcher = new Watcher({ range, after, cluster, random });
      this.#watchers.push(watcher);
      watcher.begin();
    }
  }

  /** What came before the round goes while it runs; the judge needs what follows. */
  async #compact(floor: number): Promise<void> {
    const random = new Prng(this.#seed * 100 + 70);
    await wait(random.integer(faultsMs));
    const at = random.integer(memberNames.length);
    await this.#parts.probe.compact(at, floor);
    this.#protocol.push(`${Math.round(this.#nowMs())} ms: compact ${floor} at ${memberNames[at]}`);
  }

  /** In every other round one member builds its store anew again and again, killed or not. */
  async #defragment(): Promise<void> {
    const random = new Prng(this.#seed * 100 + 80);
    if (random.oneIn(2)) return;
    const at = random.integer(memberNames.length);
    while (this.#nowMs() < faultsMs) {
      if (await this.#parts.probe.defragment(at)) this.#copies++;
      else await wait(pollMs);
    }
    this.#protocol.push(`${memberNames[at]} built its store anew ${this.#copies} times`);
  }

  /** Steps do not wait for each other: a kill may still be under way when the next one comes. */
  async #harm(): Promise<void> {
    const underWay: Promise<void>[] = [];
    for (const step of drawSchedule(this.#seed, this.#parts.only)) {
      await wait(Math.max(0, step.atMs - this.#nowMs()));
      underWay.push(this.#act(step));
    }
    await wait(Math.max(0, faultsMs - this.#nowMs()));
    await Promise.all(underWay);
  }

  async #act(step: Step): Promise<void> {
    const { cluster } = this.#parts;
    const { act } = step;
    const fromMs = Math.round(this.#nowMs());
    let met: string;
    try {
      met = await (act.kind === "killProcess" ? cluster.killProcess() : cluster.order(act));
    } catch (error) {
      if (act.kind === "killProcess") throw error;
      met = `not done: ${error instanceof Error ? error.message : error}`;
    }
    const toMs = Math.round(this.#nowMs());
    this.#protocol.push(`${fromMs} to ${toMs} ms: ${describeStep(step)} (${met})`);
  }

  async #heal(load: Load): Promise<void> {
    const { cluster, probe } = this.#parts;
    const fromMs = this.#nowMs();
    const whom = await cluster.order({ kind: "heal" });
    await probe.awaitAll();
    this.#healMs = this.#nowMs() - fromMs;
    this.#protocol.push(`${Math.round(fromMs)} to ${Math.round(this.#nowMs())} ms: heal (${whom})`);
    await goesOn(load);
  }

  async #judge(load: Load, floor: number): Promise<void> {
    const { cluster, probe, settled } = this.#parts;
    const [accident] = cluster.accidents;
    check(accident === undefined, "accidents", () => accident ?? "");
    const last = await judgeHistory({
      ...{ names: cluster.names, probe, settled, load, floor },
      space: keySpace(this.#seed, keyCount),
      witness: this.#seed,
      alsoJudge: (past) => this.#judgeWatches(keySpace(this.#seed, keyCount), past),
    });
    this.#revisions = last - floor;
  }

  async #judgeWatches({ keys }: KeySpace, past: Past): Promise<void> {
    const fromMs = this.#nowMs();
    for (const watcher of this.#watchers) watcher.hurry();
    for (const watcher of this.#watchers) {
      const { range } = watcher;
      const last = lastChange(past, range.to === undefined ? [range.from] : keys);
      while (watcher.fault === undefined && watcher.told < last) {
        // The judge says what is missing.
        if (this.#nowMs() - fromMs > watchMsMax) break;
        await wait(pollMs);
      }
      if (watcher.fault !== undefined) throw watcher.fault;
      checkWatch(watcher.events, range, { keys, past });
    }
  }

  #nowMs(): number {
    return performance.now() - this.#startMs;
  }
}

/** Highest revision that changed one of `keys`; 0 for none. */
function lastChange({ from, states }: Past, keys: readonly string[]): number {
  for (let i = states.length - 1; i > 0; i--) {
    const [before, after] = [states[i - 1], states[i]];
    if (keys.some((key) => !isSamePair(before?.get(key), after?.get(key)))) return from + i;
  }
  return 0;
}
