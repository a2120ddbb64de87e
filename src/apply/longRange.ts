// A long range, by its keys or by its bytes, read and encoded in steps, so that nobody else waits for all of it. What it
// tells is the state at one revision, as if it had been read at once.
import { unreachable } from "../base/assert.ts";
import { Revision } from "../base/brand.ts";
import { errAnswerTooLarge } from "../base/errors.ts";
import { AnswerBytes } from "../mvcc/answerBytes.ts";
import { isByKey, keyRange } from "../mvcc/readView.ts";
import type { KeyRange } from "../mvcc/sortedKeys.ts";
import type { Store } from "../mvcc/store.ts";
import type { RangeRequest } from "../proto/kv.ts";
import { encodeRows, partBytesMin } from "../proto/rangeParts.ts";
import { sendBytesMax } from "../proto/writer.ts";
import type { LongRangeResult, RangeResult } from "./outcome.ts";
import { range } from "./range.ts";

/** Ranges over fewer keys are read at once, unless they are long by their bytes. */
export const longRangeKeys = 2_048;
/** One or two milliseconds of work. */
export const keysPerStep = 512;
/** A step ends with the row that reaches it. */
export const bytesPerStep = partBytesMin;
/** A plain range over few keys that passes it begins again, in steps. */
export const bytesAtOnce = 2 * bytesPerStep;
/** Of those whose past is compacted while they are read; then everything is read at once, and encoded in steps. */
export const restartsMax = 3;

interface Found {
  readonly range: KeyRange;
  /** Living keys in it, now. */
  readonly count: number;
  readonly bytesMax: number;
}

export class LongRange {
  readonly #request: RangeRequest;
  readonly #range: KeyRange;
  #store: Store;
  #revision = Revision(0);
  #count = 0;
  #rowCount = 0;
  #parts: Uint8Array[] = [];
  /** Of the parts. */
  #bytes = 0;
  readonly #bytesMax: number;
  #next: Uint8Array;
  #starts = 0;
  /** Read at once, and not encoded yet. */
  #late: readonly Uint8Array[] | undefined;

  private constructor(store: Store, request: RangeRequest, found: Found) {
    this.#request = request;
    this.#bytesMax = found.bytesMax;
    this.#range = found.range;
    this.#next = found.range.from;
    this.#store = store;
    this.#begin(store, found.count);
  }

  /**
   * @param bytesMax of its rows as they are encoded; beyond it is refused.
   * @param keysMin those over fewer keys are short.
   * @returns undefined for one that is short, or not a plain one of the present.
   */
  static of(
    store: Store,
    request: RangeRequest,
    { bytesMax, keysMin = longRangeKeys }: { readonly bytesMax: number; readonly keysMin?: number },
  ): LongRange | undefined {
    const { limit } = request;
    if (!isPlain(request) || (limit > 0 && limit < keysMin)) return undefined;
    const range = keyRange(request.key, request.rangeEnd);
    const count = store.read.countNow(range);
    if (count < keysMin) return undefined;
    return new LongRange(store, request, { range, count, bytesMax });
  }

  /** One that is not long by its keys. @throws {EtcdError} as `range`. */
  static ofBytes(store: Store, request: RangeRequest, bytesMax: number): RangeResult | LongRange {
    const isLong = bytesMax > bytesAtOnce && isPlain(request);
    const answer = new AnswerBytes(isLong ? bytesAtOnce : bytesMax);
    try {
      return range(store, request, answer);
    } catch (error) {
      const long =
        isLong && answer.isOver
          ? LongRange.of(store, request, { bytesMax, keysMin: 1 })
          : undefined;
      if (long === undefined) throw error;
      return long;
    }
  }

  /** @param store the present one. @returns the answer when it is whole. @throws {EtcdError} too large. */
  step(store: Store): LongRangeResult | undefined {
    if (this.#late !== undefined) return this.#encodeLate(this.#late);
    if (store !== this.#store || store.compactedRevision > this.#revision) {
      this.#begin(store, store.read.countNow(this.#range));
    }
    if (this.#starts > restartsMax) {
      this.#late = this.#readAll(store);
      return undefined;
    }
    const rowsMax = this.#wanted - this.#rowCount;
    const rows: Uint8Array[] = [];
    const bounds = { rowsMax, keysMax: keysPerStep, bytesMax: bytesPerStep };
    const next = store.read.collect(
      { from: this.#next, to: this.#range.to },
      this.#at(bounds),
      rows,
    );
    this.#add(rows);
    if (next === undefined || rows.length === rowsMax) return this.#result();
    this.#next = next;
    return undefined;
  }

  get #wanted(): number {
    const { limit } = this.#request;
    return limit > 0 ? Math.min(limit, this.#count) : this.#count;
  }

  #at<Bounds>(bounds: Bounds) {
    return { revision: this.#revision, keysOnly: this.#request.keysOnly, ...bounds };
  }

  #readAll(store: Store): readonly Uint8Array[] {
    const rows: Uint8Array[] = [];
    const bytesMax = this.#request.keysOnly ? Number.POSITIVE_INFINITY : this.#bytesMax;
    const bounds = { rowsMax: this.#wanted, keysMax: Number.POSITIVE_INFINITY, bytesMax };
    const next = store.read.collect(this.#range, this.#at(bounds), rows);
    if (next !== undefined && rows.length < this.#wanted)
      throw errAnswerTooLarge(this.#bytesMax, this.#bytesMax);
    return rows;
  }

  #encodeLate(all: readonly Uint8Array[]): LongRangeResult | undefined {
    const rows: Uint8Array[] = [];
    let bytes = 0;
    for (let at = this.#rowCount; at < all.length; at++) {
      if (rows.length === keysPerStep || bytes >= bytesPerStep) break;
      const row = all[at] ?? unreachable("a row was read");
      rows.push(row);
      bytes += row.length;
    }
    this.#add(rows);
    return this.#rowCount === all.length ? this.#result() : undefined;
  }

  #add(rows: readonly Uint8Array[]): void {
    const part = encodeRows(rows);
    this.#rowCount += rows.length;
    this.#bytes += part.length;
    if (this.#bytes > this.#bytesMax) throw errAnswerTooLarge(this.#bytes, this.#bytesMax);
    this.#parts.push(part);
  }

  #result(): LongRangeResult {
    return {
      ...{ kind: "longRange", revision: this.#revision, rowCount: this.#rowCount },
      ...{ parts: this.#parts, more: this.#count > this.#wanted, count: this.#count },
    };
  }

  #begin(store: Store, count: number): void {
    this.#starts++;
    this.#store = store;
    this.#revision = store.revision;
    this.#count = count;
    this.#rowCount = 0;
    this.#parts = [];
    this.#bytes = 0;
    this.#next = this.#range.from;
  }
}

/** Read at once, or to be read in steps. @throws {EtcdError} as `range`. */
export function beginRange(
  store: Store,
  request: RangeRequest,
  bytesMax: number,
): RangeResult | LongRange {
  const max = Math.min(bytesMax, sendBytesMax);
  const long = LongRange.of(store, request, { bytesMax: max });
  if (long === undefined) return LongRange.ofBytes(store, request, max);
  store.read.noteRange();
  return long;
}

/** Of the present, and told by key without filters: what steps can read. */
function isPlain(request: RangeRequest): boolean {
  const { rangeEnd, countOnly, revision } = request;
  return rangeEnd.length > 0 && !countOnly && revision <= 0 && isByKey(request);
}
