// The newest entries of a log in memory, as they were given, up to a bound in bytes.
import type { Entry } from "../raft/types.ts";

/** What an entry costs beside its data. */
const entryOverheadBytes = 128;

export class RecentEntries {
  readonly #bytesMax: number;
  /** Live from `#head` on; consecutive indexes. */
  #entries: Entry[] = [];
  #head = 0;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Adds the entry behind the last one, or in place of everything from its index on. */
  push(entry: Entry): void {
    this.truncateFrom(entry.index);
    this.#entries.push(entry);
    this.#bytes += costOf(entry);
    // The newest one stays, however large.
    while (this.#bytes > this.#bytesMax && this.#entries.length - this.#head > 1)
      this.#dropOldest();
  }

  get(index: number): Entry | undefined {
    const first = this.#entries[this.#head];
    return first && index >= first.index
      ? this.#entries[this.#head + index - first.index]
      : undefined;
  }

  truncateFrom(index: number): void {
    for (let last = this.#last(); last && last.index >= index; last = this.#last()) {
      this.#entries.pop();
      this.#bytes -= costOf(last);
    }
  }

  dropBefore(index: number): void {
    for (let first = this.#entries[this.#head]; first && first.index < index; ) {
      this.#dropOldest();
      first = this.#entries[this.#head];
    }
  }

  clear(): void {
    this.#entries = [];
    this.#head = 0;
    this.#bytes = 0;
  }

  #last(): Entry | undefined {
    return this.#entries.length > this.#head ? this.#entries.at(-1) : undefined;
  }

  #dropOldest(): void {
    const first = this.#entries[this.#head];
    if (first === undefined) return;
    this.#bytes -= costOf(first);
    this.#head++;
    // The dead front still refers to its entries: cut it off once it is the larger half.
    if (this.#head > 64 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }
}

const costOf = (entry: Entry): number => entry.data.length + entryOverheadBytes;
