// The newest rows in memory: all that the engine does not hold yet, and behind them as many written
// ones as a budget allows, so that hot reads stay away from the engine.
//
//   main    | first ......... written .......... taken ......... next
//           |  kept copies   | batch under way  |  waiting rows |
//   #starts |  one slot per main revision: number of its first row
//   rows    |  one slot per row in #slabs, #froms, #lengths: where its bytes lie
//
// All four are rings indexed by a number that only grows. A row is a place in a slab, not an object:
// a view is made when somebody reads it.
import { assert } from "../base/assert.ts";
import type { RowPlace } from "./row.ts";

/** What a row costs beside its bytes. */
const rowOverheadBytes = 24;
const slotsMin = 64;
/** Stands for a row that was compacted away before it was written; a row has at least a key. */
const dropped = 0;
const noSlab = Buffer.alloc(0);

export class RecentRows {
  readonly #budgetBytes: number;
  #starts = new Float64Array(slotsMin);
  #slabs: Buffer[] = new Array<Buffer>(slotsMin).fill(noSlab);
  #froms = new Uint32Array(slotsMin);
  #lengths = new Uint32Array(slotsMin);
  #first: number;
  #written: number;
  #taken: number;
  #next: number;
  /** Numbers of the oldest row and of the next. */
  #firstRow = 0;
  #nextRow = 0;
  #keptBytes = 0;
  #pendingBytes = 0;
  #takenBytes = 0;
  #pendingRows = 0;
  #takenRows = 0;

  /** @param nextMain the first main revision to come. */
  constructor(nextMain: number, budgetBytes: number) {
    this.#first = this.#written = this.#taken = this.#next = nextMain;
    this.#budgetBytes = budgetBytes;
  }

  /** Oldest main revision that is complete here. */
  get first(): number {
    return this.#first;
  }

  /** Bytes of rows that the engine does not hold, overhead included. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Rows that no batch has taken yet. */
  get waitingRows(): number {
    return this.#pendingRows - this.#takenRows;
  }

  /** Bytes kept in all, overhead included. */
  get bytes(): number {
    return this.#keptBytes + this.#pendingBytes;
  }

  /** Rows come in revision order: the next main with sub 0, or the last main with the next sub. */
  append(main: number, sub: number, place: RowPlace): void {
    const row = this.#nextRow++;
    if (sub === 0) this.#open(main, row);
    assert(main === this.#next - 1 && sub === row - this.#startOf(main), "rows come in order");
    if (row - this.#firstRow >= this.#slabs.length) this.#growRows();
    const slot = row & (this.#slabs.length - 1);
    const length = place.to - place.from;
    this.#slabs[slot] = place.slab;
    this.#froms[slot] = place.from;
    this.#lengths[slot] = length;
    this.#pendingRows++;
    this.#pendingBytes += length + rowOverheadBytes;
  }

  /** A view of the row without its flag; undefined when it is not here. */
  get(main: number, sub: number): Uint8Array | undefined {
    const slot = this.#slotOf(main, sub);
    if (slot === undefined) return undefined;
    const slab = this.#slabs[slot] ?? noSlab;
    const from = slab.byteOffset + (this.#froms[slot] ?? 0);
    return new Uint8Array(slab.buffer, from, this.#lengths[slot]);
  }

  /** Views of rows with their flags, from (main, sub) on in revision order, until `visit` returns false. */
  visit(
    from: { readonly main: number; readonly sub: number },
    visit: (main: number, sub: number, stored: Uint8Array) => boolean,
  ): void {
    for (let main = Math.max(from.main, this.#first); main < this.#next; main++) {
      const start = this.#startOf(main);
      const end = this.#endOf(main);
      for (let row = start + (main === from.main ? from.sub : 0); row < end; row++) {
        const slot = row & (this.#slabs.length - 1);
        const length = this.#lengths[slot] ?? dropped;
        if (length === dropped) continue;
        const slab = this.#slabs[slot] ?? noSlab;
        const flagAt = slab.byteOffset + (this.#froms[slot] ?? 1) - 1;
        const stored = new Uint8Array(slab.buffer, flagAt, 1 + length);
        if (!visit(main, row - start, stored)) return;
      }
    }
  }

  /**
   * Forgets a compacted row that was not taken yet.
   *
   * @returns false when a batch has taken it: then the engine must delete it.
   */
  drop(main: number, sub: number): boolean {
    if (main < this.#taken) return false;
    const slot = this.#slotOf(main, sub);
    if (slot === undefined) return true;
    this.#pendingRows--;
    this.#pendingBytes -= (this.#lengths[slot] ?? 0) + rowOverheadBytes;
    this.#slabs[slot] = noSlab;
    this.#lengths[slot] = dropped;
    return true;
  }

  /** Marks everything that waits as taken by one batch. @returns its first main revision. */
  take(): number {
    assert(this.#taken === this.#written, "one batch at a time");
    this.#taken = this.#next;
    this.#takenBytes = this.#pendingBytes;
    this.#takenRows = this.#pendingRows;
    return this.#written;
  }

  /** The batch is in the engine. */
  flushed(): void {
    this.#written = this.#taken;
    this.#pendingBytes -= this.#takenBytes;
    this.#pendingRows -= this.#takenRows;
    this.#keptBytes += this.#takenBytes;
    this.#takenBytes = 0;
    this.#takenRows = 0;
    while (this.#keptBytes > this.#budgetBytes && this.#first < this.#written) this.#evict();
  }

  #open(main: number, row: number): void {
    assert(main === this.#next, "main revisions have no gaps");
    if (main - this.#first >= this.#starts.length) this.#growStarts();
    this.#starts[main & (this.#starts.length - 1)] = row;
    this.#next = main + 1;
  }

  #startOf(main: number): number {
    return this.#starts[main & (this.#starts.length - 1)] ?? 0;
  }

  #endOf(main: number): number {
    return main + 1 < this.#next ? this.#startOf(main + 1) : this.#nextRow;
  }

  #slotOf(main: number, sub: number): number | undefined {
    if (main < this.#first || main >= this.#next) return undefined;
    const row = this.#startOf(main) + sub;
    if (row >= this.#endOf(main)) return undefined;
    const slot = row & (this.#slabs.length - 1);
    return this.#lengths[slot] === dropped ? undefined : slot;
  }

  #evict(): void {
    const end = this.#endOf(this.#first);
    for (; this.#firstRow < end; this.#firstRow++) {
      const slot = this.#firstRow & (this.#slabs.length - 1);
      const length = this.#lengths[slot] ?? dropped;
      if (length !== dropped) this.#keptBytes -= length + rowOverheadBytes;
      this.#slabs[slot] = noSlab;
    }
    this.#first++;
  }

  #growStarts(): void {
    const starts = new Float64Array(2 * this.#starts.length);
    for (let main = this.#first; main < this.#next; main++) {
      starts[main & (starts.length - 1)] = this.#startOf(main);
    }
    this.#starts = starts;
  }

  #growRows(): void {
    const mask = this.#slabs.length - 1;
    const slots = 2 * this.#slabs.length;
    const slabs = new Array<Buffer>(slots).fill(noSlab);
    const froms = new Uint32Array(slots);
    const lengths = new Uint32Array(slots);
    for (let row = this.#firstRow; row < this.#nextRow - 1; row++) {
      const to = row & (slots - 1);
      slabs[to] = this.#slabs[row & mask] ?? noSlab;
      froms[to] = this.#froms[row & mask] ?? 0;
      lengths[to] = this.#lengths[row & mask] ?? dropped;
    }
    this.#slabs = slabs;
    this.#froms = froms;
    this.#lengths = lengths;
  }
}
