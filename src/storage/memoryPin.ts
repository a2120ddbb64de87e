// A moment of a MemoryEngine: chunks of rows that nobody changes any more.
import { assert } from "../base/assert.ts";
import { compareBytes, copyBytes } from "../base/bytes.ts";
import type { EngineRow, PinnedRows, Table, TableRow } from "./engine.ts";

type Chunks = readonly (readonly EngineRow[])[];

export class MemoryPin implements PinnedRows {
  #tables: readonly Chunks[];
  #table = 0;
  #chunk = 0;
  #at = 0;
  #isOpen = true;
  readonly #onClose: (pin: MemoryPin) => void;

  /** @param tables by number. */
  constructor(tables: readonly Chunks[], onClose: (pin: MemoryPin) => void) {
    this.#tables = tables;
    this.#onClose = onClose;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    assert(this.#isOpen, "an open pin");
    for (const chunk of this.#tables[table] ?? []) {
      const row = chunk.find((each) => compareBytes(each.key, key) === 0);
      if (row !== undefined) return copyBytes(row.value);
    }
    return undefined;
  }

  next(visit: (row: TableRow) => boolean): boolean {
    assert(this.#isOpen, "an open pin");
    for (; this.#table < this.#tables.length; this.#table++, this.#chunk = 0) {
      const chunks = this.#tables[this.#table] ?? [];
      for (; this.#chunk < chunks.length; this.#chunk++, this.#at = 0) {
        const rows = chunks[this.#chunk] ?? [];
        while (this.#at < rows.length) {
          const row = rows[this.#at++];
          if (row && !visit({ table: this.#table as Table, ...row })) return true;
        }
      }
    }
    return false;
  }

  rewind(): void {
    this.#table = 0;
    this.#chunk = 0;
    this.#at = 0;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#tables = [];
    this.#onClose(this);
  }
}
