// A moment of an LmdbEngine: a read transaction of its own, which keeps its pages from being used again.
import { assert } from "../base/assert.ts";
import type { PinnedRows, Table, TableRow } from "./engine.ts";
import { unframeRow, unframeValue } from "./lmdbRows.ts";
import { type Cursor, type Dbi, nodeLmdb, type Txn } from "./nodeLmdb.ts";

export class LmdbPin implements PinnedRows {
  readonly #txn: Txn;
  readonly #tables: readonly Dbi[];
  readonly #onClose: (pin: LmdbPin) => void;
  #isOpen = true;
  #table = 0;
  /** On the row that was visited last; undefined before the first of a table. */
  #cursor: Cursor | undefined;

  constructor(txn: Txn, tables: readonly Dbi[], onClose: (pin: LmdbPin) => void) {
    this.#txn = txn;
    this.#tables = tables;
    this.#onClose = onClose;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    const dbi = this.#tables[table];
    assert(this.#isOpen && dbi !== undefined, "an open pin");
    const framed = this.#txn.getBinary(dbi, key);
    return framed === null ? undefined : unframeValue(table, key, framed);
  }

  next(visit: (row: TableRow) => boolean): boolean {
    assert(this.#isOpen, "an open pin");
    for (; this.#table < this.#tables.length; this.#table++, this.#closeCursor()) {
      for (let cursor = this.#step(); cursor !== undefined; cursor = this.#step()) {
        const framed = cursor.getCurrentBinary();
        if (framed === null) break;
        const table = this.#table as Table;
        if (!visit({ table, ...unframeRow(table, framed) })) return true;
      }
    }
    return false;
  }

  rewind(): void {
    this.#closeCursor();
    this.#table = 0;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#closeCursor();
    this.#txn.abort();
    this.#onClose(this);
  }

  /** To the next row of the table; undefined behind the last. */
  #step(): Cursor | undefined {
    if (this.#cursor !== undefined) {
      return this.#cursor.goToNext() === null ? undefined : this.#cursor;
    }
    const dbi = this.#tables[this.#table];
    assert(dbi !== undefined, "a table");
    // Numbers for keys are cheap to make; the key itself is in the row (tables.ts).
    this.#cursor = new nodeLmdb.Cursor(this.#txn, dbi, { keyIsUint32: true });
    return this.#cursor.goToFirst() === null ? undefined : this.#cursor;
  }

  #closeCursor(): void {
    this.#cursor?.close();
    this.#cursor = undefined;
  }
}
