// Linearizable reads: all that were asked in one turn share one quorum round (thesis 6.4), and are
// served once the index that the round gave is applied here.
import type { LogIndex } from "../base/brand.ts";
import {
  type EtcdError,
  errLeaderChanged,
  errTimeout,
  errTooManyRequests,
} from "../base/errors.ts";
import type { ReadState } from "../raft/ready.ts";
import type { ReadCompletion } from "./service.ts";

/** Unanswered reads above this are refused. */
export const readsMax = 200_000;

/**
 * Ids of one life of a member; so many lives later they come round. A leader may still hold a round
 * that an earlier life asked for: under the same id its answer, an older index, would serve a new read.
 */
const idsPerLife = 2 ** 32;
const livesApart = 2 ** 20;

interface Round {
  readonly completions: readonly ReadCompletion[];
  readonly bornTick: number;
  askedTick: number;
}

interface Confirmed {
  readonly index: LogIndex;
  readonly bornTick: number;
  readonly completions: readonly ReadCompletion[];
}

/** Starts one quorum round; ids are fresh for every try (see traps: a reused context is never confirmed). */
export type AskReadIndex = (requestId: number) => void;

export class Reads {
  readonly #waitTicksMax: number;
  readonly #retryTicks: number;
  #collected: ReadCompletion[] = [];
  readonly #rounds = new Map<number, Round>();
  /** Confirmed, waiting for the applied index; in order of confirmation. */
  #confirmed: Confirmed[] = [];
  /** May be served now; those before `#dueFrom` have been. */
  #due: ReadCompletion[] = [];
  #dueFrom = 0;
  /** Have begun to read and have more to do. The first goes on in each turn, so that only one is held in parts. */
  #long: ReadCompletion[] = [];
  #lastRequestId: number;
  #count = 0;
  #tick = 0;
  #failedCount = 0;
  #slowCount = 0;

  /** @param options.incarnation differs from that of any recent life of this member. */
  constructor(options: { incarnation: number; waitTicksMax: number; retryTicks: number }) {
    this.#lastRequestId = (options.incarnation % livesApart) * idsPerLife;
    this.#waitTicksMax = options.waitTicksMax;
    this.#retryTicks = options.retryTicks;
  }

  /** Reads that were refused, in this life. */
  get failedCount(): number {
    return this.#failedCount;
  }

  /** `serveDue` has something to do. */
  get hasDue(): boolean {
    return this.#due.length > 0 || this.#long.length > 0;
  }

  /** Rounds that nobody answered in time and that were asked again. */
  get slowCount(): number {
    return this.#slowCount;
  }

  /** Reads without an answer yet. */
  get count(): number {
    return this.#count;
  }

  add(completion: ReadCompletion): void {
    if (this.#count >= readsMax) {
      completion.onRefused(errTooManyRequests);
      return;
    }
    this.#count++;
    this.#collected.push(completion);
  }

  /** One that may be served, and has begun. */
  addLong(completion: ReadCompletion): void {
    if (this.#count >= readsMax) {
      completion.onRefused(errTooManyRequests);
      return;
    }
    this.#count++;
    this.#long.push(completion);
  }

  /** One round for everything that was asked since the last turn. */
  askTurn(ask: AskReadIndex): void {
    if (this.#collected.length === 0) return;
    const completions = this.#collected;
    this.#collected = [];
    this.#ask({ completions, bornTick: this.#tick, askedTick: this.#tick }, ask);
  }

  /** A round succeeded: its reads are due, now or when `applied` reaches its index. */
  onConfirmed(state: ReadState, applied: LogIndex): void {
    const round = this.#rounds.get(state.requestId);
    if (round === undefined) return;
    this.#rounds.delete(state.requestId);
    const { completions, bornTick } = round;
    if (state.index <= applied) this.#makeDue(completions);
    else this.#confirmed.push({ index: state.index, bornTick, completions });
  }

  /**
   * Raft will never answer this round: its reads ask again with the next tick or the next leader.
   * Not at once: without a leader the question would come back within the same turn, for ever.
   */
  onLost(requestId: number): void {
    const round = this.#rounds.get(requestId);
    if (round !== undefined) round.askedTick = this.#tick - this.#retryTicks;
  }

  onApplied(applied: LogIndex): void {
    if (this.#confirmed.length === 0) return;
    const ready = this.#confirmed.filter((read) => read.index <= applied);
    if (ready.length === 0) return;
    this.#confirmed = this.#confirmed.filter((read) => read.index > applied);
    for (const read of ready) this.#makeDue(read.completions);
  }

  /**
   * Serves reads that are due, oldest first, at least one and as long as `hasTime` says so: a read may
   * cost microseconds or, with many large pairs, many milliseconds, and peers and clocks must not wait
   * for all of them.
   *
   * @returns true when some are left for the next turn; a later moment serves them as well.
   */
  serveDue(hasTime: () => boolean): boolean {
    this.#serveShort(hasTime);
    this.#serveLong();
    return this.hasDue;
  }

  /** A new leader: rounds of the old one are asked again at once. */
  onLeader(ask: AskReadIndex): void {
    const rounds = [...this.#rounds.values()];
    this.#rounds.clear();
    for (const round of rounds) this.#ask(round, ask);
  }

  /** One tick passed: old reads are refused, silent rounds asked again with a fresh id. */
  tick(ask: AskReadIndex): void {
    this.#tick++;
    this.#refuseLate();
    for (const [requestId, round] of [...this.#rounds]) {
      if (this.#isLate(round)) {
        this.#rounds.delete(requestId);
        this.#refuse(round.completions, errTimeout);
      } else if (this.#tick - round.askedTick >= this.#retryTicks) {
        this.#rounds.delete(requestId);
        this.#slowCount++;
        this.#ask(round, ask);
      }
    }
  }

  refuseAll(error: EtcdError = errLeaderChanged): void {
    const waiting = [
      this.#collected,
      ...[...this.#rounds.values()].map((round) => round.completions),
      ...this.#confirmed.map((read) => read.completions),
      this.#due.slice(this.#dueFrom),
      this.#long,
    ];
    this.#collected = [];
    this.#rounds.clear();
    this.#confirmed = [];
    this.#due = [];
    this.#dueFrom = 0;
    this.#long = [];
    for (const completions of waiting) this.#refuse(completions, error);
  }

  #serveShort(hasTime: () => boolean): void {
    if (this.#due.length === 0) return;
    do {
      const read = this.#due[this.#dueFrom++];
      read?.onReady();
      if (read?.hasMore === true) this.#long.push(read);
      else this.#count--;
    } while (this.#dueFrom < this.#due.length && hasTime());
    if (this.#dueFrom < this.#due.length) return;
    this.#due = [];
    this.#dueFrom = 0;
  }

  #serveLong(): void {
    const read = this.#long[0];
    if (read === undefined) return;
    read.onReady();
    if (read.hasMore === true) return;
    this.#long.shift();
    this.#count--;
  }

  #isLate({ bornTick }: { readonly bornTick: number }): boolean {
    return this.#tick - bornTick >= this.#waitTicksMax;
  }

  /** A disk that stands still keeps the applied index from where confirmed reads wait for it. */
  #refuseLate(): void {
    const late = this.#confirmed.filter((read) => this.#isLate(read));
    if (late.length === 0) return;
    this.#confirmed = this.#confirmed.filter((read) => !this.#isLate(read));
    for (const read of late) this.#refuse(read.completions, errTimeout);
  }

  #ask(round: Round, ask: AskReadIndex): void {
    this.#lastRequestId++;
    round.askedTick = this.#tick;
    this.#rounds.set(this.#lastRequestId, round);
    ask(this.#lastRequestId);
  }

  // One by one: a round may hold more than a call may have arguments.
  #makeDue(completions: readonly ReadCompletion[]): void {
    for (const completion of completions) this.#due.push(completion);
  }

  #refuse(completions: readonly ReadCompletion[], error: EtcdError): void {
    this.#failedCount += completions.length;
    this.#count -= completions.length;
    for (const completion of completions) completion.onRefused(error);
  }
}
