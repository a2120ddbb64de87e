// What the files of this room share: the one mutable record of a store. Nobody outside sees it.

import type { Revision } from "../base/brand.ts";
import type { Engine } from "../storage/engine.ts";
import { StoreCounters } from "./counters.ts";
import { mixBytes, mixWord } from "./digest.ts";
import type { Index } from "./index.ts";
import type { LeaseIndex } from "./leases.ts";
import type { RowPlace, RowWriter } from "./row.ts";
import type { Rows } from "./rows.ts";

/** A single change of a transaction, in the order of execution. */
export interface Change {
  readonly kind: "put" | "delete";
  /** latin1, one char per byte. */
  readonly key: string;
  /** The `kv` of the event. */
  readonly row: Uint8Array;
}

/** Hears of every transaction that changed something, in revision order, before it is answered. */
export interface ChangeSink {
  onChanges(revision: Revision, changes: readonly Change[]): void;
}

/** Bytes that the digest looks at: key and revisions, and the end of the value. */
const sampledHeadBytes = 32;
const sampledTailBytes = 16;

export class StoreState {
  readonly engine: Engine;
  readonly index: Index;
  readonly rows: Rows;
  readonly writer: RowWriter;
  readonly leases: LeaseIndex;
  readonly sinks: ChangeSink[] = [];
  readonly counters = new StoreCounters();
  /** Current main revision; within a transaction its own from the first change on. */
  revision: number;
  /** Last compacted revision; -1 when never. */
  compacted: number;
  /** Last compaction whose rows are all deleted, or on their way in the next batch. */
  swept: number;
  /** Digest over all changes since the beginning, see `stateDigest`. */
  digest: number;
  /** Main, sub pairs of compacted rows that the next batch deletes. */
  deletions: number[] = [];
  /** Something but rows changed since the last batch. */
  dirty = false;

  constructor(parts: {
    engine: Engine;
    index: Index;
    rows: Rows;
    writer: RowWriter;
    leases: LeaseIndex;
    saved: { revision: number; compacted: number; swept: number; digest: number };
  }) {
    this.engine = parts.engine;
    this.index = parts.index;
    this.rows = parts.rows;
    this.writer = parts.writer;
    this.leases = parts.leases;
    this.revision = parts.saved.revision;
    this.compacted = parts.saved.compacted;
    this.swept = parts.saved.swept;
    this.digest = parts.saved.digest;
  }

  /** Takes a row into the digest: its head and its end, at a cost that does not grow with the value. */
  digestRow({ slab, from, to }: RowPlace): void {
    const headEnd = Math.min(to, from + sampledHeadBytes);
    let digest = mixBytes(this.digest, slab, from, headEnd);
    if (headEnd < to) {
      digest = mixBytes(digest, slab, Math.max(headEnd, to - sampledTailBytes), to);
    }
    this.digest = mixWord(digest, to - from);
  }
}
