// Where a row is found by its revision: the recent rows, a small cache of rows read, the engine.
import { unreachable } from "../base/assert.ts";
import { type Engine, Table } from "../storage/engine.ts";
import type { RecentRows } from "./recentRows.ts";
import { revisionKeyBytes, writeKeyOf } from "./revision.ts";
import { rowOfStored } from "./row.ts";

/** One slot per hash of a revision: at most cachedRows × cachedRowBytesMax bytes, 16 MiB. */
const cachedRows = 4096;
const cachedRowBytesMax = 4096;

export class Rows {
  readonly recent: RecentRows;
  readonly #engine: Engine;
  readonly #key = Buffer.alloc(revisionKeyBytes);
  readonly #cachedMains = new Float64Array(cachedRows);
  readonly #cachedSubs = new Float64Array(cachedRows);
  readonly #cached = new Array<Uint8Array | undefined>(cachedRows).fill(undefined);

  constructor(engine: Engine, recent: RecentRows) {
    this.#engine = engine;
    this.recent = recent;
  }

  /** The row of a revision that the index knows. The bytes may be shared: nobody writes to them. */
  read(main: number, sub: number): Uint8Array {
    return this.recent.get(main, sub) ?? this.#readWritten(main, sub);
  }

  #readWritten(main: number, sub: number): Uint8Array {
    const slot = (main + 31 * sub) & (cachedRows - 1);
    const cached = this.#cached[slot];
    if (
      cached !== undefined &&
      this.#cachedMains[slot] === main &&
      this.#cachedSubs[slot] === sub
    ) {
      return cached;
    }
    writeKeyOf(this.#key, 0, main, sub);
    const stored =
      this.#engine.get(Table.key, this.#key) ??
      unreachable(`the store lacks revision ${main}.${sub} that the index knows`);
    const row = rowOfStored(stored);
    if (row.length <= cachedRowBytesMax) {
      this.#cached[slot] = row;
      this.#cachedMains[slot] = main;
      this.#cachedSubs[slot] = sub;
    }
    return row;
  }
}
