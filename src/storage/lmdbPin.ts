// A moment of an LmdbEngine: a read transaction of its own, which keeps its pages from being used again. So
// its rows can be read from the file, where that shows the same moment.
import fs from "node:fs";
import { assert } from "../base/assert.ts";
import type { PinnedRows, Table, TableRow } from "./engine.ts";
import { unframeRow, unframeValue } from "./lmdbRows.ts";
import { LmdbTrees, type TreeRows } from "./lmdbTree.ts";
import { type Cursor, type Dbi, nodeLmdb, type Txn } from "./nodeLmdb.ts";

export interface LmdbPinParts {
  readonly txn: Txn;
  readonly tables: readonly Dbi[];
  /** Whose newest state is the transaction's; undefined: it may be another. */
  readonly file: string | undefined;
  readonly onClose: (pin: LmdbPin) => void;
}

export class LmdbPin implements PinnedRows {
  readonly #parts: LmdbPinParts;
  readonly #file: { readonly fd: number; readonly trees: LmdbTrees } | undefined;
  #isOpen = true;
  #table = 0;
  /** Behind the row that was visited last; undefined before the first of a table. */
  #rows: TreeRows | undefined;
  /** The same through LMDB, where the file is not to be read. */
  #cursor: Cursor | undefined;

  constructor(parts: LmdbPinParts) {
    this.#parts = parts;
    this.#file = parts.file === undefined ? undefined : opened(parts.file);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    const dbi = this.#parts.tables[table];
    assert(this.#isOpen && dbi !== undefined, "an open pin");
    const framed = this.#parts.txn.getBinary(dbi, key);
    return framed === null ? undefined : unframeValue(table, key, framed);
  }

  next(visit: (row: TableRow) => boolean): boolean {
    assert(this.#isOpen, "an open pin");
    for (; this.#table < this.#parts.tables.length; this.#table++, this.#closeTable()) {
      const table = this.#table as Table;
      const trees = this.#file?.trees;
      const more = trees ? this.#read(trees, table, visit) : this.#step(table, visit);
      if (more) return true;
    }
    return false;
  }

  rewind(): void {
    this.#closeTable();
    this.#table = 0;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#closeTable();
    if (this.#file !== undefined) fs.closeSync(this.#file.fd);
    this.#parts.txn.abort();
    this.#parts.onClose(this);
  }

  #read(trees: LmdbTrees, table: Table, visit: (row: TableRow) => boolean): boolean {
    this.#rows ??= trees.rows(table);
    return this.#rows.next((key, value) => visit({ table, key, value }));
  }

  #step(table: Table, visit: (row: TableRow) => boolean): boolean {
    for (let cursor = this.#advance(); cursor !== undefined; cursor = this.#advance()) {
      const framed = cursor.getCurrentBinary();
      if (framed === null) return false;
      if (!visit({ table, ...unframeRow(table, framed) })) return true;
    }
    return false;
  }

  /** To the next row of the table; undefined behind the last. */
  #advance(): Cursor | undefined {
    if (this.#cursor !== undefined) {
      return this.#cursor.goToNext() === null ? undefined : this.#cursor;
    }
    const dbi = this.#parts.tables[this.#table];
    assert(dbi !== undefined, "a table");
    // Numbers for keys are cheap to make; the key itself is in the row (tables.ts).
    this.#cursor = new nodeLmdb.Cursor(this.#parts.txn, dbi, { keyIsUint32: true });
    return this.#cursor.goToFirst() === null ? undefined : this.#cursor;
  }

  #closeTable(): void {
    this.#rows = undefined;
    this.#cursor?.close();
    this.#cursor = undefined;
  }
}

/** Where its root lies is read at once: that is written over soon. Undefined: LMDB has to read it. */
function opened(file: string): { readonly fd: number; readonly trees: LmdbTrees } | undefined {
  let fd: number | undefined;
  try {
    fd = fs.openSync(file, "r");
    return { fd, trees: new LmdbTrees(fd) };
  } catch {
    if (fd !== undefined) fs.closeSync(fd);
    return undefined;
  }
}
