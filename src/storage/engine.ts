// Engine port: ordered byte tables, written behind in atomic batches. LMDB and memory implement it.

/** The tables of one member. The numbers are fixed: they name databases on disk. */
export const Table = {
  /** Applied index and term, compacted revision, format, batch origins. */
  meta: 0,
  /** History of keys: revision → row (see mvcc/revision.ts). */
  key: 1,
  lease: 2,
  members: 3,
  alarm: 4,
  auth: 5,
} as const;
export type Table = (typeof Table)[keyof typeof Table];
export const tableCount = 6;

export interface EngineRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/**
 * Changes that become durable together or not at all, applied in order.
 * Keys are 1 to 511 bytes. The engine owns the bytes from `submit` until completion.
 */
export interface EngineBatch {
  readonly puts: readonly {
    readonly table: Table;
    readonly key: Uint8Array;
    readonly value: Uint8Array;
  }[];
  readonly deletes: readonly { readonly table: Table; readonly key: Uint8Array }[];
}

export interface EngineSize {
  /** Bytes that the store occupies on disk, free pages included. */
  readonly allocatedBytes: number;
  readonly inUseBytes: number;
}

export interface Engine {
  /** Value of `key` as of the last completed batch; the bytes belong to the caller. */
  get(table: Table, key: Uint8Array): Uint8Array | undefined;
  /** Rows of a table, as of the last completed batch. */
  rowCount(table: Table): number;
  /**
   * Rows with key in [from, to) in byte order, as of the last completed batch; without `to` until
   * the end of the table. `visit` returns false to stop. The row's bytes are valid only within
   * `visit`; it must not call the engine.
   */
  scan(
    range: { table: Table; from: Uint8Array; to?: Uint8Array | undefined },
    visit: (key: Uint8Array, value: Uint8Array) => boolean,
  ): void;
  /**
   * Starts writing; exactly one batch may be under way. `done` is called later, in another turn:
   * without an error the batch is durable (up to a power cut, which may undo whole last batches)
   * and visible to `get` and `scan`. With an error the member must stop.
   * @throws {Mistake} while another batch is under way.
   */
  submit(batch: EngineBatch, done: (error: Error | undefined) => void): void;
  size(): EngineSize;
  /**
   * Holds the state of all tables as it is now, while batches go on. Space that is freed meanwhile
   * is not used again, so a pin should not live for long.
   */
  pin(): PinnedRows;
  /** Waits for a batch under way, then frees everything, pins included. */
  close(): Promise<void>;
}

export interface TableRow extends EngineRow {
  readonly table: Table;
}

/** All rows of one moment, read piece by piece. */
export interface PinnedRows {
  /** False once it was closed, or the engine had to let go of it: then nothing can be read. */
  readonly isOpen: boolean;
  /** As of that moment; the bytes belong to the caller. */
  get(table: Table, key: Uint8Array): Uint8Array | undefined;
  /**
   * Visits the rows that follow, by table, then key, until `visit` returns false: that row has been
   * visited, the next call goes on behind it. The bytes are valid only within `visit`.
   *
   * @returns false when no row is left.
   */
  next(visit: (row: TableRow) => boolean): boolean;
  /** Begins again at the first row. */
  rewind(): void;
  close(): void;
}
