// Puts and deletes at one main revision, each with the next sub. Every change is visible at once: a
// store has one thread, so nobody can look in between but the transaction itself.
import { assert } from "../base/assert.ts";
import { type LeaseId, noLease, Revision } from "../base/brand.ts";
import { spanOf } from "../base/bytes.ts";
import { noKey } from "./keyTable.ts";
import { type Pair, rowAt } from "./row.ts";
import type { KeyRange } from "./sortedKeys.ts";
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
   * @param pair  copied; the key is not empty.
   * @param lease must exist, or be none.
   */
  put(pair: Pair, lease: LeaseId): void {
    const state = this.#state;
    const { index, leases } = state;
    const { key, value } = pair;
    const main = this.#before + 1;
    const sub = this.#sub++;
    state.counters.puts++;
    state.counters.putBytes += key.to - key.from + value.to - value.from;
    const slot = index.put(key, main, sub);
    const head = { created: index.created(slot), main, version: index.version(slot) };
    const place = state.writer.put(head, pair, lease);
    state.revision = main;
    state.rows.recent.append(main, sub, place);
    state.digestRow(place);
    if (lease !== noLease) leases.attach(lease, index.text(slot));
    else if (leases.attachedCount > 0) leases.detach(index.text(slot));
    this.#changes?.push({ kind: "put", key: index.text(slot), row: rowAt(place) });
  }

  /**
   * Deletes the living keys of a range, in key order.
   *
   * @param deletedRows gets the rows as they were, when given.
   * @returns how many there were.
   */
  deleteRange(range: KeyRange, deletedRows?: Uint8Array[]): number {
    const { counters, index } = this.#state;
    counters.deletes++;
    const doomed: number[] = [];
    index.visit(range, (slot) => {
      if (index.isAlive(slot)) doomed.push(slot);
      return true;
    });
    for (const slot of doomed) this.#delete(slot, deletedRows);
    return doomed.length;
  }

  /** Deletes one key. @returns how many there were, 0 or 1. */
  deleteKey(key: Uint8Array, deletedRows?: Uint8Array[]): number {
    const { counters, index } = this.#state;
    counters.deletes++;
    const slot = index.find(spanOf(key));
    if (slot === noKey || !index.isAlive(slot)) return 0;
    this.#delete(slot, deletedRows);
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

  #delete(slot: number, deletedRows: Uint8Array[] | undefined): void {
    const state = this.#state;
    const { index, leases } = state;
    deletedRows?.push(state.rows.read(index.main(slot), index.sub(slot)));
    const main = this.#before + 1;
    const sub = this.#sub++;
    index.tombstone(slot, main, sub);
    const place = state.writer.tombstone(index.key(slot), main);
    state.revision = main;
    state.rows.recent.append(main, sub, place);
    state.digestRow(place);
    if (leases.attachedCount > 0) leases.detach(index.text(slot));
    this.#changes?.push({ kind: "delete", key: index.text(slot), row: rowAt(place) });
  }
}
