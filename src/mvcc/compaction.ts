// Compaction: the new floor holds at once, the rows below it go in bounded steps. One pass visits all
// keys in order; a compaction that arrives meanwhile is taken up by the next pass.
import { emptyBytes, type Span } from "../base/bytes.ts";
import { errCompacted, errFutureRevision } from "../base/errors.ts";
import { noKey } from "./keyTable.ts";
import type { Revisions } from "./revisions.ts";
import type { StoreState } from "./state.ts";

/** Deleted rows that wait for a batch; a step that reaches it does nothing until they are taken. */
export const deletionsMax = 20_000;

/** Dropped revisions of one key: from `next` up to `end`. */
interface Dropped {
  readonly revisions: Revisions;
  readonly end: number;
  next: number;
}

export class Compaction {
  readonly #state: StoreState;
  #dropped: Dropped[] = [];
  /** The revision of the pass under way; undefined between passes. */
  #pass: number | undefined = undefined;
  /** The pass goes on at the first key from here on. */
  #cursor = emptyBytes;

  constructor(state: StoreState) {
    this.#state = state;
  }

  /** Refusal of a compaction at `revision`, undefined when it may be done. */
  refusal(revision: number): typeof errCompacted | undefined {
    if (revision <= this.#state.compacted) return errCompacted;
    if (revision > this.#state.revision) return errFutureRevision;
    return undefined;
  }

  /** Raises the floor; reads below fail from now on. `refusal` was undefined. */
  start(revision: number): void {
    this.#state.compacted = revision;
    this.#state.dirty = true;
  }

  /** True when every row of the last compaction is deleted or part of the next batch. */
  get done(): boolean {
    return this.#state.swept >= this.#state.compacted;
  }

  /**
   * Works on: a unit is a key visited or a row deleted.
   *
   * @returns true when another step has something to do now.
   */
  step(unitsMax: number): boolean {
    const state = this.#state;
    if (this.done) return false;
    this.#pass ??= this.#begin();
    let units = this.#deleteDropped(unitsMax);
    while (units < unitsMax && this.#dropped.length === 0) {
      const visited = this.#visitKeys(unitsMax - units, this.#pass);
      units += visited + this.#deleteDropped(unitsMax - units);
      if (visited === 0) {
        state.swept = this.#pass;
        state.dirty = true;
        this.#pass = undefined;
        return !this.done;
      }
    }
    return state.deletions.length < 2 * deletionsMax;
  }

  #begin(): number {
    this.#cursor = emptyBytes;
    return this.#state.compacted;
  }

  /** Turns dropped revisions into deletions. @returns how many. */
  #deleteDropped(max: number): number {
    const { rows, deletions } = this.#state;
    let count = 0;
    while (count < max && deletions.length < 2 * deletionsMax) {
      const dropped = this.#dropped.at(-1);
      if (dropped === undefined) break;
      const main = dropped.revisions.main(dropped.next);
      const sub = dropped.revisions.sub(dropped.next);
      if (!rows.recent.drop(main, sub)) deletions.push(main, sub);
      dropped.next++;
      if (dropped.next >= dropped.end) this.#dropped.pop();
      count++;
    }
    this.#state.counters.compactedRows += count;
    return count;
  }

  /** Compacts the next keys. @returns how many; 0 at the end of the pass. */
  #visitKeys(max: number, revision: number): number {
    const { index } = this.#state;
    const gone: number[] = [];
    const drop = (revisions: Revisions, end: number): void => {
      this.#dropped.push({ revisions, end, next: 0 });
    };
    let visited = 0;
    let last = noKey;
    index.visit({ from: this.#cursor, to: undefined }, (slot) => {
      if (visited === max || this.#dropped.length > 0) return false;
      visited++;
      last = slot;
      if (index.hasHistory(slot) && index.compact(slot, revision, drop)) gone.push(slot);
      return true;
    });
    if (last !== noKey) this.#cursor = behind(index.key(last));
    for (const slot of gone) index.remove(slot);
    return visited;
  }
}

/** The key that follows at once, in memory of its own. */
function behind({ bytes, from, to }: Span): Uint8Array {
  const key = new Uint8Array(to - from + 1);
  key.set(bytes.subarray(from, to));
  return key;
}
