// Ascending revisions of one key: mains in a run of numbers, subs from the first that is not 0 on, as
// most changes are alone in their transaction.
import { type NumberRuns, runBitsMin } from "./numberRuns.ts";

/** Read only. */
export interface Revisions {
  readonly count: number;
  main(position: number): number;
  sub(position: number): number;
}

/** Below this a loop is quicker than a view for the call into the runtime. */
const loopPlacesMax = 64;

export class RevisionList implements Revisions {
  readonly #runs: NumberRuns;
  #address: number;
  #bits: number;
  /** The run of that address: its page, and where it begins. */
  #page: Float64Array;
  #from: number;
  #count = 0;
  #subs: number[] | undefined = undefined;

  /** @param places what it has room for at first. */
  constructor(runs: NumberRuns, places = 1) {
    this.#runs = runs;
    this.#bits = Math.max(runBitsMin, Math.ceil(Math.log2(places)));
    this.#address = runs.take(this.#bits);
    this.#page = runs.page(this.#address);
    this.#from = runs.placeOf(this.#address);
  }

  get count(): number {
    return this.#count;
  }

  main(position: number): number {
    return position < this.#count ? (this.#page[this.#from + position] ?? 0) : 0;
  }

  sub(position: number): number {
    return this.#subs?.[position] ?? 0;
  }

  push(main: number, sub: number): void {
    if (sub !== 0 && this.#subs === undefined) this.#subs = new Array(this.#count).fill(0);
    if (this.#count === 2 ** this.#bits) this.#grow();
    this.#page[this.#from + this.#count++] = main;
    this.#subs?.push(sub);
  }

  /** Position of the last one whose main revision is at most `revision`; -1 when there is none. */
  lastAtOrBelow(revision: number): number {
    const page = this.#page;
    let low = this.#from;
    let high = low + this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((page[middle] ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    return low - 1 - this.#from;
  }

  /**
   * Gives those before `position` to `drop`; none for a position below 1. When it drops any, this list
   * is not to be used any more.
   *
   * @returns the others, undefined for none.
   */
  cut(position: number, drop: (dropped: Revisions, end: number) => void): RevisionList | undefined {
    if (position <= 0) return this;
    const end = Math.min(position, this.#count);
    const mains = this.#page.slice(this.#from, this.#from + end);
    drop(new DroppedRevisions(mains, this.#subs), end);
    const kept = end < this.#count ? this.#after(end) : undefined;
    this.#runs.free(this.#address, this.#bits);
    return kept;
  }

  #after(position: number): RevisionList {
    const kept = new RevisionList(this.#runs, this.#count - position);
    kept.#takeFrom(this.#page, this.#from + position, this.#count - position);
    kept.#subs = this.#subs?.slice(position);
    return kept;
  }

  #grow(): void {
    const runs = this.#runs;
    const page = this.#page;
    const from = this.#from;
    const address = runs.take(this.#bits + 1);
    this.#page = runs.page(address);
    this.#from = runs.placeOf(address);
    this.#takeFrom(page, from, this.#count);
    runs.free(this.#address, this.#bits);
    this.#address = address;
    this.#bits++;
  }

  #takeFrom(page: Float64Array, from: number, count: number): void {
    if (count > loopPlacesMax) this.#page.set(page.subarray(from, from + count), this.#from);
    else for (let i = 0; i < count; i++) this.#page[this.#from + i] = page[from + i] ?? 0;
    this.#count = count;
  }
}

/** The front of a list, apart from it. */
class DroppedRevisions implements Revisions {
  readonly #mains: Float64Array;
  readonly #subs: readonly number[] | undefined;

  constructor(mains: Float64Array, subs: readonly number[] | undefined) {
    this.#mains = mains;
    this.#subs = subs;
  }

  get count(): number {
    return this.#mains.length;
  }

  main(position: number): number {
    return this.#mains[position] ?? 0;
  }

  sub(position: number): number {
    return this.#subs?.[position] ?? 0;
  }
}
