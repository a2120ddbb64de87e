// What the records of a log add up to. Replay and live writes go through the same few changes.
import { LogIndex, noMember, Term } from "../base/brand.ts";
import type { HardState, RefillFloor, SnapshotMeta } from "../raft/types.ts";
import { EntryIndex, type Place } from "./entryIndex.ts";
import type { LogSummary } from "./record.ts";

export const noHardState: HardState = { term: Term(0), vote: noMember, commit: LogIndex(0) };

/** What covers both. */
export function higherFloor(a: RefillFloor, b: RefillFloor): RefillFloor {
  return {
    index: LogIndex(Math.max(a.index, b.index)),
    term: Term(Math.max(a.term, b.term)),
  };
}

/** How an entry does not follow from what is there. */
export type EntryRefusal = "gap" | "termBackwards";

export class LogState {
  hardState: HardState = noHardState;
  base: SnapshotMeta;
  /** Set while entries that were acknowledged are missing. */
  refill: RefillFloor | undefined;
  readonly entries = new EntryIndex();
  /** Per segment, the highest live entry index that it holds. */
  readonly #indexMax = new Map<number, number>();

  constructor(base: SnapshotMeta) {
    this.base = base;
    this.entries.reset(base.index + 1);
  }

  get lastIndex(): number {
    return this.entries.next - 1;
  }

  /** What the head of a batch says of the log; see record.ts. */
  summary(): LogSummary {
    const { hardState, refill, lastIndex } = this;
    const end = { index: LogIndex(lastIndex), term: this.term(lastIndex) ?? Term(0) };
    return {
      term: hardState.term,
      vote: hardState.vote,
      last: refill === undefined ? end : higherFloor(end, refill),
      isRefilling: refill !== undefined,
    };
  }

  /** Term at `index`, also at the base; undefined outside. */
  term(index: number): Term | undefined {
    if (index === this.base.index) return this.base.term;
    if (index < this.entries.first || index >= this.entries.next) return undefined;
    return Term(this.entries.term(index));
  }

  /** Adds the entry, in place of everything at or after its index. */
  append(index: number, term: number, place: Place): EntryRefusal | undefined {
    const { entries, base } = this;
    const empty = entries.next === entries.first;
    if (index <= base.index || (index > entries.next && !empty)) return "gap";
    // The first segment that is left may start anywhere in the log, even with entries that replace
    // one another; `hole` judges it at the end.
    if (empty || index < entries.first) entries.reset(index);
    if (term < (this.term(index - 1) ?? 0)) return "termBackwards";
    this.#truncateFrom(index);
    entries.push(term, place);
    this.#indexMax.set(place.sequence, index);
    return undefined;
  }

  /** A snapshot takes the place of all entries. */
  reset(base: SnapshotMeta): void {
    this.base = base;
    this.entries.reset(base.index + 1);
    this.#indexMax.clear();
  }

  /** Entries up to the base's index go; what follows stays. */
  trim(base: SnapshotMeta): void {
    if (base.index < this.base.index) return;
    this.base = base;
    if (base.index >= this.lastIndex) this.entries.reset(base.index + 1);
    else this.entries.dropBefore(base.index + 1);
  }

  /** First index of entries that do not follow the base, or undefined when all is well. */
  hole(): number | undefined {
    return this.entries.first > this.base.index + 1 ? this.entries.first : undefined;
  }

  /** True when no entry behind the base lies in the segment. */
  isSpent(sequence: number): boolean {
    return (this.#indexMax.get(sequence) ?? 0) <= this.base.index;
  }

  forgetSegment(sequence: number): void {
    this.#indexMax.delete(sequence);
  }

  #truncateFrom(index: number): void {
    if (index >= this.entries.next) return;
    this.entries.truncateFrom(index);
    for (const [sequence, max] of this.#indexMax) {
      if (max >= index) this.#indexMax.set(sequence, index - 1);
    }
  }
}
