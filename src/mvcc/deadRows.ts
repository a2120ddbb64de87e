// Revisions whose rows nobody can see any more, until they are deleted. They are found key by key and
// deleted in their own order: rows that lie beside one another go together, and the engine copies a page
// once, not once for each of its rows. A bit for each main revision, in pages.

const pageBits = 16;
const pageRevisions = 1 << pageBits;
const two32 = 2 ** 32;

interface Page {
  /** Of main revisions, those whose sub revision 0 is dead. */
  readonly bits: Int32Array;
  /** The others: place of the main revision in the page × 2^32 + sub. */
  others: number[];
}

/** A page that is being given out. */
interface OpenPage {
  readonly number: number;
  readonly page: Page;
  /** Where to go on, in the bits and in the others. */
  place: number;
  next: number;
}

export class DeadRows {
  readonly #pages = new Map<number, Page>();
  #count = 0;
  /** Its other rows ascend. */
  #open: OpenPage | undefined;

  get count(): number {
    return this.#count;
  }

  /** Not while rows are taken. */
  add(main: number, sub: number): void {
    const number = Math.floor(main / pageRevisions);
    const place = main - number * pageRevisions;
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = { bits: new Int32Array(pageRevisions / 32), others: [] };
      this.#pages.set(number, page);
    }
    if (sub === 0) page.bits[place >>> 5] = (page.bits[place >>> 5] ?? 0) | (1 << (place & 31));
    else page.others.push(place * two32 + sub);
    this.#count++;
  }

  /**
   * Gives up to `max` rows away, ascending by revision: a put always goes before the tombstone that ends it,
   * also where both have one main revision, or a crash in between would bring the key back.
   *
   * @returns how many; 0: none is left.
   */
  take(max: number, give: (main: number, sub: number) => void): number {
    let count = 0;
    while (count < max) {
      const open = this.#open ?? this.#openNext();
      if (open === undefined) break;
      const { page, place } = open;
      if (place === pageRevisions) {
        this.#pages.delete(open.number);
        this.#open = undefined;
        continue;
      }
      const word = page.bits[place >>> 5] ?? 0;
      const other = page.others[open.next];
      if ((word & (1 << (place & 31))) !== 0) {
        page.bits[place >>> 5] = word & ~(1 << (place & 31));
        give(open.number * pageRevisions + place, 0);
        count++;
      } else if (other !== undefined && Math.floor(other / two32) === place) {
        open.next++;
        give(open.number * pageRevisions + place, other % two32);
        count++;
      } else open.place = word === 0 && other === undefined ? (place | 31) + 1 : place + 1;
    }
    this.#count -= count;
    if (this.#count === 0) this.#close();
    return count;
  }

  // What is added from here on may lie below the place where the open page was left.
  #close(): void {
    this.#open = undefined;
    this.#pages.clear();
  }

  #openNext(): OpenPage | undefined {
    const number = Math.min(...this.#pages.keys());
    const page = this.#pages.get(number);
    if (page === undefined) return undefined;
    page.others.sort((a, b) => a - b);
    this.#open = { number, page, place: 0, next: 0 };
    return this.#open;
  }
}
