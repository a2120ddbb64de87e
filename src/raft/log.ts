// The log as one sequence: what the reader holds, then a tail that was not handed over yet.
import { assert } from "../base/assert.ts";
import { LogIndex, Term } from "../base/brand.ts";
import type { Entry, LogReader, SnapshotMeta } from "./types.ts";

/*
 *    snapshot | first ............ tailFirst-1 | tailFirst ......... last
 *             |  in the reader (handed over)   |  in memory, for the next Ready
 *
 *    applied <= handedOut <= commit <= last
 */
export class RaftLog {
  readonly #reader: LogReader;
  #tail: Entry[] = [];
  #tailFirst: number;
  /** Accepted from a leader, not yet handed over; hides everything in the reader. */
  #snapshot: SnapshotMeta | undefined;
  /** Last tail index within the Ready that is out; tailFirst - 1 for none. */
  #readyLast: number;
  #snapshotReady = false;
  #commit: LogIndex;
  #handedOut: LogIndex;
  #applied: LogIndex;

  constructor(reader: LogReader, { commit, applied }: { commit: LogIndex; applied: LogIndex }) {
    this.#reader = reader;
    this.#tailFirst = reader.lastIndex() + 1;
    this.#readyLast = this.#tailFirst - 1;
    // What is applied or in a snapshot was committed, even if the disk has not heard; a commit
    // index beyond the log (its end was lost) will be told again by a leader.
    const known = Math.max(commit, applied, reader.firstIndex() - 1);
    this.#commit = LogIndex(Math.min(known, reader.lastIndex()));
    assert(applied >= reader.firstIndex() - 1, "the state machine is older than the log");
    assert(applied <= reader.lastIndex(), "the state machine is ahead of the log");
    this.#handedOut = applied;
    this.#applied = applied;
  }

  get commit(): LogIndex {
    return this.#commit;
  }

  /** Last index given to the caller as committed. */
  get handedOut(): LogIndex {
    return this.#handedOut;
  }

  get applied(): LogIndex {
    return this.#applied;
  }

  get first(): LogIndex {
    return this.#snapshot ? LogIndex(this.#snapshot.index + 1) : this.#reader.firstIndex();
  }

  get last(): LogIndex {
    return LogIndex(this.#tailFirst + this.#tail.length - 1);
  }

  get lastTerm(): Term {
    return this.term(this.last) ?? Term(0);
  }

  get pendingSnapshot(): SnapshotMeta | undefined {
    return this.#snapshot;
  }

  get hasTail(): boolean {
    return this.#tail.length > 0;
  }

  /** Also known for the index before `first`; undefined outside of [first - 1, last]. */
  term(index: LogIndex): Term | undefined {
    if (index >= this.#tailFirst) return this.#tail[index - this.#tailFirst]?.term;
    if (this.#snapshot) return index === this.#snapshot.index ? this.#snapshot.term : undefined;
    return this.#reader.term(index);
  }

  matches(at: { index: LogIndex; term: Term }): boolean {
    return this.term(at.index) === at.term;
  }

  /** Is a log that ends there at least as new as this one (thesis 3.6.1)? */
  isUpToDate(end: { lastIndex: LogIndex; lastTerm: Term }): boolean {
    const term = this.lastTerm;
    return end.lastTerm > term || (end.lastTerm === term && end.lastIndex >= this.last);
  }

  /**
   * Highest index at or below `from` whose term is at most `term`: where two logs may agree.
   * Stops at the index before `first`, for which the term is 0 if unknown.
   */
  lastAtOrBelow(at: { index: LogIndex; term: Term }): { index: LogIndex; term: Term } {
    let index = Math.min(at.index, this.last);
    for (; index > 0; index--) {
      const term = this.term(LogIndex(index));
      if (term === undefined) return { index: LogIndex(index), term: Term(0) };
      if (term <= at.term) return { index: LogIndex(index), term };
    }
    return { index: LogIndex(0), term: Term(0) };
  }

  /** Entries of [from, to), cut after `bytesMax` of data but never below one entry. */
  entries(range: { from: LogIndex; to: LogIndex; bytesMax: number }): readonly Entry[] {
    const { from, to, bytesMax } = range;
    if (from >= to) return [];
    if (from >= this.#tailFirst) return this.#tailEntries(range);
    const stableTo = LogIndex(Math.min(to, this.#tailFirst));
    const stable = this.#reader.entries({ from, to: stableTo, bytesMax });
    if (stable.length < stableTo - from || to === stableTo) return stable;
    const bytesLeft = bytesMax - dataBytes(stable);
    if (bytesLeft <= 0) return stable;
    const rest = this.#tailEntries({ from: stableTo, to, bytesMax: bytesLeft });
    return dataBytes(rest) > bytesLeft ? stable : [...stable, ...rest];
  }

  #tailEntries({
    from,
    to,
    bytesMax,
  }: {
    from: LogIndex;
    to: LogIndex;
    bytesMax: number;
  }): Entry[] {
    const start = from - this.#tailFirst;
    const end = to - this.#tailFirst;
    let bytes = 0;
    for (let i = start; i < end; i++) {
      bytes += this.#tail[i]?.data.length ?? 0;
      if (bytes > bytesMax) return this.#tail.slice(start, Math.max(i, start + 1));
    }
    return this.#tail.slice(start, end);
  }

  /** Own entry of a leader, always at the end. */
  push(entry: Entry): void {
    assert(entry.index === this.last + 1, "a leader only appends");
    this.#tail.push(entry);
  }

  /**
   * Puts `entries` (contiguous, not empty) into the log; whatever was at or after the first
   * of them is gone.
   */
  replaceFrom(entries: readonly Entry[]): void {
    const first = entries[0]?.index ?? assertNever();
    assert(first > this.#commit, "a committed entry never changes");
    assert(first <= this.last + 1, "the log has no gaps");
    const keep = first - this.#tailFirst;
    if (keep >= 0) {
      this.#tail.length = keep;
      for (const entry of entries) this.#tail.push(entry);
    } else {
      this.#tail = entries.slice();
      this.#tailFirst = first;
    }
    this.#readyLast = Math.min(this.#readyLast, first - 1);
  }

  /** The log becomes nothing but this snapshot. */
  restore(meta: SnapshotMeta): void {
    assert(meta.index > this.#commit, "a snapshot never takes back a commit");
    this.#snapshot = meta;
    this.#snapshotReady = false;
    this.#tail = [];
    this.#tailFirst = meta.index + 1;
    this.#readyLast = meta.index;
    this.#commit = meta.index;
    this.#handedOut = meta.index;
  }

  /** @returns false when it did not move. */
  commitTo(index: LogIndex): boolean {
    if (index <= this.#commit) return false;
    assert(index <= this.last, "only what is in the log can be committed");
    this.#commit = index;
    return true;
  }

  /** The tail and the snapshot for a Ready; they stay until `handedOver`. */
  handOver(): { readonly entries: readonly Entry[]; readonly snapshot: SnapshotMeta | undefined } {
    this.#readyLast = this.last;
    this.#snapshotReady = this.#snapshot !== undefined;
    return {
      entries: this.#tail.length === 0 ? noEntries : this.#tail.slice(),
      snapshot: this.#snapshot,
    };
  }

  /** The reader holds them now, unless they were replaced meanwhile. */
  handedOver(): void {
    if (this.#snapshotReady) this.#snapshot = undefined;
    this.#snapshotReady = false;
    const count = this.#readyLast - this.#tailFirst + 1;
    if (count <= 0) return;
    if (count === this.#tail.length) this.#tail = [];
    else this.#tail.splice(0, count);
    this.#tailFirst += count;
  }

  /** Next committed entries up to `last`, which the caller has to apply. */
  takeCommitted({ last, bytesMax }: { last: LogIndex; bytesMax: number }): readonly Entry[] {
    if (last <= this.#handedOut) return noEntries;
    const from = LogIndex(this.#handedOut + 1);
    const entries = this.entries({ from, to: LogIndex(last + 1), bytesMax });
    this.#handedOut = LogIndex(this.#handedOut + entries.length);
    return entries;
  }

  /** Visits all entries after `after`, in order. */
  scan(after: LogIndex, visit: (entry: Entry) => void): void {
    let from = LogIndex(after + 1);
    while (from <= this.last) {
      const some = this.entries({ from, to: LogIndex(this.last + 1), bytesMax: scanBytes });
      for (const entry of some) visit(entry);
      from = LogIndex(from + some.length);
    }
  }

  appliedTo(index: LogIndex): void {
    assert(index <= this.#handedOut, "only committed entries are applied");
    this.#applied = LogIndex(Math.max(this.#applied, index));
  }
}

/** Read at a time when the whole log is visited. */
const scanBytes = 1024 * 1024;

export const noEntries: readonly Entry[] = Object.freeze([]);

/** Bytes of data, the measure of every limit in this room. */
export function dataBytes(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.data.length;
  return bytes;
}

function assertNever(): never {
  assert(false, "no entries to put into the log");
}
