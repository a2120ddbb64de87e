// Compaction: the new floor holds at once, the rows below it go in bounded steps. One pass visits all
// keys in order, then deletes what it found in the order of revisions; a compaction that arrives meanwhile
// is taken up by the next pass.
import { emptyBytes, type Span } from "../base/bytes.ts";
import { errCompacted, errFutureRevision } from "../base/errors.ts";
import { DeadRows } from "./deadRows.ts";
import { noKey } from "./keyTable.ts";
import type { Revisions } from "./revisions.ts";
import type { StoreState } from "./state.ts";

/**
 * Deleted rows that wait for a batch; a step that reaches it does nothing until they are taken. Puts go
 * on beside: so many are worth a batch every 40 ms, and handing one over is a stall.
 */
export const deletionsMax = 2_000;

/** Dropped revisions of one key: from `next` up to `end`. */
interface Dropped {
  readonly revisions: Revisions;
  readonly end: number;
  next: number;
}

export class Compaction {
  readonly #state: StoreState;
  #dropped: Dropped[] = [];
  readonly #dead = new DeadRows();
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
    let units = this.#noteDropped(unitsMax);
    while (units < unitsMax && this.#dropped.length === 0) {
      const visited = this.#visitKeys(unitsMax - units, this.#pass);
      if (visited === 0) break;
      units += visited + this.#noteDropped(unitsMax - units);
    }
    if (units >= unitsMax || this.#dropped.length > 0) return true;
    this.#deleteDead(unitsMax - units);
    if (this.#dead.count > 0) return state.deletions.length < 2 * deletionsMax;
    state.swept = this.#pass;
    state.dirty = true;
    this.#pass = undefined;
    return !this.done;
  }

  #begin(): number {
    this.#cursor = emptyBytes;
    return this.#state.compacted;
  }

  /** Takes note of dropped revisions. @returns how many. */
  #noteDropped(max: number): number {
    let count = 0;
    for (; count < max; count++) {
      const dropped = this.#dropped.at(-1);
      if (dropped === undefined) break;
      const { revisions, next } = dropped;
      this.#dead.add(revisions.main(next), revisions.sub(next));
      dropped.next++;
      if (dropped.next >= dropped.end) this.#dropped.pop();
    }
    return count;
  }

  /** Turns dead rows into deletions, as many as may wait. */
  #deleteDead(max: number): void {
    const { rows, deletions, counters } = this.#state;
    const room = deletionsMax - deletions.length / 2;
    counters.compactedRows += this.#dead.take(Math.min(max, room), (main, sub) => {
      if (!rows.recent.drop(main, sub)) deletions.push(main, sub);
    });
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
