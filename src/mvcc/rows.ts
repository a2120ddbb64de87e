// Where a row is found by its revision: the recent rows, a small cache of rows read, the engine.
import { unreachable } from "../base/assert.ts";
import { type Engine, Table } from "../storage/engine.ts";
import type { RecentRows } from "./recentRows.ts";
import { revisionKeyBytes, writeKeyOf } from "./revision.ts";
import { rowOfStored } from "./row.ts";

/** One slot per hash of a revision: at most cachedRows × cachedRowBytesMax bytes, 16 MiB. */
const cachedRows = 4096;
const cachedRowBytesMax = 4096;

interface RowCache {
  readonly rows: (Uint8Array | undefined)[];
  readonly mains: Float64Array;
  readonly subs: Float64Array;
}

const newCache = (): RowCache => ({
  rows: new Array<Uint8Array | undefined>(cachedRows).fill(undefined),
  mains: new Float64Array(cachedRows),
  subs: new Float64Array(cachedRows),
});

export class Rows {
  readonly recent: RecentRows;
  readonly #engine: Engine;
  readonly #key = Buffer.alloc(revisionKeyBytes);
  /** Made at the first read of a row that is not recent: many stores never see one. */
  #cache: RowCache | undefined;

  constructor(engine: Engine, recent: RecentRows) {
    this.#engine = engine;
    this.recent = recent;
  }

  /** The row of a revision that the index knows. The bytes may be shared: nobody writes to them. */
  read(main: number, sub: number): Uint8Array {
    return this.recent.get(main, sub) ?? this.#readWritten(main, sub);
  }

  #readWritten(main: number, sub: number): Uint8Array {
    this.#cache ??= newCache();
    const { rows, mains, subs } = this.#cache;
    const slot = (main + 31 * sub) & (cachedRows - 1);
    const cached = rows[slot];
    if (cached !== undefined && mains[slot] === main && subs[slot] === sub) return cached;
    writeKeyOf(this.#key, 0, main, sub);
    const stored =
      this.#engine.get(Table.key, this.#key) ??
      unreachable(`the store lacks revision ${main}.${sub} that the index knows`);
    const row = rowOfStored(stored);
    if (row.length <= cachedRowBytesMax) {
      rows[slot] = row;
      mains[slot] = main;
      subs[slot] = sub;
    }
    return row;
  }
}
