// Ascending revisions of one key, as a list of numbers: subs are kept from the first that is not 0 on,
// as most changes are alone in their transaction.

/** Read only. */
export interface Revisions {
  readonly count: number;
  main(position: number): number;
  sub(position: number): number;
}

export class RevisionList implements Revisions {
  #mains: number[];
  #subs: number[] | undefined = undefined;

  constructor(main: number, sub: number) {
    this.#mains = [main];
    if (sub !== 0) this.#subs = [sub];
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

  push(main: number, sub: number): void {
    if (sub !== 0 && this.#subs === undefined) this.#subs = this.#mains.map(() => 0);
    this.#mains.push(main);
    this.#subs?.push(sub);
  }

  /** Position of the last one whose main revision is at most `revision`; -1 when there is none. */
  lastAtOrBelow(revision: number): number {
    const mains = this.#mains;
    let low = 0;
    let high = mains.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((mains[middle] ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /**
   * Gives those before `position` to `drop`; none for a position below 1.
   *
   * @returns the others, undefined for none.
   */
  cut(position: number, drop: (dropped: Revisions, end: number) => void): RevisionList | undefined {
    if (position <= 0) return this;
    drop(this, position);
    if (position >= this.count) return undefined;
    const kept = new RevisionList(0, 0);
    kept.#mains = this.#mains.slice(position);
    kept.#subs = this.#subs?.slice(position);
    return kept;
  }
}
