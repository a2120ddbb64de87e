// The bytes of all keys, one behind another in slabs, outside of the heap that the collector walks. A key
// is named by an address; its length is for the caller to keep.
//
//   address: | number of the slab | place in units of 4 bytes u16 |
//
// The place of a key that was freed goes to the next key of as many units.
import { assert } from "../base/assert.ts";
import type { Span } from "../base/bytes.ts";

const unitsPerSlab = 65_536;
const slabsMax = 65_536;
const slabBytesMin = 4_096;
const slabBytesMax = 4 * unitsPerSlab;
/** A longer key has a slab of its own, and leaves a hole in the numbers when it goes. */
const sharedBytesMax = slabBytesMax / 4;
const noBytes = new Uint8Array(0);

export class KeyBytes {
  readonly #slabs: Uint8Array[] = [];
  /** The slab with room, where that begins, and how long the next will be. */
  #open = -1;
  #free = 0;
  #nextBytes = slabBytesMin;
  /** Freed addresses by units; numbers of freed slabs. */
  readonly #freed = new Map<number, number[]>();
  readonly #freedSlabs: number[] = [];

  /** Copies bytes [from, to). @returns their address, 32 bits, signed. */
  add({ bytes, from, to }: Span): number {
    const length = to - from;
    const address = length > sharedBytesMax ? this.#addSlab(length) : this.#place(length);
    const slab = this.#slabs[address >>> 16] ?? noBytes;
    const at = offsetOf(address);
    for (let i = 0; i < length; i++) slab[at + i] = bytes[from + i] ?? 0;
    return address;
  }

  free(address: number, length: number): void {
    if (length > sharedBytesMax) {
      this.#slabs[address >>> 16] = noBytes;
      this.#freedSlabs.push(address >>> 16);
      return;
    }
    const freed = this.#freed.get(unitsOf(length));
    if (freed === undefined) this.#freed.set(unitsOf(length), [address]);
    else freed.push(address);
  }

  /** Where the bytes are: nobody but this writes to them, and only after `free`. */
  span(address: number, length: number): Span {
    const from = offsetOf(address);
    return { bytes: this.slab(address), from, to: from + length };
  }

  /** The array that holds the bytes, from `offsetOf` on. */
  slab(address: number): Uint8Array {
    return this.#slabs[address >>> 16] ?? noBytes;
  }

  #place(length: number): number {
    const units = unitsOf(length);
    const freed = this.#freed.size === 0 ? undefined : this.#freed.get(units)?.pop();
    if (freed !== undefined) return freed;
    const open = this.#slabs[this.#open];
    if (open === undefined || 4 * (this.#free + units) > open.length) this.#openNext(4 * units);
    const address = (this.#open << 16) | this.#free;
    this.#free += units;
    return address;
  }

  #openNext(bytesMin: number): void {
    while (this.#nextBytes < bytesMin) this.#nextBytes *= 2;
    this.#open = this.#addSlab(this.#nextBytes) >>> 16;
    this.#free = 0;
    this.#nextBytes = Math.min(2 * this.#nextBytes, slabBytesMax);
  }

  #addSlab(bytes: number): number {
    const number = this.#freedSlabs.pop() ?? this.#slabs.length;
    assert(number < slabsMax, "the keys fit into memory");
    this.#slabs[number] = new Uint8Array(bytes);
    return number << 16;
  }
}

const unitsOf = (length: number): number => (length + 3) >>> 2;

export const offsetOf = (address: number): number => (address & 0xffff) << 2;
