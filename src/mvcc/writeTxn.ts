// Puts and deletes at one main revision, each with the next sub. Every change is visible at once: a
// store has one thread, so nobody can look in between but the transaction itself.
import { assert } from "../base/assert.ts";
import { type LeaseId, noLease, Revision } from "../base/brand.ts";
import type { KeyRange } from "./index.ts";
import type { KeyIndex } from "./keyIndex.ts";
import { rowAt } from "./row.ts";
import type { Change, StoreState } from "./state.ts";

/** One per store, used again for every transaction: `begin`, changes, `end`. */
export class WriteTxn {
  readonly #state: StoreState;
  #open = false;
  #before = 0;
  #sub = 0;
  #changes: Change[] | undefined = undefined;

  constructor(state: StoreState) {
    this.#state = state;
  }

  begin(): void {
    assert(!this.#open, "one transaction at a time");
    this.#open = true;
    this.#before = this.#state.revision;
    this.#sub = 0;
    this.#changes = this.#state.sinks.length === 0 ? undefined : [];
  }

  /** Revision before the transaction. */
  get before(): Revision {
    return Revision(this.#before);
  }

  /** Revision of its changes; that before when there are none yet. */
  get revision(): Revision {
    return Revision(this.#state.revision);
  }

  get changed(): boolean {
    return this.#sub > 0;
  }

  /**
   * @param key   latin1, not empty.
   * @param value copied.
   * @param lease must exist, or be none.
   */
  put(key: string, value: Uint8Array, lease: LeaseId): void {
    const state = this.#state;
    const main = this.#before + 1;
    const sub = this.#sub++;
    state.counters.puts++;
    state.counters.putBytes += key.length + value.length;
    const entry = state.index.put(key, main, sub);
    const place = state.writer.put(entry, value, lease);
    state.revision = main;
    state.rows.recent.append(main, sub, place);
    state.digestRow(place);
    if (lease === noLease) state.leases.detach(key);
    else state.leases.attach(lease, key);
    this.#changes?.push({ kind: "put", key, row: rowAt(place) });
  }

  /**
   * Deletes the living keys of a range, in key order.
   *
   * @param deletedRows gets the rows as they were, when given.
   * @returns how many there were.
   */
  deleteRange(range: KeyRange, deletedRows?: Uint8Array[]): number {
    this.#state.counters.deletes++;
    const doomed: KeyIndex[] = [];
    this.#state.index.visit(range, (entry) => {
      if (entry.alive) doomed.push(entry);
      return true;
    });
    for (const entry of doomed) {
      deletedRows?.push(this.#state.rows.read(entry.main, entry.sub));
      this.#delete(entry);
    }
    return doomed.length;
  }

  /** Deletes one key (latin1). @returns how many there were, 0 or 1. */
  deleteKey(key: string, deletedRows?: Uint8Array[]): number {
    this.#state.counters.deletes++;
    const entry = this.#state.index.get(key);
    if (entry === undefined || !entry.alive) return 0;
    deletedRows?.push(this.#state.rows.read(entry.main, entry.sub));
    this.#delete(entry);
    return 1;
  }

  /** Closes the transaction and tells its changes. @returns the store's revision now. */
  end(): Revision {
    assert(this.#open, "a transaction ends once");
    this.#open = false;
    const changes = this.#changes;
    this.#changes = undefined;
    if (this.#sub > 1) this.#state.counters.txns++;
    if (this.#sub > 0 && changes !== undefined) {
      const revision = Revision(this.#state.revision);
      for (const sink of this.#state.sinks) sink.onChanges(revision, changes);
    }
    return Revision(this.#state.revision);
  }

  #delete(entry: KeyIndex): void {
    const state = this.#state;
    const main = this.#before + 1;
    const sub = this.#sub++;
    state.index.tombstone(entry, main, sub);
    const place = state.writer.tombstone(entry.key, main);
    state.revision = main;
    state.rows.recent.append(main, sub, place);
    state.digestRow(place);
    state.leases.detach(entry.key);
    this.#changes?.push({ kind: "delete", key: entry.key, row: rowAt(place) });
  }
}
