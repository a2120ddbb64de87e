// The store of one member: history of keys in the engine, index and newest rows in memory. Changes are
// visible at once and reach the engine in batches that carry the applied index with them.
import { Revision } from "../base/brand.ts";
import { toLatin1 } from "../base/bytes.ts";
import type { EtcdError } from "../base/errors.ts";
import { type Engine, type EngineBatch, Table } from "../storage/engine.ts";
import { Compaction } from "./compaction.ts";
import type { StoreCounters } from "./counters.ts";
import { finished } from "./digest.ts";
import { HashRun } from "./hash.ts";
import { type VisitRow, visitHistory } from "./history.ts";
import { Index } from "./index.ts";
import type { HashSeed } from "./keyHash.ts";
import { type LeaseIndex, noLeases } from "./leases.ts";
import { ReadView } from "./readView.ts";
import { RecentRows } from "./recentRows.ts";
import { restoreIndex } from "./restore.ts";
import { revisionKeyBytes, writeKeyOf } from "./revision.ts";
import { RowWriter } from "./row.ts";
import { Rows } from "./rows.ts";
import {
  type Applied,
  decodeSavedState,
  encodeSavedState,
  freshState,
  savedStateKey,
} from "./savedState.ts";
import { type ChangeSink, StoreState } from "./state.ts";
import { WriteTxn } from "./writeTxn.ts";

/** Written rows that stay in memory for reads, overhead included. */
export const recentBytesMax = 12 << 20;

export interface StoreOptions {
  readonly leases?: LeaseIndex;
  readonly recentBytesMax?: number;
  /** Secret bits for the hashes of keys, which clients choose. */
  readonly hashSeed?: HashSeed;
}

/** A row of another table that rides in the next batch; without a value it is deleted. */
interface Staged {
  readonly table: Table;
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

export class Store {
  /** Reads of the current state and of history. */
  readonly read: ReadView;
  /** The one transaction; `begin` it, change, `end` it. */
  readonly write: WriteTxn;
  readonly #state: StoreState;
  readonly #compaction: Compaction;
  #applied: Applied;
  /** What the engine holds of `swept`, and what the batch under way brings. */
  #sweptWritten: number;
  #sweptTaken: number;
  /** By table and key: of several changes to a row the last counts, as a batch has no order among them. */
  #staged = new Map<string, Staged>();
  #stagedBytes = 0;

  private constructor(state: StoreState, applied: Applied) {
    this.#state = state;
    this.#applied = applied;
    this.#sweptWritten = this.#sweptTaken = state.swept;
    this.read = new ReadView(state);
    this.write = new WriteTxn(state);
    this.#compaction = new Compaction(state);
  }

  /** Rebuilds the index from the engine; keys with a lease are attached in no order. */
  static open(engine: Engine, options: StoreOptions = {}): Store {
    const bytes = engine.get(Table.meta, savedStateKey);
    const saved = bytes === undefined ? freshState : decodeSavedState(bytes);
    const leases = options.leases ?? noLeases;
    const index = new Index(options.hashSeed);
    restoreIndex(engine, index, leases);
    const recent = new RecentRows(saved.revision + 1, options.recentBytesMax ?? recentBytesMax);
    const rows = new Rows(engine, recent);
    const writer = new RowWriter();
    const state = new StoreState({ engine, index, rows, writer, leases, saved });
    return new Store(state, saved.applied);
  }

  get revision(): Revision {
    return Revision(this.#state.revision);
  }

  /** -1 when never compacted. */
  get compactedRevision(): number {
    return this.#state.compacted;
  }

  /** Applied index and term of the last batch that was taken, at boot of the last that was written. */
  get savedApplied(): Applied {
    return this.#applied;
  }

  get counters(): StoreCounters {
    return this.#state.counters;
  }

  /** Keys, dead ones with history included. */
  get keyCount(): number {
    return this.#state.index.size;
  }

  /** Bytes that are applied but not in the engine: the measure for back pressure. */
  get pendingBytes(): number {
    return this.#state.rows.recent.pendingBytes + this.#stagedBytes;
  }

  /** Rows and deletions that the next batch would hold. */
  get waitingRows(): number {
    return (
      this.#state.rows.recent.waitingRows + this.#staged.size + this.#state.deletions.length / 2
    );
  }

  get leases(): LeaseIndex {
    return this.#state.leases;
  }

  /**
   * Unsigned 32 bits over all changes since the beginning: equal on members that applied the same.
   * Long values count by their ends only.
   */
  stateHash(): number {
    return finished(this.#state.digest);
  }

  /**
   * From now on `sink` hears of all changes; without any sink they are not even listed.
   *
   * @returns how to stop; neither may happen within a transaction.
   */
  listen(sink: ChangeSink): () => void {
    const { sinks } = this.#state;
    sinks.push(sink);
    return () => {
      const at = sinks.indexOf(sink);
      if (at >= 0) sinks.splice(at, 1);
    };
  }

  /** Rows in revision order from `from` on; see visitHistory. */
  history(from: Revision, visit: VisitRow): void {
    const source = { engine: this.#state.engine, recent: this.#state.rows.recent };
    visitHistory(source, { main: from, sub: 0 }, visit);
  }

  /** Raises the floor of history at once. @returns why not, if not. */
  compact(revision: number): EtcdError | undefined {
    const refusal = this.#compaction.refusal(revision);
    if (refusal === undefined) this.#compaction.start(revision);
    return refusal;
  }

  /** One bounded step of physical removal. @returns true when another has something to do now. */
  sweep(unitsMax: number): boolean {
    return this.#compaction.step(unitsMax);
  }

  /** True when the rows of the last compaction are gone from the engine. */
  get compactionSettled(): boolean {
    return this.#sweptWritten >= this.#state.compacted;
  }

  /** The rows that compactions up to this one dropped are gone from the engine; -1 when there was none. */
  get sweptRevision(): number {
    return this.#sweptWritten;
  }

  /** Starts a hash up to `revision` (0: now). @throws {EtcdError} compacted or future revision. */
  hash(revision: number): HashRun {
    return new HashRun(this.#state, revision);
  }

  /**
   * Puts a row of another table into the next batch, without a value its deletion. Both arrays belong
   * to the store from now on.
   */
  stage(table: Table, key: Uint8Array, value: Uint8Array | undefined): void {
    const name = `${table}/${toLatin1(key)}`;
    const before = this.#staged.get(name);
    if (before !== undefined) this.#stagedBytes -= stagedBytes(before);
    const staged = { table, key, value };
    this.#staged.set(name, staged);
    this.#stagedBytes += stagedBytes(staged);
  }

  /**
   * Everything that changed since the last batch, undefined for nothing. One at a time: `flushed`
   * comes before the next.
   *
   * @param applied last entry whose changes are in.
   */
  takeBatch(applied: Applied): EngineBatch | undefined {
    const state = this.#state;
    const moved = applied.index > this.#applied.index;
    if (!moved && !state.dirty && this.waitingRows === 0) return undefined;
    const puts: EngineBatch["puts"][number][] = [];
    const deletes: EngineBatch["deletes"][number][] = [];
    for (const { table, key, value } of this.#staged.values()) {
      if (value === undefined) deletes.push({ table, key });
      else puts.push({ table, key, value });
    }
    this.#takeRows(puts);
    this.#takeDeletions(deletes);
    puts.push({
      table: Table.meta,
      key: savedStateKey,
      value: encodeSavedState({
        applied,
        revision: state.revision,
        compacted: state.compacted,
        swept: state.swept,
        digest: state.digest,
      }),
    });
    this.#staged.clear();
    this.#stagedBytes = 0;
    this.#applied = applied;
    this.#sweptTaken = state.swept;
    state.dirty = false;
    return { puts, deletes };
  }

  /** The batch taken last is in the engine. */
  flushed(): void {
    this.#state.rows.recent.flushed();
    this.#sweptWritten = this.#sweptTaken;
  }

  #takeRows(puts: EngineBatch["puts"][number][]): void {
    const { recent } = this.#state.rows;
    const keys = Buffer.allocUnsafeSlow(recent.waitingRows * revisionKeyBytes);
    let at = 0;
    recent.visit({ main: recent.take(), sub: 0 }, (main, sub, stored) => {
      writeKeyOf(keys, at, main, sub);
      const key = new Uint8Array(keys.buffer, at, revisionKeyBytes);
      puts.push({ table: Table.key, key, value: stored });
      at += revisionKeyBytes;
      return true;
    });
  }

  #takeDeletions(deletes: EngineBatch["deletes"][number][]): void {
    const pairs = this.#state.deletions;
    this.#state.deletions = [];
    const keys = Buffer.allocUnsafeSlow((pairs.length / 2) * revisionKeyBytes);
    for (let i = 0, at = 0; i < pairs.length; i += 2, at += revisionKeyBytes) {
      writeKeyOf(keys, at, pairs[i] ?? 0, pairs[i + 1] ?? 0);
      deletes.push({ table: Table.key, key: keys.subarray(at, at + revisionKeyBytes) });
    }
  }
}

function stagedBytes({ key, value }: Staged): number {
  return key.length + (value?.length ?? 0);
}
