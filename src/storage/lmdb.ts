// Engine over LMDB. Batches and their sync run on libuv's pool.
//
// One environment belongs to one thread. That thread must not end while a batch is under way: Node
// then aborts the whole process ("uv_loop_close() while having open handles"). So a member thread
// closes its engine, and waits for it, before it ends in whatever way; whoever would terminate it closes
// its gate first.
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { assert, Mistake, unreachable } from "../base/assert.ts";
import { compareBytes } from "../base/bytes.ts";
import { ThreadGate } from "../base/threadGate.ts";
import {
  type Engine,
  type EngineBatch,
  type EngineSize,
  type PinnedRows,
  Table,
  tableCount,
} from "./engine.ts";
import { checkBatch } from "./engineBatch.ts";
import { faultOf } from "./lmdbFault.ts";
import { checkOwner, type StoreOwner } from "./lmdbOwner.ts";
import { LmdbPin } from "./lmdbPin.ts";
import { framedBytes, RowFramer, unframeRow, unframeValue } from "./lmdbRows.ts";
import { scanLmdbFile } from "./lmdbScan.ts";
import {
  type BatchOperation,
  type Cursor,
  type Dbi,
  type Env,
  nodeLmdb,
  type Txn,
} from "./nodeLmdb.ts";
import { tableNames } from "./tables.ts";

export interface LmdbOptions {
  readonly directory: string;
  /** Address space taken at first; doubled when it runs short. Costs no memory and no disk. */
  readonly mapBytes: number;
  /** Whose rows these are; written into a new store, and compared in an old one. */
  readonly owner?: StoreOwner;
  /** Each row of the file was just checked: the first scan of a table does not do so again. */
  readonly isChecked?: boolean;
  /** Closed while a batch is under way: nobody may terminate the thread then (decision 0002). */
  readonly gate?: ThreadGate;
}

export const defaultMapBytes = 1024 * 1024 * 1024;
/** LMDB's page: what a row may dirty, a few times over with the branches above it. */
const pageBytes = 4096;
/** Room left aside for free lists and branches when a batch is measured against the map. */
const mapSlackBytes = 1024 * 1024;
/** Address space that a new pin finds free: what may be written before it is lost. */
const pinRoomBytes = 4 * 1024 * 1024 * 1024;

/** A whole table of so many rows is read from the file, by pages. */
export const pagedRowsMin = 1_000;

type Done = (error: Error | undefined) => void;

export class LmdbEngine implements Engine {
  readonly #options: LmdbOptions;
  readonly #directory: string;
  readonly #gate: ThreadGate;
  #env: Env;
  #tables: readonly Dbi[];
  readonly #framer = new RowFramer();
  #reader: Txn;
  #isReading = true;
  #mapBytes: number;
  #busy = false;
  #closed = false;
  #waiting: (() => void)[] = [];
  readonly #pins = new Set<LmdbPin>();
  /** Tables whose rows are as a check has found them. */
  readonly #checked: Set<Table>;

  /** @throws {EngineFault} when it cannot be opened. */
  constructor(options: LmdbOptions) {
    this.#options = options;
    this.#directory = options.directory;
    this.#gate = options.gate ?? new ThreadGate();
    this.#checked = new Set(options.isChecked === true ? Object.values(Table) : []);
    makeDirectory(options.directory);
    const { env, tables, reader, mapBytes } = openStore(options);
    this.#env = env;
    this.#tables = tables;
    this.#reader = reader;
    this.#mapBytes = mapBytes;
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    const framed = this.#reader.getBinary(this.#table(table), key);
    return framed === null ? undefined : unframeValue(table, key, framed);
  }

  rowCount(table: Table): number {
    return this.#table(table).stat(this.#reader).entryCount;
  }

  scan(
    range: { table: Table; from: Uint8Array; to?: Uint8Array | undefined },
    visit: (key: Uint8Array, value: Uint8Array) => boolean,
  ): void {
    const { table, from, to } = range;
    const isChecked = this.#checked.delete(table);
    if (to === undefined && this.#isWorthPages(table) && this.#isWhole(table, from)) {
      scanLmdbFile(this.#file, { table, isChecked }, visit);
      return;
    }
    const cursor = this.#cursorAt(table, from);
    if (cursor === undefined) return;
    try {
      for (let row = cursor.getCurrentBinary(); row !== null; ) {
        const { key, value } = unframeRow(range.table, row);
        if (range.to !== undefined && compareBytes(key, range.to) >= 0) return;
        if (!visit(key, value)) return;
        row = cursor.goToNext() === null ? null : cursor.getCurrentBinary();
      }
    } finally {
      cursor.close();
    }
  }

  submit(batch: EngineBatch, done: Done): void {
    assert(!this.#busy, "one batch at a time");
    this.#checked.clear();
    checkBatch(batch);
    this.#busy = true;
    const bytes = framedBytes(batch);
    const rows = batch.puts.length + batch.deletes.length;
    this.#attempt(done, () => {
      this.#growFor(2 * bytes + 2 * rows * pageBytes + mapSlackBytes);
      this.#write(this.#operations(batch, bytes), done);
    });
  }

  size(): EngineSize {
    const allocatedBytes = (this.#env.info().lastPageNumber + 1) * pageBytes;
    let pages = 2 + 1;
    for (const table of this.#tables) {
      const stat = table.stat(this.#reader);
      pages += stat.treeBranchPageCount + stat.treeLeafPageCount + stat.overflowPages;
    }
    return { allocatedBytes, inUseBytes: Math.min(allocatedBytes, pages * pageBytes) };
  }

  pin(): PinnedRows {
    // A map that must grow takes all pins with it.
    if (!this.#busy) this.#growFor(pinRoomBytes);
    const pin = new LmdbPin({
      ...{ txn: this.#env.beginTxn({ readOnly: true }), tables: this.#tables },
      file: this.#busy ? undefined : this.#file,
      onClose: (closed) => this.#pins.delete(closed),
    });
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
    if (this.#closed) return;
    this.#closed = true;
    this.#closePins();
    this.#endReader();
    this.#env.close();
  }

  /**
   * Lets `between` put another file with the same rows in the place of its own, and goes on with that.
   *
   * @throws {Mistake} while a batch is under way. @throws what `between` throws, or {EngineFault}: it is closed.
   */
  reopen(between: () => void): void {
    this.closeNow();
    between();
    const { env, tables, reader, mapBytes } = openStore(this.#options);
    this.#env = env;
    this.#tables = tables;
    this.#reader = reader;
    this.#isReading = true;
    this.#mapBytes = mapBytes;
    this.#closed = false;
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.whenIdle(() => {
        this.closeNow();
        resolve();
      });
    });
  }

  #operations(batch: EngineBatch, bytes: number): BatchOperation[] {
    const operations: BatchOperation[] = [];
    this.#framer.start(bytes);
    for (const row of batch.puts) {
      operations.push([this.#table(row.table), row.key, this.#framer.frame(row)]);
    }
    for (const { table, key } of batch.deletes) {
      operations.push([this.#table(table), key, null]);
    }
    return operations;
  }

  /** Runs what is to begin a batch; what it throws is told as a batch that failed: there is none under way. */
  #attempt(done: Done, begin: () => void): void {
    try {
      begin();
    } catch (error) {
      setImmediate(() => this.#end(error, done));
    }
  }

  #write(operations: readonly BatchOperation[], done: Done): void {
    this.#gate.enter();
    try {
      this.#env.batchWrite(operations, { keyIsBuffer: true }, (error) => {
        this.#gate.leave();
        this.#onWritten(error, operations, done);
      });
    } catch (error) {
      this.#gate.leave();
      throw error;
    }
  }

  #onWritten(error: Error | null, operations: readonly BatchOperation[], done: Done): void {
    if (error?.message.startsWith("MDB_MAP_FULL")) {
      // Nothing was written. The estimate was too low: free pages may be pinned or scattered.
      this.#attempt(done, () => {
        this.#resize(this.#mapBytes * 2);
        this.#write(operations, done);
      });
      return;
    }
    if (error === null) this.#renewReader();
    this.#end(error, done);
  }

  /** @throws {Mistake} that `error` is. */
  #end(error: unknown, done: Done): void {
    this.#busy = false;
    try {
      if (error instanceof Mistake) throw error;
      done(error === null ? undefined : faultOf(error, this.#directory));
    } finally {
      this.#tellIdle();
    }
  }

  // Whoever waited may begin another batch: the others then wait for that one too.
  #tellIdle(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const run of waiting) this.whenIdle(run);
  }

  // The kept transaction moves to the newest state, and frees the pages of the old one.
  #renewReader(): void {
    this.#reader.reset();
    this.#reader.renew();
  }

  #growFor(moreBytes: number): void {
    const usedBytes = (this.#env.info().lastPageNumber + 1) * pageBytes;
    let mapBytes = this.#mapBytes;
    while (usedBytes + moreBytes > mapBytes) mapBytes *= 2;
    if (mapBytes > this.#mapBytes) this.#resize(mapBytes);
  }

  #endReader(): void {
    if (this.#isReading) this.#reader.abort();
    this.#isReading = false;
  }

  #closePins(): void {
    for (const pin of [...this.#pins]) pin.close();
  }

  // Called with no batch under way; the map moves, so all readers must go first.
  #resize(mapBytes: number): void {
    this.#closePins();
    this.#endReader();
    // Where it fails there is no map any more, and no reader may begin.
    this.#env.resize(mapBytes);
    this.#mapBytes = mapBytes;
    this.#reader = this.#env.beginTxn({ readOnly: true });
    this.#isReading = true;
  }

  /** A cursor on the first row at or above `from`; undefined when there is none. */
  #cursorAt(table: Table, from: Uint8Array): Cursor | undefined {
    const isWhole = this.#isWhole(table, from);
    // A step of the first costs a fraction of the other's, but it can only start at the beginning.
    const keys = isWhole ? ({ keyIsUint32: true } as const) : ({ keyIsBuffer: true } as const);
    const cursor = new nodeLmdb.Cursor(this.#reader, this.#table(table), keys);
    const found = isWhole ? cursor.goToFirst() : cursor.goToRange(from);
    return found === null ? closed(cursor) : cursor;
  }

  /** No row of the table is below `from`. */
  #isWhole(table: Table, from: Uint8Array): boolean {
    const cursor = new nodeLmdb.Cursor(this.#reader, this.#table(table), { keyIsUint32: true });
    const first = cursor.goToFirst() === null ? null : cursor.getCurrentBinary();
    cursor.close();
    return first === null || compareBytes(unframeRow(table, first).key, from) >= 0;
  }

  /** Pages of a batch under way may be written over what the file's newest state reaches. */
  #isWorthPages(table: Table): boolean {
    return !this.#busy && this.rowCount(table) >= pagedRowsMin;
  }

  get #file(): string {
    return path.join(this.#directory, "data.mdb");
  }

  #table(table: Table): Dbi {
    return this.#tables[table] ?? unreachable(`table ${table}`);
  }
}

interface OpenStore {
  readonly env: Env;
  readonly tables: readonly Dbi[];
  readonly reader: Txn;
  readonly mapBytes: number;
}

/** @throws {EngineFault} */
function openStore({ directory, owner, ...options }: LmdbOptions): OpenStore {
  const used = fileBytes(path.join(directory, "data.mdb"));
  const mapBytes = Math.max(options.mapBytes, 2 ** Math.ceil(Math.log2(2 * used + pageBytes)));
  const env = new nodeLmdb.Env();
  try {
    env.open({
      path: freshSpelling(directory),
      mapSize: mapBytes,
      maxDbs: tableCount + 1,
      noMetaSync: true,
    });
    const tables = Object.values(tableNames).map((name) =>
      env.openDbi({ name, create: true, keyIsBuffer: true }),
    );
    if (owner !== undefined) checkOwner(env, owner);
    return { env, tables, reader: env.beginTxn({ readOnly: true }), mapBytes };
  } catch (error) {
    closeQuietly(env);
    throw faultOf(error, directory);
  }
}

function closed(cursor: Cursor): undefined {
  cursor.close();
}

function makeDirectory(directory: string): void {
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw faultOf(error, path.dirname(directory));
  }
}

// It may not be open, and what matters is why.
function closeQuietly(env: Env): void {
  try {
    env.close();
  } catch {
    return;
  }
}

function fileBytes(file: string): number {
  return fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

// The addon keeps opened environments by the spelling of their path, for the whole process, and
// hands one out again even when its thread has ended without closing it. Another spelling of the
// same directory opens it anew.
function freshSpelling(directory: string): string {
  const bits = randomBytes(4).readUInt32BE(0).toString(2);
  return directory + bits.replaceAll("0", "/").replaceAll("1", "/.");
}
