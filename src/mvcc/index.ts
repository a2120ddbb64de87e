// Ordered map of KeyIndex: a Map for points, sorted chunks for ranges. Overwrites never touch the
// chunks; only keys that appear, die, revive or vanish do.
import { assert } from "../base/assert.ts";
import { KeyIndex } from "./keyIndex.ts";
import { sortByKey } from "./sortByKey.ts";

interface Chunk {
  /** Ascending by key; never empty. */
  entries: KeyIndex[];
  /** Entries that are not alive: history without a current version. */
  dead: number;
}

/** Keys in [from, to); without `to` up to the end. latin1. */
export interface KeyRange {
  readonly from: string;
  readonly to: string | undefined;
}

export const chunkEntriesMax = 256;

export class Index {
  readonly #points = new Map<string, KeyIndex>();
  #chunks: Chunk[] = [];
  /** First key of each chunk: the search stays within one array. */
  #firsts: string[] = [];

  /** Keys, dead ones included. */
  get size(): number {
    return this.#points.size;
  }

  get(key: string): KeyIndex | undefined {
    return this.#points.get(key);
  }

  /** Records a put. */
  put(key: string, main: number, sub: number): KeyIndex {
    const found = this.#points.get(key);
    if (found === undefined) return this.#create(key, main, sub);
    if (!found.alive) this.#chunkOf(key).dead--;
    found.put(main, sub);
    return found;
  }

  /** Ends the life of a living key. */
  tombstone(entry: KeyIndex, main: number, sub: number): void {
    entry.tombstone(main, sub);
    this.#chunkOf(entry.key).dead++;
  }

  /** Forgets a dead key altogether. */
  remove(entry: KeyIndex): void {
    assert(!entry.alive, "only dead keys leave the index");
    this.#points.delete(entry.key);
    const at = this.#chunkAt(entry.key);
    const chunk = this.#chunks[at];
    assert(chunk !== undefined, "a known key has a chunk");
    chunk.entries.splice(lowerBound(chunk.entries, entry.key), 1);
    chunk.dead--;
    if (chunk.entries.length === 0) {
      this.#chunks.splice(at, 1);
      this.#firsts.splice(at, 1);
      return;
    }
    this.#firsts[at] = chunk.entries[0]?.key ?? "";
    this.#mergeWithNext(at);
  }

  /** Keys in ascending order, dead ones included, until `visit` returns false. It must not change the index. */
  visit(range: KeyRange, visit: (entry: KeyIndex) => boolean): void {
    const { from, to } = range;
    for (let at = Math.max(0, this.#chunkAt(from)); at < this.#chunks.length; at++) {
      const entries = this.#chunks[at]?.entries ?? [];
      const first = this.#firsts[at] ?? "";
      if (to !== undefined && first >= to) return;
      for (let i = first < from ? lowerBound(entries, from) : 0; i < entries.length; i++) {
        const entry = entries[i];
        if (entry === undefined || (to !== undefined && entry.key >= to) || !visit(entry)) return;
      }
    }
  }

  /** Living keys of a range; costs a step per chunk, not per key. */
  countAlive(range: KeyRange): number {
    const { from, to } = range;
    if (this.#chunks.length === 0 || (to !== undefined && to <= from)) return 0;
    const firstChunk = Math.max(0, this.#chunkAt(from));
    const lastChunk = to === undefined ? this.#chunks.length - 1 : this.#chunkAt(to);
    let count = 0;
    for (let at = firstChunk; at <= lastChunk; at++) {
      const chunk = this.#chunks[at];
      if (chunk === undefined) continue;
      const { entries } = chunk;
      const start = at === firstChunk ? lowerBound(entries, from) : 0;
      const end = at === lastChunk && to !== undefined ? lowerBound(entries, to) : entries.length;
      if (start === 0 && end === entries.length) count += end - chunk.dead;
      else for (let i = start; i < end; i++) if (entries[i]?.alive) count++;
    }
    return count;
  }

  /** The entry of a row read at boot; `seal` must follow before anything but `get` and `restore`. */
  restore(key: string): KeyIndex {
    let entry = this.#points.get(key);
    if (entry === undefined) {
      entry = new KeyIndex(key);
      this.#points.set(key, entry);
    }
    return entry;
  }

  /** Sorts what `restore` made. */
  seal(): void {
    const sorted = sortByKey([...this.#points.values()]);
    this.#chunks = [];
    this.#firsts = [];
    // Three quarters full: room for keys to come, without a split at once.
    const entriesPerChunk = (chunkEntriesMax * 3) / 4;
    for (let from = 0; from < sorted.length; from += entriesPerChunk) {
      const entries = sorted.slice(from, from + entriesPerChunk);
      this.#chunks.push({ entries, dead: deadIn(entries) });
      this.#firsts.push(entries[0]?.key ?? "");
    }
  }

  #create(key: string, main: number, sub: number): KeyIndex {
    const entry = new KeyIndex(key);
    entry.put(main, sub);
    this.#points.set(key, entry);
    const at = Math.max(0, this.#chunkAt(key));
    const chunk = this.#chunks[at];
    if (chunk === undefined) {
      this.#chunks.push({ entries: [entry], dead: 0 });
      this.#firsts.push(key);
      return entry;
    }
    const { entries } = chunk;
    const position = lowerBound(entries, key);
    if (position === entries.length) entries.push(entry);
    else entries.splice(position, 0, entry);
    if (position === 0) this.#firsts[at] = key;
    if (entries.length > chunkEntriesMax) this.#split(at, chunk, position);
    return entry;
  }

  #split(at: number, chunk: Chunk, position: number): void {
    const { entries } = chunk;
    // Keys that come in ascending order leave full chunks behind, others two halves.
    const appended = at === this.#chunks.length - 1 && position === entries.length - 1;
    const cut = appended ? position : entries.length >>> 1;
    const right = entries.slice(cut);
    chunk.entries = entries.slice(0, cut);
    const dead = deadIn(right);
    chunk.dead -= dead;
    this.#chunks.splice(at + 1, 0, { entries: right, dead });
    this.#firsts.splice(at + 1, 0, right[0]?.key ?? "");
  }

  #mergeWithNext(at: number): void {
    const chunk = this.#chunks[at];
    const next = this.#chunks[at + 1];
    if (chunk === undefined || next === undefined) return;
    if (chunk.entries.length + next.entries.length > chunkEntriesMax / 2) return;
    chunk.entries = chunk.entries.concat(next.entries);
    chunk.dead += next.dead;
    this.#chunks.splice(at + 1, 1);
    this.#firsts.splice(at + 1, 1);
  }

  #chunkOf(key: string): Chunk {
    const chunk = this.#chunks[this.#chunkAt(key)];
    assert(chunk !== undefined, "a known key has a chunk");
    return chunk;
  }

  /** The last chunk that starts at or below `key`; -1 when all start above. */
  #chunkAt(key: string): number {
    const firsts = this.#firsts;
    let low = 0;
    let high = firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((firsts[middle] ?? "") <= key) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** Position of the first entry at or above `key`. */
function lowerBound(entries: readonly KeyIndex[], key: string): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle]?.key ?? "") < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function deadIn(entries: readonly KeyIndex[]): number {
  let dead = 0;
  for (const entry of entries) if (!entry.alive) dead++;
  return dead;
}
