// The engine contract in memory, at its smallest: sorted rows, one batch under way, completion by hand.
import { assert } from "../../src/base/assert.ts";
import { compareBytes, copyBytes } from "../../src/base/bytes.ts";
import {
  type Engine,
  type EngineBatch,
  type EngineRow,
  type EngineSize,
  type Table,
  tableCount,
} from "../../src/storage/engine.ts";

export class FakeEngine implements Engine {
  readonly #tables: EngineRow[][] = Array.from({ length: tableCount }, () => []);
  #underWay: { batch: EngineBatch; done: (error: Error | undefined) => void } | undefined;

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    const rows = this.#rows(table);
    const row = rows[lowerBound(rows, key)];
    return row !== undefined && compareBytes(row.key, key) === 0 ? copyBytes(row.value) : undefined;
  }

  scan(
    range: { table: Table; from: Uint8Array; to?: Uint8Array | undefined },
    visit: (key: Uint8Array, value: Uint8Array) => boolean,
  ): void {
    const rows = this.#rows(range.table);
    for (let i = lowerBound(rows, range.from); i < rows.length; i++) {
      const row = rows[i];
      if (row === undefined || (range.to && compareBytes(row.key, range.to) >= 0)) return;
      if (!visit(row.key, row.value)) return;
    }
  }

  submit(batch: EngineBatch, done: (error: Error | undefined) => void): void {
    assert(this.#underWay === undefined, "one batch at a time");
    this.#underWay = { batch, done };
  }

  /** Completes the batch under way, if there is one. */
  complete(): void {
    const underWay = this.#underWay;
    if (underWay === undefined) return;
    this.#underWay = undefined;
    for (const { table, key, value } of underWay.batch.puts) this.#put(table, key, value);
    for (const { table, key } of underWay.batch.deletes) this.#delete(table, key);
    underWay.done(undefined);
  }

  /** The process died: a batch under way is lost. */
  crash(): void {
    this.#underWay = undefined;
  }

  count(table: Table): number {
    return this.#rows(table).length;
  }

  size(): EngineSize {
    return { allocatedBytes: 0, inUseBytes: 0 };
  }

  async close(): Promise<void> {}

  #rows(table: Table): EngineRow[] {
    const rows = this.#tables[table];
    assert(rows !== undefined, `no table ${table}`);
    return rows;
  }

  #put(table: Table, key: Uint8Array, value: Uint8Array): void {
    const rows = this.#rows(table);
    const at = lowerBound(rows, key);
    const known = rows[at] !== undefined && compareBytes(rows[at].key, key) === 0;
    rows.splice(at, known ? 1 : 0, { key: copyBytes(key), value: copyBytes(value) });
  }

  #delete(table: Table, key: Uint8Array): void {
    const rows = this.#rows(table);
    const at = lowerBound(rows, key);
    if (rows[at] !== undefined && compareBytes(rows[at].key, key) === 0) rows.splice(at, 1);
  }
}

function lowerBound(rows: readonly EngineRow[], key: Uint8Array): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const row = rows[middle];
    if (row !== undefined && compareBytes(row.key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
