// One record per key, found by the bytes of the key. Records lie in pages of plain numbers: a million of
// them are a thousand objects to the collector, and a look-up makes none.
//
//   record, 48 bytes: | main f64 | created f64 | version f64 | sub | hash | next | address | length | history |
//
// The last six are 32 bits each. `next` is the next record of the same bucket, or free record. Buckets
// grow one at a time (linear hashing; Litwin, 1980), so no put ever waits for a table to be copied:
//
//   buckets   0 ... split ... size | ... size + split
//             <-- split --><- not yet ->|<- other halves ->
import { latin1Of, type Span } from "../base/bytes.ts";
import { KeyBytes, offsetOf } from "./keyBytes.ts";
import { type HashSeed, keyHash } from "./keyHash.ts";

/** A slot is the number of a record, from 1. */
export const noKey = 0;

const pageBits = 10;
const pageMask = (1 << pageBits) - 1;
const doubles = 6;
const words = 2 * doubles;
/** Doubles of a record. */
const Double = { main: 0, created: 1, version: 2 } as const;
/** Words of a record, of 32 bits. */
const Word = { sub: 6, hash: 7, next: 8, address: 9, length: 10, history: 11 } as const;
/** Buckets that `reserve` makes at most: 4 MiB, if they turn out not to be needed. */
const reservedMax = 2 ** 20;
/** Length in a free record. */
const freeLength = -1;
const noDoubles = new Float64Array(0);
const noWords = new Int32Array(0);

export class KeyTable {
  readonly #seed: HashSeed;
  readonly #bytes = new KeyBytes();
  readonly #doubles: Float64Array[] = [];
  readonly #words: Int32Array[] = [];
  /** First record of each bucket. */
  readonly #heads: Int32Array[] = [];
  /** Buckets before this round of splits, a power of two, and how many are split. */
  #round = 1;
  #split = 0;
  #size = 0;
  /** Slots given out so far, and the first of those that came back. */
  #used = 0;
  #freed = noKey;
  /** Bytes that the key compared last has in common with the other. */
  #shared = 0;

  constructor(seed: HashSeed) {
    this.#seed = seed;
  }

  get size(): number {
    return this.#size;
  }

  /** For an empty table that is to hold so many keys: their records are not moved as it grows. */
  reserve(keys: number): void {
    while (this.#round < Math.min(keys, reservedMax)) this.#round *= 2;
  }

  /** All slots in use, in no order. */
  slots(): Uint32Array {
    const slots = new Uint32Array(this.#size);
    let count = 0;
    for (let slot = 1; slot <= this.#used; slot++) {
      if (this.#word(slot, Word.length) !== freeLength) slots[count++] = slot;
    }
    return slots;
  }

  /** @returns the slot of a key, or `noKey`. */
  find({ bytes, from, to }: Span): number {
    const hash = keyHash(this.#seed, bytes, from, to);
    const length = to - from;
    let slot = this.#head(hash);
    while (slot !== noKey) {
      const page = this.#words[slot >>> pageBits] ?? noWords;
      const at = words * (slot & pageMask);
      if (page[at + Word.hash] === hash && page[at + Word.length] === length) {
        const address = page[at + Word.address] ?? 0;
        const slab = this.#bytes.slab(address);
        const start = offsetOf(address);
        let i = 0;
        while (i < length && slab[start + i] === bytes[from + i]) i++;
        if (i === length) return slot;
      }
      slot = page[at + Word.next] ?? noKey;
    }
    return noKey;
  }

  /** @returns the slot of a key that is not in the table yet; its record is all zeros. */
  add(key: Span): number {
    const slot = this.#freeSlot();
    const hash = keyHash(this.#seed, key.bytes, key.from, key.to);
    const page = this.#words[slot >>> pageBits] ?? noWords;
    const at = words * (slot & pageMask);
    for (let i = 0; i < doubles; i++) this.#setDouble(slot, i, 0);
    page[at + Word.hash] = hash;
    page[at + Word.address] = this.#bytes.add(key);
    page[at + Word.length] = key.to - key.from;
    this.#size++;
    if (this.#size > this.#round + this.#split) this.#splitNext();
    this.#link(slot, this.#bucketOf(hash));
    return slot;
  }

  remove(slot: number): void {
    const bucket = this.#bucketOf(this.#word(slot, Word.hash));
    const next = this.#word(slot, Word.next);
    let before = this.#headOf(bucket);
    if (before === slot) this.#setHead(bucket, next);
    else {
      while (this.#word(before, Word.next) !== slot) before = this.#word(before, Word.next);
      this.#setWord(before, Word.next, next);
    }
    this.#bytes.free(this.#word(slot, Word.address), this.#word(slot, Word.length));
    this.#setWord(slot, Word.next, this.#freed);
    this.#setWord(slot, Word.length, freeLength);
    this.#freed = slot;
    this.#size--;
  }

  main(slot: number): number {
    return this.#double(slot, Double.main);
  }

  sub(slot: number): number {
    return this.#word(slot, Word.sub) >>> 0;
  }

  created(slot: number): number {
    return this.#double(slot, Double.created);
  }

  version(slot: number): number {
    return this.#double(slot, Double.version);
  }

  /** Whatever the caller keeps of a slot; 0 at first. */
  history(slot: number): number {
    return this.#word(slot, Word.history);
  }

  setHistory(slot: number, history: number): void {
    this.#setWord(slot, Word.history, history);
  }

  setChange(slot: number, main: number, sub: number): void {
    this.#setDouble(slot, Double.main, main);
    this.#setWord(slot, Word.sub, sub);
  }

  setLife(slot: number, created: number, version: number): void {
    this.#setDouble(slot, Double.created, created);
    this.#setDouble(slot, Double.version, version);
  }

  setVersion(slot: number, version: number): void {
    this.#setDouble(slot, Double.version, version);
  }

  /** The key as latin1. */
  text(slot: number): string {
    const { bytes, from, to } = this.span(slot);
    return latin1Of(bytes, from, to);
  }

  /** Where the bytes of the key are, until it is removed. */
  span(slot: number): Span {
    return this.#bytes.span(this.#word(slot, Word.address), this.#word(slot, Word.length));
  }

  /**
   * Order of the key of a slot and another: negative, 0 or positive.
   *
   * @param known bytes at the start of which it is known that both share them.
   */
  compare(slot: number, { bytes, from, to }: Span, known: number): number {
    const page = this.#words[slot >>> pageBits] ?? noWords;
    const at = words * (slot & pageMask);
    const address = page[at + Word.address] ?? 0;
    const slotLength = page[at + Word.length] ?? 0;
    const slab = this.#bytes.slab(address);
    const start = offsetOf(address);
    const length = Math.min(slotLength, to - from);
    let i = known;
    while (i < length && slab[start + i] === bytes[from + i]) i++;
    this.#shared = i;
    if (i < length) return (slab[start + i] ?? 0) - (bytes[from + i] ?? 0);
    return slotLength - (to - from);
  }

  /** Bytes [skip, skip + count) of the key as one number; 0 stands for a byte behind its end. */
  rank(slot: number, skip: number, count: number, base: number): number {
    const page = this.#words[slot >>> pageBits] ?? noWords;
    const at = words * (slot & pageMask);
    const address = page[at + Word.address] ?? 0;
    const slab = this.#bytes.slab(address);
    const start = offsetOf(address);
    const end = start + (page[at + Word.length] ?? 0);
    let rank = 0;
    for (let i = start + skip; i < start + skip + count; i++) {
      rank = rank * base + (i < end ? (slab[i] ?? 0) + 1 : 0);
    }
    return rank;
  }

  /** Bytes that both keys of the last `compare` begin with. */
  get shared(): number {
    return this.#shared;
  }

  #freeSlot(): number {
    const slot = this.#freed;
    if (slot !== noKey) {
      this.#freed = this.#word(slot, Word.next);
      return slot;
    }
    this.#used++;
    if (this.#used >>> pageBits === this.#words.length) this.#addPage();
    return this.#used;
  }

  #addPage(): void {
    const page = new ArrayBuffer(8 * doubles * (pageMask + 1));
    this.#doubles.push(new Float64Array(page));
    this.#words.push(new Int32Array(page));
  }

  #bucketOf(hash: number): number {
    const bucket = hash & (this.#round - 1);
    return bucket < this.#split ? hash & (2 * this.#round - 1) : bucket;
  }

  /** First record of the bucket of a hash. */
  #head(hash: number): number {
    return this.#headOf(this.#bucketOf(hash));
  }

  #headOf(bucket: number): number {
    return this.#heads[bucket >>> pageBits]?.[bucket & pageMask] ?? noKey;
  }

  #setHead(bucket: number, slot: number): void {
    const number = bucket >>> pageBits;
    let page = this.#heads[number];
    if (page === undefined) {
      page = new Int32Array(pageMask + 1);
      this.#heads[number] = page;
    }
    page[bucket & pageMask] = slot;
  }

  #link(slot: number, bucket: number): void {
    this.#setWord(slot, Word.next, this.#headOf(bucket));
    this.#setHead(bucket, slot);
  }

  /** Shares the records of one bucket out between it and a new one. */
  #splitNext(): void {
    let slot = this.#headOf(this.#split);
    this.#setHead(this.#split, noKey);
    this.#setHead(this.#split + this.#round, noKey);
    this.#split++;
    while (slot !== noKey) {
      const next = this.#word(slot, Word.next);
      const hash = this.#word(slot, Word.hash);
      this.#link(slot, hash & (2 * this.#round - 1));
      slot = next;
    }
    if (this.#split < this.#round) return;
    this.#round *= 2;
    this.#split = 0;
  }

  #word(slot: number, word: number): number {
    return this.#words[slot >>> pageBits]?.[words * (slot & pageMask) + word] ?? 0;
  }

  #setWord(slot: number, word: number, value: number): void {
    const page = this.#words[slot >>> pageBits] ?? noWords;
    page[words * (slot & pageMask) + word] = value;
  }

  #double(slot: number, double: number): number {
    return this.#doubles[slot >>> pageBits]?.[doubles * (slot & pageMask) + double] ?? 0;
  }

  #setDouble(slot: number, double: number, value: number): void {
    const page = this.#doubles[slot >>> pageBits] ?? noDoubles;
    page[doubles * (slot & pageMask) + double] = value;
  }
}
