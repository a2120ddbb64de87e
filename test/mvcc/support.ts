// A store over a memory engine whose batches complete when the test says so.
import { LogIndex, noLease, Term } from "../../src/base/brand.ts";
import { toLatin1 } from "../../src/base/bytes.ts";
import type { RangeQuery } from "../../src/mvcc/readView.ts";
import { pairOf, rowKeyText } from "../../src/mvcc/row.ts";
import { Store, type StoreOptions } from "../../src/mvcc/store.ts";
import type { Table } from "../../src/storage/engine.ts";
import { MemoryEngine } from "../../src/storage/memory.ts";

export const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

/** A memory engine and the completion it owes. */
export class Disk {
  engine: MemoryEngine;
  #owed: (() => void)[] = [];

  constructor() {
    this.engine = new MemoryEngine({ defer: (run) => this.#owed.push(run) });
  }

  /** Completes the batch under way. */
  complete(): void {
    for (const run of this.#owed.splice(0)) run();
  }

  /** The process dies: a batch under way is lost. */
  crash(): void {
    this.#owed = [];
    this.engine = this.engine.afterCrash();
  }

  rowCount(table: Table): number {
    let count = 0;
    this.engine.scan({ table, from: Buffer.alloc(1) }, () => {
      count++;
      return true;
    });
    return count;
  }
}

/** A store with its disk; entries are counted by themselves. */
export class StoreHarness {
  readonly disk = new Disk();
  readonly #options: StoreOptions;
  store: Store;
  applied = 0;

  constructor(options: StoreOptions = {}) {
    this.#options = options;
    this.store = Store.open(this.disk.engine, options);
  }

  put(key: string, value = "v"): void {
    this.applied++;
    this.store.write.begin();
    this.store.write.put(pairOf(bytes(key), bytes(value)), noLease);
    this.store.write.end();
  }

  delete(key: string): number {
    this.applied++;
    this.store.write.begin();
    const deleted = this.store.write.deleteKey(bytes(key));
    this.store.write.end();
    return deleted;
  }

  /** Several puts and deletes at one revision: "a=1", "-a". */
  txn(...changes: readonly string[]): void {
    this.applied++;
    this.store.write.begin();
    for (const change of changes) {
      const [key = "", value = ""] = change.split("=");
      if (change.startsWith("-")) this.store.write.deleteKey(bytes(change.slice(1)));
      else this.store.write.put(pairOf(bytes(key), bytes(value)), noLease);
    }
    this.store.write.end();
  }

  /** Starts a batch without completing it. @returns false when there is nothing to write. */
  submit(): boolean {
    const batch = this.store.takeBatch({ index: LogIndex(this.applied), term: Term(1) });
    if (batch === undefined) return false;
    this.disk.engine.submit(batch, () => this.store.flushed());
    return true;
  }

  flush(): void {
    this.submit();
    this.disk.complete();
  }

  sweepAll(): void {
    while (this.store.sweep(7));
  }

  reopen(): void {
    this.disk.crash();
    this.store = Store.open(this.disk.engine, this.#options);
    this.applied = this.store.savedApplied.index;
  }
}

export function query(fields: Partial<RangeQuery> & { from: string; to?: string }): RangeQuery {
  return {
    key: bytes(fields.from),
    rangeEnd: bytes(fields.to ?? ""),
    limit: 0,
    revision: 0,
    sortOrder: 0,
    sortTarget: 0,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
    ...fields,
  };
}

export const keysOf = (rows: readonly Uint8Array[]): string =>
  rows.map((row) => rowKeyText(row)).join(" ");

export const textOf = (row: Uint8Array): string => toLatin1(row);
