// What one member's disk holds for certain, kept apart from the log that claims it.
import { LogIndex, noMember, Term } from "../../src/base/brand.ts";
import type { HardState } from "../../src/raft/types.ts";
import type { LogWrite, RaftLog } from "../../src/storage/log.ts";

export class DurableRecord {
  /** Everything up to here is in a snapshot or in the store. */
  #base = 0;
  /** Terms of entries; position is index - base - 1. */
  #terms: Term[] = [];
  /** Held and acknowledged once, then lost by damage: a leader may still count on it, and be right. */
  #lost = new Map<number, Term>();
  #hardState: HardState = { term: Term(0), vote: noMember, commit: LogIndex(0) };

  get hardState(): HardState {
    return this.#hardState;
  }

  get lastIndex(): number {
    return this.#base + this.#terms.length;
  }

  /** The entry is there, or what it did, or it was there until the disk was damaged. */
  holds(index: LogIndex, term: Term): boolean {
    if (index <= this.#base || this.#lost.get(index) === term) return true;
    return this.#terms[index - this.#base - 1] === term;
  }

  /** The next save in order is on the disk. */
  saved({ hardState, entries, snapshot }: LogWrite): void {
    if (hardState !== undefined) this.#hardState = hardState;
    if (snapshot !== undefined) {
      this.#base = snapshot.index;
      this.#terms = [];
    }
    const [first] = entries;
    if (first !== undefined) this.#terms.length = first.index - this.#base - 1;
    for (const { term } of entries) this.#terms.push(term);
  }

  /** What the log holds is durable, all of it: after a crash, and where the log syncs by itself. */
  reload(log: RaftLog): void {
    this.#hardState = log.initialState().hardState;
    this.#base = log.base().index;
    this.#terms = [];
    for (let index = this.#base + 1; index <= log.lastIndex(); index++) {
      this.#terms.push(log.term(LogIndex(index)) ?? Term(0));
    }
  }

  /** The disk is about to lose some of what it holds. */
  onDamage(): void {
    for (const [i, term] of this.#terms.entries()) this.#lost.set(this.#base + i + 1, term);
  }
}
