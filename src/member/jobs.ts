// Long work in small steps between turns: content hashes and the removal of compacted history.
import type { Revision } from "../base/brand.ts";
import { EtcdError, errTooManyRequests } from "../base/errors.ts";
import type { Histogram } from "../base/histogram.ts";
import type { Clock } from "../base/ports.ts";
import type { HashRun } from "../mvcc/hash.ts";
import type { HashCompletion } from "./service.ts";

/** Rows or keys per step: well below a millisecond of work each turn. */
export const stepUnitsMax = 256;
/** Hashes asked for at once; one more is refused. */
export const hashesMax = 64;

/** The state machine's long chores. */
export interface Chores {
  readonly revision: Revision;
  /** @throws {EtcdError} compacted or future revision. */
  hash(revision: number): HashRun;
  /** @returns true when another step has something to do now. */
  sweep(unitsMax: number): boolean;
  /** True when the rows of the last compaction are gone from the engine. */
  readonly compactionSettled: boolean;
}

/** What is told of them; time by the member's clock. */
export interface JobsTally {
  readonly hashSec: Histogram;
  readonly compactionPauseMs: Histogram;
  readonly compactionIndexPauseMs: Histogram;
  readonly compactionMs: Histogram;
  lastCompactionMs: number;
}

interface HashJob {
  readonly startMs: number;
  /** As asked for. */
  readonly at: number;
  readonly run: HashRun;
  readonly completion: HashCompletion;
}

export class Jobs {
  readonly #clock: Clock;
  readonly #tally: JobsTally;
  /** When the compaction under way was first worked at; negative: none is. */
  #sweepingSinceMs = -1;
  #chores: Chores;
  #hashes: HashJob[] = [];
  #settleWaiters: (() => void)[] = [];

  constructor(chores: Chores, { clock, tally }: { clock: Clock; tally: JobsTally }) {
    this.#clock = clock;
    this.#tally = tally;
    this.#chores = chores;
  }

  addHash(revision: number, completion: HashCompletion): void {
    if (this.#hashes.length >= hashesMax) {
      completion.onRefused(errTooManyRequests);
      return;
    }
    try {
      const startMs = this.#clock.nowMs();
      this.#hashes.push({ startMs, at: revision, run: this.#chores.hash(revision), completion });
    } catch (error) {
      completion.onRefused(refusalOf(error));
    }
  }

  /** The state was replaced by a newer one: hashes begin again. */
  rebind(chores: Chores): void {
    this.#chores = chores;
    const hashes = this.#hashes;
    this.#hashes = [];
    for (const { at, completion } of hashes) this.addHash(at, completion);
  }

  addCompactionWaiter(done: () => void): void {
    this.#settleWaiters.push(done);
  }

  /**
   * One small piece of each job.
   *
   * @param maySweep rows that were compacted may go now.
   * @returns true when there is more to do now.
   */
  step(maySweep: boolean): boolean {
    const isSettled = this.#chores.compactionSettled;
    const sweeping = isSettled ? this.#endSweep() : maySweep && this.#sweep();
    if (this.#settleWaiters.length > 0 && this.#chores.compactionSettled) this.#settle();
    return this.#stepHash() || sweeping;
  }

  refuseAll(error: EtcdError): void {
    const hashes = this.#hashes;
    this.#hashes = [];
    for (const { completion } of hashes) completion.onRefused(error);
    // A compaction that waits to be settled is decided and in the log: its answer stands.
    this.#settle();
  }

  #sweep(): boolean {
    const startMs = this.#clock.nowMs();
    const isFirst = this.#sweepingSinceMs < 0;
    if (isFirst) this.#sweepingSinceMs = startMs;
    const sweeping = this.#chores.sweep(stepUnitsMax);
    if (!sweeping && !isFirst) return false;
    const pauseMs = this.#clock.nowMs() - startMs;
    this.#tally.compactionPauseMs.observe(pauseMs);
    this.#tally.compactionIndexPauseMs.observe(pauseMs);
    return sweeping;
  }

  #endSweep(): false {
    if (this.#sweepingSinceMs < 0) return false;
    const nowMs = this.#clock.nowMs();
    this.#tally.compactionMs.observe(nowMs - this.#sweepingSinceMs);
    this.#tally.lastCompactionMs = nowMs;
    this.#sweepingSinceMs = -1;
    return false;
  }

  #settle(): void {
    const waiters = this.#settleWaiters;
    this.#settleWaiters = [];
    for (const done of waiters) done();
  }

  #stepHash(): boolean {
    const job = this.#hashes[0];
    if (job === undefined) return false;
    try {
      const result = job.run.step(stepUnitsMax);
      if (result === undefined) return true;
      this.#hashes.shift();
      this.#tally.hashSec.observe((this.#clock.nowMs() - job.startMs) / 1000);
      job.completion.onHash({ ...result, revision: this.#chores.revision });
    } catch (error) {
      this.#hashes.shift();
      job.completion.onRefused(refusalOf(error));
    }
    return this.#hashes.length > 0;
  }
}

function refusalOf(error: unknown): EtcdError {
  if (error instanceof EtcdError) return error;
  throw error;
}
