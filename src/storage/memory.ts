// The Engine contract in memory: rows in sorted chunks. A crash forgets the batch under way.
import { assert } from "../base/assert.ts";
import { compareBytes, copyBytes } from "../base/bytes.ts";
import {
  type Engine,
  type EngineBatch,
  type EngineRow,
  type EngineSize,
  type PinnedRows,
  type Table,
  tableCount,
} from "./engine.ts";
import { checkBatch } from "./engineBatch.ts";
import { MemoryPin } from "./memoryPin.ts";
import { SortedRows } from "./sortedRows.ts";

export interface MemoryEngineOptions {
  /** Runs the completion of a batch in a later turn. */
  readonly defer: (run: () => void) => void;
}

/** What a row costs beside its bytes. */
const rowOverheadBytes = 64;

export class MemoryEngine implements Engine {
  readonly #options: MemoryEngineOptions;
  #tables: readonly SortedRows[];
  #busy = false;
  #dead = false;
  #closed = false;
  #waiting: (() => void)[] = [];
  readonly #pins = new Set<MemoryPin>();
  #inUseBytes = 0;

  constructor(options: MemoryEngineOptions, tables?: readonly SortedRows[]) {
    this.#options = options;
    this.#tables = tables ?? Array.from({ length: tableCount }, () => new SortedRows());
  }

  /** What a restart finds after a crash: the completed batches. This engine is dead from then on. */
  afterCrash(): MemoryEngine {
    this.#dead = true;
    const engine = new MemoryEngine(this.#options, this.#tables);
    engine.#inUseBytes = this.#inUseBytes;
    return engine;
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    const value = this.#rows(table).get(key);
    return value && copyBytes(value);
  }

  rowCount(table: Table): number {
    return this.#rows(table).size;
  }

  scan(
    range: { table: Table; from: Uint8Array; to?: Uint8Array | undefined },
    visit: (key: Uint8Array, value: Uint8Array) => boolean,
  ): void {
    const { from, to } = range;
    this.#rows(range.table).visitFrom(from, (row) => {
      if (to !== undefined && compareBytes(row.key, to) >= 0) return false;
      return visit(row.key, row.value);
    });
  }

  submit(batch: EngineBatch, done: (error: Error | undefined) => void): void {
    assert(!this.#busy, "one batch at a time");
    assert(!this.#closed, "an open engine");
    checkBatch(batch);
    this.#busy = true;
    this.#options.defer(() => {
      if (this.#dead) return;
      this.#apply(batch);
      this.#busy = false;
      done(undefined);
      this.#tellIdle();
    });
  }

  size(): EngineSize {
    return { allocatedBytes: this.#inUseBytes, inUseBytes: this.#inUseBytes };
  }

  pin(): PinnedRows {
    assert(!this.#closed, "an open engine");
    const pin = new MemoryPin(
      this.#tables.map((rows) => rows.frozen()),
      (closed) => this.#pins.delete(closed),
    );
    this.#pins.add(pin);
    return pin;
  }

  /** Runs `run` once no batch is under way, at once if there is none. */
  whenIdle(run: () => void): void {
    if (this.#busy) this.#waiting.push(run);
    else run();
  }

  /** @throws {Mistake} while a batch is under way. */
  closeNow(): void {
    assert(!this.#busy, "no batch is under way");
    this.#closed = true;
    for (const pin of [...this.#pins]) pin.close();
  }

  /** Goes on with the rows of another, which is closed by that; pins are lost. */
  adopt(other: MemoryEngine): void {
    this.closeNow();
    other.closeNow();
    this.#closed = false;
    this.#tables = other.#tables;
    this.#inUseBytes = other.#inUseBytes;
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.whenIdle(() => {
        this.closeNow();
        resolve();
      });
    });
  }

  // Whoever waited may begin another batch: the others then wait for that one too.
  #tellIdle(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const run of waiting) this.whenIdle(run);
  }

  #rows(table: Table): SortedRows {
    assert(!this.#closed, "an open engine");
    const rows = this.#tables[table];
    assert(rows !== undefined, `table ${table}`);
    return rows;
  }

  // The bytes are copied: they are the engine's only until completion.
  #apply(batch: EngineBatch): void {
    for (const { table, key, value } of batch.puts) {
      const row = { key: pooledCopy(key), value: pooledCopy(value) };
      this.#inUseBytes += costOf(row) - costOf(this.#rows(table).put(row));
    }
    for (const { table, key } of batch.deletes) {
      this.#inUseBytes -= costOf(this.#rows(table).delete(key));
    }
  }
}

/** In Node's small slabs: an array of its own for each row keeps the collector busy. */
function pooledCopy(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafe(bytes.length);
  copy.set(bytes);
  return copy;
}

function costOf(row: EngineRow | undefined): number {
  return row ? row.key.length + row.value.length + rowOverheadBytes : 0;
}
