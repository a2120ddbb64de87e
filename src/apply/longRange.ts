// A range over very many keys, read and encoded in steps, so that nobody else waits for all of it. What it
// tells is the state at one revision, as if it had been read at once.
import { Revision } from "../base/brand.ts";
import { isByKey, keyRange } from "../mvcc/readView.ts";
import type { KeyRange } from "../mvcc/sortedKeys.ts";
import type { Store } from "../mvcc/store.ts";
import type { RangeRequest } from "../proto/kv.ts";
import { encodeRows } from "../proto/rangeParts.ts";
import type { LongRangeResult } from "./outcome.ts";

/** Ranges over fewer keys are read at once. */
export const longRangeKeys = 2_048;
/** One or two milliseconds of work. */
export const keysPerStep = 512;
/** A step ends with the row that reaches it. */
export const bytesPerStep = 524_288;
/** Of those whose past is compacted while they are read; then everything is read at once. */
export const restartsMax = 3;

interface Found {
  readonly range: KeyRange;
  /** Living keys in it, now. */
  readonly count: number;
}

export class LongRange {
  readonly #request: RangeRequest;
  readonly #range: KeyRange;
  #store: Store;
  #revision = Revision(0);
  #count = 0;
  #rowCount = 0;
  #parts: Uint8Array[] = [];
  #next: Uint8Array;
  #starts = 0;

  private constructor(store: Store, request: RangeRequest, found: Found) {
    this.#request = request;
    this.#range = found.range;
    this.#next = found.range.from;
    this.#store = store;
    store.read.noteRange();
    this.#begin(store, found.count);
  }

  /** @returns undefined for one that is short, or not a plain one of the present. */
  static of(store: Store, request: RangeRequest): LongRange | undefined {
    const { rangeEnd, countOnly, revision, limit } = request;
    if (rangeEnd.length === 0 || countOnly || revision > 0) return undefined;
    if (limit > 0 && limit < longRangeKeys) return undefined;
    if (!isByKey(request)) return undefined;
    const range = keyRange(request.key, rangeEnd);
    const count = store.read.countNow(range);
    return count < longRangeKeys ? undefined : new LongRange(store, request, { range, count });
  }

  /** @param store the present one. @returns the answer when it is whole. */
  step(store: Store): LongRangeResult | undefined {
    if (store !== this.#store || store.compactedRevision > this.#revision) {
      this.#begin(store, store.read.countNow(this.#range));
    }
    const { limit, keysOnly } = this.#request;
    const wanted = limit > 0 ? Math.min(limit, this.#count) : this.#count;
    const rowsMax = wanted - this.#rowCount;
    const isLate = this.#starts > restartsMax;
    const keysMax = isLate ? Number.POSITIVE_INFINITY : keysPerStep;
    const bytesMax = isLate ? Number.POSITIVE_INFINITY : bytesPerStep;
    const range = { from: this.#next, to: this.#range.to };
    const at = { revision: this.#revision, keysOnly, rowsMax, keysMax, bytesMax };
    const rows: Uint8Array[] = [];
    const next = store.read.collect(range, at, rows);
    this.#rowCount += rows.length;
    this.#parts.push(encodeRows(rows));
    if (next !== undefined && rows.length < rowsMax) {
      this.#next = next;
      return undefined;
    }
    return {
      ...{ kind: "longRange", revision: this.#revision, rowCount: this.#rowCount },
      ...{ parts: this.#parts, more: this.#count > wanted, count: this.#count },
    };
  }

  #begin(store: Store, count: number): void {
    this.#starts++;
    this.#store = store;
    this.#revision = store.revision;
    this.#count = count;
    this.#rowCount = 0;
    this.#parts = [];
    this.#next = this.#range.from;
  }
}
