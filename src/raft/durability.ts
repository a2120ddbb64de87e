// Which of the writes handed to the log are on disk, and what the disk therefore holds.
import { LogIndex, type MemberId, type Term } from "../base/brand.ts";

interface Write {
  readonly number: number;
  readonly term: Term;
  readonly vote: MemberId;
  /** When it was handed over. */
  readonly tick: number;
  /** Last index of the log that this write makes durable; lowered when that end is cut off. */
  index: LogIndex;
}

/**
 * Writes are numbered from 1 and complete in that order; a completion covers all before it.
 *
 * Index and term alone cannot name a write: a follower may hand over 5..9, cut them at 7, take
 * another leader's 7..9, and then hear that "9" is on disk. The number tells the two apart, and
 * the cut has lowered the first to 6, so that its completion says no more than what is true.
 */
export class Durability {
  #outstanding: Write[] = [];
  #lastNumber = 0;
  #doneNumber = 0;
  #index: LogIndex;
  #term: Term;
  #vote: MemberId;

  constructor(booted: { index: LogIndex; term: Term; vote: MemberId }) {
    this.#index = booted.index;
    this.#term = booted.term;
    this.#vote = booted.vote;
  }

  /** Last index of the present log that is on disk with all before it. */
  get index(): LogIndex {
    return this.#index;
  }

  /** Term and vote on disk. */
  get term(): Term {
    return this.#term;
  }
  get vote(): MemberId {
    return this.#vote;
  }

  /** Number of the newest completed write; 0 before the first. */
  get doneNumber(): number {
    return this.#doneNumber;
  }

  get settled(): boolean {
    return this.#outstanding.length === 0;
  }

  /** Ticks that the oldest write has been on its way; 0 when none is. */
  waitedTicks(now: number): number {
    const oldest = this.#outstanding[0];
    return oldest === undefined ? 0 : now - oldest.tick;
  }

  /** @returns the number of the write, to be given back to `complete`. */
  begin(write: { index: LogIndex; term: Term; vote: MemberId; tick: number }): number {
    this.#lastNumber++;
    const { index, term, vote, tick } = write;
    this.#outstanding.push({ number: this.#lastNumber, index, term, vote, tick });
    return this.#lastNumber;
  }

  /** @returns false for a number that is unknown or already done. */
  complete(number: number): boolean {
    if (!(number > this.#doneNumber && number <= this.#lastNumber)) return false;
    let done = 0;
    for (const write of this.#outstanding) {
      if (write.number > number) break;
      this.#index = LogIndex(Math.max(this.#index, write.index));
      this.#term = write.term;
      this.#vote = write.vote;
      done++;
    }
    if (done === this.#outstanding.length) this.#outstanding = [];
    else this.#outstanding.splice(0, done);
    this.#doneNumber = number;
    return true;
  }

  /** The log was cut: nothing after `last` counts, neither on disk nor on its way there. */
  cut(last: LogIndex): void {
    this.#index = LogIndex(Math.min(this.#index, last));
    for (const write of this.#outstanding) write.index = LogIndex(Math.min(write.index, last));
  }
}
