// Range at a revision, with etcd's order of work: fetch by key → filters → sort → limit → drop values.
import type { Revision } from "../base/brand.ts";
import { compareBytes, copyBytes, spanOf } from "../base/bytes.ts";
import { errCompacted, errFutureRevision } from "../base/errors.ts";
import type { AnswerBytes } from "./answerBytes.ts";
import type { KeyVersion } from "./keyHistory.ts";
import { noKey } from "./keyTable.ts";
import { rowValue, withoutValue } from "./row.ts";
import type { KeyRange } from "./sortedKeys.ts";
import type { StoreState } from "./state.ts";

/** The fields of a RangeRequest that the store looks at; the numbers are the protocol's. */
export interface RangeQuery {
  readonly key: Uint8Array;
  /** Empty: the one key. One zero byte: all keys from `key` on. */
  readonly rangeEnd: Uint8Array;
  /** 0 or less: no limit. */
  readonly limit: number;
  /** 0 or less: the current one. */
  readonly revision: number;
  readonly sortOrder: number;
  readonly sortTarget: number;
  readonly keysOnly: boolean;
  readonly countOnly: boolean;
  /** 0 switches each of these off. */
  readonly minModRevision: number;
  readonly maxModRevision: number;
  readonly minCreateRevision: number;
  readonly maxCreateRevision: number;
}

export interface RangeRows {
  readonly rows: readonly Uint8Array[];
  readonly more: boolean;
  readonly count: number;
}

/** Before filters, sorting and the limit; `count` is of the whole range. */
interface Found {
  readonly versions: readonly KeyVersion[];
  readonly count: number;
}

const Order = { none: 0, descend: 2 } as const;
const Target = { key: 0, version: 1, create: 2, mod: 3, value: 4 } as const;
const noRows: readonly Uint8Array[] = [];
const nothing: RangeRows = { rows: noRows, more: false, count: 0 };

/** Keys that a request means by key and range end. */
export function keyRange(key: Uint8Array, rangeEnd: Uint8Array): KeyRange {
  if (rangeEnd.length > 0) return { from: key, to: isOpenEnd(rangeEnd) ? undefined : rangeEnd };
  const to = new Uint8Array(key.length + 1);
  to.set(key);
  return { from: key, to };
}

const isOpenEnd = (rangeEnd: Uint8Array): boolean => rangeEnd.length === 1 && rangeEnd[0] === 0;

export class ReadView {
  readonly #state: StoreState;

  constructor(state: StoreState) {
    this.#state = state;
  }

  /**
   * @param answer what it is a part of; undefined: its rows may be of any length.
   * @throws {EtcdError} compacted or future revision; an answer that becomes too large.
   */
  range(query: RangeQuery, answer?: AnswerBytes): RangeRows {
    const current = this.#state.revision;
    const refusal = this.refusalAt(query.revision);
    if (refusal !== undefined) throw refusal;
    this.#state.counters.ranges++;
    const revision = query.revision <= 0 ? current : query.revision;
    if (query.rangeEnd.length === 0) return this.#point(query, revision, answer);
    const range = keyRange(query.key, query.rangeEnd);
    if (query.countOnly) return { ...nothing, count: this.#count(range, revision) };
    if (revision === current && isByKey(query) && !query.keysOnly)
      return this.#listNow(query, range, answer);
    return this.#answer(query, this.#list(query, range, revision), answer);
  }

  /**
   * One step of a range over many keys: adds rows, ascending by key, to `rows`, until there are `rowsMax` of them
   * or the step has seen enough keys or bytes.
   *
   * @param at.revision one that is not compacted.
   * @returns the key to go on from; undefined when the range is done.
   */
  collect(
    range: KeyRange,
    at: {
      readonly revision: number;
      readonly keysOnly: boolean;
      readonly rowsMax: number;
      readonly keysMax: number;
      readonly bytesMax: number;
    },
    rows: Uint8Array[],
  ): Uint8Array | undefined {
    const { index } = this.#state;
    let seen = 0;
    let readBytes = 0;
    let next: Uint8Array | undefined;
    index.visit(range, (slot) => {
      const isFull = rows.length >= at.rowsMax || readBytes >= at.bytesMax;
      if (isFull || seen++ === at.keysMax) {
        const { bytes, from, to } = index.key(slot);
        next = copyBytes(bytes.subarray(from, to));
        return false;
      }
      const version = index.at(slot, at.revision);
      if (version === undefined) return true;
      const row = this.rowOf(version);
      readBytes += row.length;
      rows.push(at.keysOnly ? withoutValue(row) : row);
      return true;
    });
    return next;
  }

  /** A range that is read by `collect` alone. */
  noteRange(): void {
    this.#state.counters.ranges++;
  }

  /** Living keys of a range, as it is now; costs a step per few hundred keys. */
  countNow(range: KeyRange): number {
    return this.#state.index.countAlive(range);
  }

  /** Why a range at `revision` (0 or less: current) cannot be read. */
  refusalAt(revision: number): typeof errCompacted | undefined {
    if (revision > this.#state.revision) return errFutureRevision;
    if (revision > 0 && revision < this.#state.compacted) return errCompacted;
    return undefined;
  }

  /** The row of one key (latin1) at a revision that is not compacted; undefined when there is none. */
  rowAt(key: string, revision: Revision): Uint8Array | undefined {
    const { index } = this.#state;
    const slot = index.findText(key);
    const version = slot === noKey ? undefined : index.at(slot, revision);
    return version === undefined ? undefined : this.rowOf(version);
  }

  /** Living keys of a range as they are now, ascending by key. */
  versions(range: KeyRange): KeyVersion[] {
    const { index } = this.#state;
    const found: KeyVersion[] = [];
    index.visit(range, (slot) => {
      const version = index.current(slot);
      if (version !== undefined) found.push(version);
      return true;
    });
    return found;
  }

  /** A key as it is now; undefined unless it lives. */
  version(key: Uint8Array): KeyVersion | undefined {
    const { index } = this.#state;
    const slot = index.find(spanOf(key));
    return slot === noKey ? undefined : index.current(slot);
  }

  rowOf(version: KeyVersion): Uint8Array {
    return this.#state.rows.read(version.modified, version.sub);
  }

  #point(query: RangeQuery, revision: number, answer?: AnswerBytes): RangeRows {
    const { index, rows } = this.#state;
    const slot = index.find(spanOf(query.key));
    if (slot === noKey) return nothing;
    if (revision >= index.main(slot) && !hasFilter(query)) {
      if (!index.isAlive(slot)) return nothing;
      if (query.countOnly) return { rows: noRows, more: false, count: 1 };
      const read = rows.read(index.main(slot), index.sub(slot));
      const row = query.keysOnly ? withoutValue(read) : read;
      answer?.add(row);
      return { rows: [row], more: false, count: 1 };
    }
    const version = index.at(slot, revision);
    if (version === undefined) return nothing;
    if (query.countOnly) return { rows: noRows, more: false, count: 1 };
    return this.#answer(query, { versions: [version], count: 1 }, answer);
  }

  /** The usual range, as `#list` would answer it, without a version object per key. */
  #listNow(query: RangeQuery, range: KeyRange, answer?: AnswerBytes): RangeRows {
    const rowsMax = query.limit > 0 ? query.limit : Number.MAX_SAFE_INTEGER;
    const { index, rows: source } = this.#state;
    const rows: Uint8Array[] = [];
    let more = false;
    index.visit(range, (slot) => {
      if (!index.isAlive(slot)) return true;
      more = rows.length === rowsMax;
      if (more) return false;
      const row = source.read(index.main(slot), index.sub(slot));
      answer?.add(row);
      rows.push(row);
      return true;
    });
    return { rows, more, count: more ? index.countAlive(range) : rows.length };
  }

  #list(query: RangeQuery, range: KeyRange, revision: number): Found {
    const filtered = hasFilter(query);
    // One key more than the limit tells whether there are more. With an order or a filter all keys
    // are fetched first. Order NONE with another target than KEY is cut before it is sorted, as etcd does.
    const fetchMax =
      query.limit > 0 && query.sortOrder === Order.none && !filtered
        ? query.limit + 1
        : Number.MAX_SAFE_INTEGER;
    const { index } = this.#state;
    const found: KeyVersion[] = [];
    index.visit(range, (slot) => {
      const version = index.at(slot, revision);
      if (version !== undefined) found.push(version);
      return found.length < fetchMax;
    });
    const count = found.length < fetchMax ? found.length : this.#count(range, revision);
    return { versions: found, count };
  }

  #answer(query: RangeQuery, { versions, count }: Found, answer?: AnswerBytes): RangeRows {
    const kept = hasFilter(query) ? versions.filter((version) => passes(query, version)) : versions;
    const sorted = this.#sorted(query, kept, answer);
    const more = query.limit > 0 && sorted.length > query.limit;
    const cut = more ? sorted.slice(0, query.limit) : sorted;
    const rows: Uint8Array[] = [];
    for (const version of cut) {
      const read = this.rowOf(version);
      const row = query.keysOnly ? withoutValue(read) : read;
      answer?.add(row);
      rows.push(row);
    }
    return { rows, more, count };
  }

  /** Ties keep the order of keys, in both directions; etcd promises none. Unknown targets do not sort. */
  #sorted(
    query: RangeQuery,
    found: readonly KeyVersion[],
    answer: AnswerBytes | undefined,
  ): readonly KeyVersion[] {
    const down = query.sortOrder === Order.descend;
    switch (query.sortTarget) {
      case Target.key:
        return down ? found.toReversed() : found;
      case Target.version:
        return sortedBy(found, down, (a, b) => a.version - b.version);
      case Target.create:
        return sortedBy(found, down, (a, b) => a.created - b.created);
      case Target.mod:
        return sortedBy(found, down, (a, b) => a.modified - b.modified);
      case Target.value:
        // Values are read to be sorted; only those of an answer with all of them count.
        return this.#sortedByValue(
          found,
          down,
          tellsAll(query, found) ? answer?.fork() : undefined,
        );
      default:
        return found;
    }
  }

  #sortedByValue(
    found: readonly KeyVersion[],
    down: boolean,
    answer: AnswerBytes | undefined,
  ): readonly KeyVersion[] {
    const pairs = found.map((version) => {
      const row = this.rowOf(version);
      answer?.add(row);
      return { version, value: rowValue(row) };
    });
    return sortedBy(pairs, down, (a, b) => compareBytes(a.value, b.value)).map((p) => p.version);
  }

  #count(range: KeyRange, revision: number): number {
    const { index } = this.#state;
    if (revision >= this.#state.revision) return index.countAlive(range);
    let count = 0;
    index.visit(range, (slot) => {
      if (index.at(slot, revision) !== undefined) count++;
      return true;
    });
    return count;
  }
}

function sortedBy<T>(items: readonly T[], down: boolean, order: (a: T, b: T) => number): T[] {
  return items.toSorted(down ? (a, b) => order(b, a) : order);
}

function tellsAll({ keysOnly, limit }: RangeQuery, found: readonly KeyVersion[]): boolean {
  return !keysOnly && (limit <= 0 || found.length <= limit);
}

/** Ascending, every key that the range has. */
export function isByKey(query: RangeQuery): boolean {
  const { sortOrder, sortTarget } = query;
  return sortTarget === Target.key && sortOrder !== Order.descend && !hasFilter(query);
}

function hasFilter(query: RangeQuery): boolean {
  return (
    query.minModRevision !== 0 ||
    query.maxModRevision !== 0 ||
    query.minCreateRevision !== 0 ||
    query.maxCreateRevision !== 0
  );
}

function passes(query: RangeQuery, { modified, created }: KeyVersion): boolean {
  return (
    (query.minModRevision === 0 || modified >= query.minModRevision) &&
    (query.maxModRevision === 0 || modified <= query.maxModRevision) &&
    (query.minCreateRevision === 0 || created >= query.minCreateRevision) &&
    (query.maxCreateRevision === 0 || created <= query.maxCreateRevision)
  );
}
