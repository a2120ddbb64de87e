// Room for lists of numbers that grow one by one, in pages of plain numbers: the collector walks none of
// them, and a list that grows leaves nothing for it to collect. A run has a power of two of places:
//
//   address: | number of the page | place in it u16 |
import { assert } from "../base/assert.ts";

const pagePlacesMax = 65_536;
/** The first page is small, as most stores of tests and many in life are. */
const pagePlacesMin = 512;
/** Runs of 4 places at least: most histories are short. */
export const runBitsMin = 2;
const pageBits = 16;
const none = new Float64Array(0);

export class NumberRuns {
  readonly #pages: Float64Array[] = [];
  /** Addresses of freed runs, by their size; a page of its own has none here. */
  readonly #freed: number[][] = [];
  readonly #freedPages: number[] = [];
  /** The page with room, none at first; where that begins, and how long the next will be. */
  #open = -1;
  #from = 0;
  #nextPlaces = pagePlacesMin;

  /** Places in all pages. */
  get places(): number {
    return this.#pages.reduce((sum, page) => sum + page.length, 0);
  }

  /** @returns the address of 2^bits places, which hold anything. */
  take(bits: number): number {
    if (bits > pageBits) return this.#addPage(2 ** bits) * pagePlacesMax;
    const freed = this.#freed[bits]?.pop();
    if (freed !== undefined) return freed;
    const places = 1 << bits;
    if (this.#from + places > this.page(this.#open * pagePlacesMax).length) this.#openNext(places);
    const from = this.#from;
    this.#from += places;
    return this.#open * pagePlacesMax + from;
  }

  /** Takes a run back that nobody reads any more. */
  free(address: number, bits: number): void {
    if (bits > pageBits) {
      const number = address / pagePlacesMax;
      this.#pages[number] = none;
      this.#freedPages.push(number);
    } else {
      this.#freed[bits] ??= [];
      this.#freed[bits].push(address);
    }
  }

  /** The page of a run, which begins there at `placeOf`. It stays until the run is freed. */
  page(address: number): Float64Array {
    return this.#pages[Math.floor(address / pagePlacesMax)] ?? none;
  }

  placeOf(address: number): number {
    return address % pagePlacesMax;
  }

  #openNext(placesMin: number): void {
    this.#freeRest();
    while (this.#nextPlaces < placesMin) this.#nextPlaces *= 2;
    this.#open = this.#addPage(this.#nextPlaces);
    this.#from = 0;
    this.#nextPlaces = Math.min(2 * this.#nextPlaces, pagePlacesMax);
  }

  // What is left of the open page, in runs as large as they may be.
  #freeRest(): void {
    let left = this.page(this.#open * pagePlacesMax).length - this.#from;
    for (let bits = pageBits; bits >= runBitsMin; bits--) {
      if (left < 1 << bits) continue;
      left -= 1 << bits;
      this.free(this.#open * pagePlacesMax + this.#from, bits);
      this.#from += 1 << bits;
    }
    assert(left === 0, "runs fill a page");
  }

  #addPage(places: number): number {
    const number = this.#freedPages.pop() ?? this.#pages.length;
    this.#pages[number] = new Float64Array(places);
    return number;
  }
}
