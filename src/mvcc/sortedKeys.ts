// Slots in the order of their keys, in chunks: a new key moves one chunk, not the table.
import { assert } from "../base/assert.ts";
import { type Span, spanOf } from "../base/bytes.ts";
import { type KeyTable, noKey } from "./keyTable.ts";

interface Chunk {
  /** Ascending by key: [0, count), never none. */
  readonly slots: Uint32Array;
  count: number;
  /** Slots that are not alive: history without a current version. */
  dead: number;
}

/** Keys in [from, to); without `to` up to the end. */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array | undefined;
}

export const chunkSlotsMax = 256;
/** Three quarters full: room for keys to come, without a split at once. */
const sealedSlots = (chunkSlotsMax * 3) / 4;

export class SortedKeys {
  readonly #table: KeyTable;
  #chunks: Chunk[] = [];
  /** First slot of each chunk: the search stays within one array. */
  #firsts: number[] = [];
  /** Of the search for a chunk: bytes that the key shares with the first of that chunk and the next. */
  #sharedLow = 0;
  #sharedHigh = 0;

  constructor(table: KeyTable) {
    this.#table = table;
  }

  /** Adds the slot of a living key that is not here. */
  add(slot: number): void {
    const key = this.#table.span(slot);
    const at = Math.max(0, this.#chunkAt(key));
    const chunk = this.#chunks[at];
    if (chunk === undefined) {
      this.#chunks.push(chunkOf([slot], 0));
      this.#firsts.push(slot);
      return;
    }
    const position = this.#within(chunk, key);
    chunk.slots.copyWithin(position + 1, position, chunk.count);
    chunk.slots[position] = slot;
    chunk.count++;
    if (position === 0) this.#firsts[at] = slot;
    if (chunk.count > chunkSlotsMax) this.#split(at, chunk, position);
  }

  /** Takes a dead key away; the table still has it. */
  remove(slot: number): void {
    const key = this.#table.span(slot);
    const at = this.#chunkAt(key);
    const chunk = this.#chunks[at];
    assert(chunk !== undefined, "a known key has a chunk");
    const position = this.#within(chunk, key);
    chunk.slots.copyWithin(position, position + 1, chunk.count);
    chunk.count--;
    chunk.dead--;
    if (chunk.count === 0) {
      this.#chunks.splice(at, 1);
      this.#firsts.splice(at, 1);
      return;
    }
    this.#firsts[at] = chunk.slots[0] ?? noKey;
    this.#mergeWithNext(at);
  }

  /** The key of a slot died (1) or revived (-1). */
  noteDead(slot: number, change: 1 | -1): void {
    const chunk = this.#chunks[this.#chunkAt(this.#table.span(slot))];
    assert(chunk !== undefined, "a known key has a chunk");
    chunk.dead += change;
  }

  /** Slots in ascending order of keys until `visit` returns false. It must not change anything here. */
  visit(range: KeyRange, visit: (slot: number) => boolean): void {
    const from = spanOf(range.from);
    const to = range.to && spanOf(range.to);
    const first = this.#chunkAt(from);
    for (let at = Math.max(0, first); at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at];
      if (chunk === undefined) return;
      // Where the range ends is looked for once in a chunk, not at each key.
      const end = this.#endWithin(at, chunk, to);
      for (let i = at === first ? this.#lowerBound(chunk, from) : 0; i < end; i++) {
        if (!visit(chunk.slots[i] ?? noKey)) return;
      }
      if (end < chunk.count) return;
    }
  }

  /** Living keys of a range; costs a step per chunk, not per key. */
  countAlive(range: KeyRange): number {
    const from = spanOf(range.from);
    const to = range.to && spanOf(range.to);
    const first = this.#chunkAt(from);
    let count = 0;
    for (let at = Math.max(0, first); at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at];
      if (chunk === undefined) break;
      const start = at === first ? this.#lowerBound(chunk, from) : 0;
      const end = this.#endWithin(at, chunk, to);
      if (start === 0 && end === chunk.count) count += end - chunk.dead;
      else for (let i = start; i < end; i++) if (this.#isAlive(chunk.slots[i])) count++;
      if (end < chunk.count) break;
    }
    return count;
  }

  /** Takes all keys anew. @param slots ascending by key. */
  fill(slots: Uint32Array): void {
    this.#chunks = [];
    this.#firsts = [];
    for (let from = 0; from < slots.length; from += sealedSlots) {
      const part = slots.subarray(from, from + sealedSlots);
      let dead = 0;
      for (const slot of part) if (!this.#isAlive(slot)) dead++;
      this.#chunks.push(chunkOf(part, dead));
      this.#firsts.push(part[0] ?? noKey);
    }
  }

  #isAlive(slot: number | undefined): boolean {
    return this.#table.version(slot ?? noKey) > 0;
  }

  #split(at: number, chunk: Chunk, position: number): void {
    // Keys that come in ascending order leave full chunks behind, others two halves.
    const appended = at === this.#chunks.length - 1 && position === chunk.count - 1;
    const cut = appended ? position : chunk.count >>> 1;
    const right = chunk.slots.subarray(cut, chunk.count);
    let dead = 0;
    for (const slot of right) if (!this.#isAlive(slot)) dead++;
    chunk.count = cut;
    chunk.dead -= dead;
    this.#chunks.splice(at + 1, 0, chunkOf(right, dead));
    this.#firsts.splice(at + 1, 0, right[0] ?? noKey);
  }

  #mergeWithNext(at: number): void {
    const chunk = this.#chunks[at];
    const next = this.#chunks[at + 1];
    if (chunk === undefined || next === undefined) return;
    if (chunk.count + next.count > chunkSlotsMax / 2) return;
    chunk.slots.set(next.slots.subarray(0, next.count), chunk.count);
    chunk.count += next.count;
    chunk.dead += next.dead;
    this.#chunks.splice(at + 1, 1);
    this.#firsts.splice(at + 1, 1);
  }

  /** The last chunk that starts at or below `key`; -1 when all start above. */
  #chunkAt(key: Span): number {
    const firsts = this.#firsts;
    let low = 0;
    let high = firsts.length;
    let sharedLow = 0;
    let sharedHigh = 0;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const known = Math.min(sharedLow, sharedHigh);
      if (this.#table.compare(firsts[middle] ?? noKey, key, known) <= 0) {
        low = middle + 1;
        sharedLow = this.#table.shared;
      } else {
        high = middle;
        sharedHigh = this.#table.shared;
      }
    }
    this.#sharedLow = sharedLow;
    this.#sharedHigh = sharedHigh;
    return low - 1;
  }

  /** Place in the chunk that `#chunkAt` has just found. */
  #within(chunk: Chunk, key: Span): number {
    return this.#lowerBound(chunk, key, this.#sharedLow, this.#sharedHigh);
  }

  #endWithin(at: number, chunk: Chunk, to: Span | undefined): number {
    if (to === undefined) return chunk.count;
    // Whole chunks end before the first key of the next.
    const next = this.#firsts[at + 1];
    if (next !== undefined && this.#table.compare(next, to, 0) <= 0) return chunk.count;
    return this.#lowerBound(chunk, to);
  }

  /**
   * Place of the first slot at or above `key`.
   *
   * @param low  bytes that the key shares with all that is below the chunk, and with its first.
   * @param high bytes that it shares with all above.
   */
  #lowerBound(chunk: Chunk, key: Span, low = 0, high = 0): number {
    const { slots } = chunk;
    let [from, to, sharedLow, sharedHigh] = [0, chunk.count, low, high];
    while (from < to) {
      const middle = (from + to) >>> 1;
      const known = Math.min(sharedLow, sharedHigh);
      if (this.#table.compare(slots[middle] ?? noKey, key, known) < 0) {
        from = middle + 1;
        sharedLow = this.#table.shared;
      } else {
        to = middle;
        sharedHigh = this.#table.shared;
      }
    }
    return from;
  }
}

function chunkOf(slots: ArrayLike<number>, dead: number): Chunk {
  // One more, as a chunk is split when it has become too long.
  const own = new Uint32Array(chunkSlotsMax + 1);
  own.set(slots);
  return { slots: own, count: slots.length, dead };
}
