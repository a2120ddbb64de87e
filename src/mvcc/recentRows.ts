// The newest rows in memory: all that the engine does not hold yet, and behind them as many written
// ones as a budget allows, so that hot reads stay away from the engine. One slot per main revision:
//
//   first        written          taken          next
//   | kept copies | batch under way | waiting rows |      ring of slots, oldest on the left
import { assert } from "../base/assert.ts";

/** Rows of one main revision by sub; undefined: compacted away before it was written. */
type Slot = Uint8Array | (Uint8Array | undefined)[] | undefined;

/** What a row costs beside its bytes: the view and its slot. */
const rowOverheadBytes = 128;
const slotsMin = 1024;

export class RecentRows {
  readonly #budgetBytes: number;
  #slots: Slot[] = new Array<Slot>(slotsMin).fill(undefined);
  #mask = slotsMin - 1;
  /** Main revisions: [first, next) are here, below `written` they are in the engine too. */
  #first: number;
  #written: number;
  #taken: number;
  #next: number;
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

  /** First main revision that the engine does not hold. */
  get written(): number {
    return this.#written;
  }

  /** Bytes of rows that the engine does not hold. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Rows that no batch has taken yet. */
  get waitingRows(): number {
    return this.#pendingRows - this.#takenRows;
  }

  /** Bytes kept in all. */
  get bytes(): number {
    return this.#keptBytes + this.#pendingBytes;
  }

  /** Rows come in revision order: the next main with sub 0, or the last main with the next sub. */
  append(main: number, sub: number, row: Uint8Array): void {
    this.#pendingRows++;
    this.#pendingBytes += row.length + rowOverheadBytes;
    if (sub === 0) {
      assert(main === this.#next, "main revisions have no gaps");
      if (main - this.#first > this.#mask) this.#grow();
      this.#slots[main & this.#mask] = row;
      this.#next = main + 1;
      return;
    }
    const at = main & this.#mask;
    const slot = this.#slots[at];
    if (Array.isArray(slot)) slot.push(row);
    else this.#slots[at] = [slot, row];
  }

  get(main: number, sub: number): Uint8Array | undefined {
    if (main < this.#first || main >= this.#next) return undefined;
    const slot = this.#slots[main & this.#mask];
    if (Array.isArray(slot)) return slot[sub];
    return sub === 0 ? slot : undefined;
  }

  /** Rows from (main, sub) on in revision order, until `visit` returns false. */
  visit(
    from: { main: number; sub: number },
    visit: (main: number, sub: number, row: Uint8Array) => boolean,
  ): void {
    for (let main = Math.max(from.main, this.#first); main < this.#next; main++) {
      const slot = this.#slots[main & this.#mask];
      const subs = Array.isArray(slot) ? slot.length : 1;
      for (let sub = main === from.main ? from.sub : 0; sub < subs; sub++) {
        const row = Array.isArray(slot) ? slot[sub] : slot;
        if (row !== undefined && !visit(main, sub, row)) return;
      }
    }
  }

  /**
   * Forgets a compacted row that was not taken yet.
   *
   * @returns false when a batch has taken it: then the engine must delete it.
   */
  drop(main: number, sub: number): boolean {
    const row = this.get(main, sub);
    if (main < this.#taken) return false;
    if (row === undefined) return true;
    const at = main & this.#mask;
    const slot = this.#slots[at];
    if (Array.isArray(slot)) slot[sub] = undefined;
    else this.#slots[at] = undefined;
    this.#pendingRows--;
    this.#pendingBytes -= row.length + rowOverheadBytes;
    return true;
  }

  /** Marks everything that waits as taken by one batch; the caller visits it. @returns its first main. */
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

  #evict(): void {
    const at = this.#first & this.#mask;
    const slot = this.#slots[at];
    const rows = Array.isArray(slot) ? slot : [slot];
    for (const row of rows) {
      if (row !== undefined) this.#keptBytes -= row.length + rowOverheadBytes;
    }
    this.#slots[at] = undefined;
    this.#first++;
  }

  #grow(): void {
    const mask = 2 * this.#mask + 1;
    const slots = new Array<Slot>(mask + 1).fill(undefined);
    for (let main = this.#first; main < this.#next; main++) {
      slots[main & mask] = this.#slots[main & this.#mask];
    }
    this.#slots = slots;
    this.#mask = mask;
  }
}
