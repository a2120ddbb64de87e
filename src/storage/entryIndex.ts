// Where each entry lies on disk, and its term: four bytes an entry, runs for what seldom changes.
import { assert } from "../base/assert.ts";

/** A step function over log indexes: from each start on, its value. Starts ascend. */
class Runs {
  #starts: number[] = [];
  #values: number[] = [];

  push(start: number, value: number): void {
    if (this.#values.at(-1) === value) return;
    this.#starts.push(start);
    this.#values.push(value);
  }

  at(index: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] ?? 0) <= index) low = middle + 1;
      else high = middle;
    }
    return this.#values[low - 1] ?? 0;
  }

  truncateFrom(index: number): void {
    while ((this.#starts.at(-1) ?? -1) >= index) {
      this.#starts.pop();
      this.#values.pop();
    }
  }

  dropBefore(index: number): void {
    let drop = 0;
    while (drop + 1 < this.#starts.length && (this.#starts[drop + 1] ?? 0) <= index) drop++;
    if (drop === 0) return;
    this.#starts.splice(0, drop);
    this.#values.splice(0, drop);
  }

  clear(): void {
    this.#starts = [];
    this.#values = [];
  }
}

/** Place of a record: its segment's sequence, and its offset in there, a multiple of 8. */
export interface Place {
  readonly sequence: number;
  readonly offset: number;
}

export class EntryIndex {
  #first = 1;
  #count = 0;
  /** Slot of entry i is `#head + i - #first`; an offset divided by 8. */
  #slots = new Uint32Array(1024);
  #head = 0;
  readonly #terms = new Runs();
  readonly #sequences = new Runs();

  /** Lowest index held; `next` when empty. */
  get first(): number {
    return this.#first;
  }

  /** One above the highest index held. */
  get next(): number {
    return this.#first + this.#count;
  }

  /** Becomes empty; the next entry may have any index from `first` on. */
  reset(first: number): void {
    this.#first = first;
    this.#count = 0;
    this.#head = 0;
    this.#terms.clear();
    this.#sequences.clear();
  }

  /** Adds the entry with index `next`. */
  push(term: number, place: Place): void {
    if (this.#head + this.#count === this.#slots.length) this.#makeRoom();
    this.#slots[this.#head + this.#count] = place.offset / 8;
    this.#terms.push(this.next, term);
    this.#sequences.push(this.next, place.sequence);
    this.#count++;
  }

  /** Forgets entries at or above `index`. */
  truncateFrom(index: number): void {
    if (index >= this.next) return;
    this.#count = Math.max(0, index - this.#first);
    this.#terms.truncateFrom(index);
    this.#sequences.truncateFrom(index);
  }

  /** Forgets entries below `index`, which is at most `next`. */
  dropBefore(index: number): void {
    if (index <= this.#first) return;
    const drop = index - this.#first;
    assert(drop <= this.#count, "dropping entries that are not held");
    this.#head += drop;
    this.#first = index;
    this.#count -= drop;
    this.#terms.dropBefore(index);
    this.#sequences.dropBefore(index);
  }

  /** @param index within [first, next). */
  term(index: number): number {
    return this.#terms.at(index);
  }

  /** @param index within [first, next). */
  place(index: number): Place {
    const slot = this.#slots[this.#head + index - this.#first] ?? 0;
    return { sequence: this.#sequences.at(index), offset: slot * 8 };
  }

  /**
   * For each entry the bytes from its record to the next one's: what was written in between counts. The
   * last of a segment and the newest count as nothing, as where they end is not known.
   */
  visitSizes(visit: (index: number, bytes: number) => void): void {
    if (this.#count === 0) return;
    let here = this.place(this.#first);
    for (let index = this.#first; index < this.next; index++) {
      const after = index + 1 < this.next ? this.place(index + 1) : here;
      const isSame = after.sequence === here.sequence;
      visit(index, isSame ? Math.max(0, after.offset - here.offset) : 0);
      here = after;
    }
  }

  // Moves the live slots to the front, of a larger array unless half of this one is dead.
  #makeRoom(): void {
    const live = this.#slots.subarray(this.#head, this.#head + this.#count);
    const length = this.#slots.length;
    if (this.#head > length / 2) {
      this.#slots.copyWithin(0, this.#head, this.#head + this.#count);
    } else {
      this.#slots = new Uint32Array(length * 2);
      this.#slots.set(live);
    }
    this.#head = 0;
  }
}
