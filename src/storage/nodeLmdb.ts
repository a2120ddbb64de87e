// The part of node-lmdb 0.10 that lmdb.ts uses, typed as it behaves: keys and values may be any bytes.
import { createRequire } from "node:module";

export interface Dbi {
  stat(txn: Txn): DbiStat;
  close(): void;
}

export interface DbiStat {
  readonly pageSize: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
  readonly entryCount: number;
}

export interface Txn {
  /** A copy; null when absent. */
  getBinary(dbi: Dbi, key: Uint8Array): Buffer | null;
  putBinary(dbi: Dbi, key: Buffer, value: Buffer, options: { keyIsBuffer: true }): void;
  commit(): void;
  abort(): void;
  reset(): void;
  renew(): void;
}

/** `key` must be whole until the callback; a value of null deletes. */
export type BatchOperation = [dbi: Dbi, key: Uint8Array, value: Uint8Array | null];

export interface Env {
  open(options: {
    path: string;
    mapSize: number;
    maxDbs: number;
    noMetaSync?: boolean;
    noReadAhead?: boolean;
  }): void;
  openDbi(options: { name: string; create: boolean; keyIsBuffer: boolean }): Dbi;
  /** Without options: one that writes; it blocks until it is alone. */
  beginTxn(options?: { readOnly: true }): Txn;
  /** Throws while any transaction object is alive. */
  resize(mapBytes: number): void;
  info(): { readonly mapSize: number; readonly lastPageNumber: number };
  /** Puts and deletes in one transaction on the pool; a key of a bad length is skipped in silence. */
  batchWrite(
    operations: readonly BatchOperation[],
    options: { keyIsBuffer: true },
    callback: (error: Error | null) => void,
  ): void;
  close(): void;
}

export interface Cursor {
  goToFirst(): Buffer | number | null;
  goToRange(key: Uint8Array): Buffer | number | null;
  goToNext(): Buffer | number | null;
  getCurrentBinary(): Buffer | null;
  close(): void;
}

export interface NodeLmdb {
  readonly Env: new () => Env;
  /** With `keyIsUint32` each step returns the first bytes of the key as a number, which is cheap. */
  readonly Cursor: new (
    txn: Txn,
    dbi: Dbi,
    options: { keyIsBuffer: true } | { keyIsUint32: true },
  ) => Cursor;
}

// The package's own types allow neither plain byte arrays as keys nor what cursors need here.
export const nodeLmdb: NodeLmdb = createRequire(import.meta.url)("node-lmdb");
