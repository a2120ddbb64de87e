// The replicated table of leases: which exist, how long each was granted for, which keys hang on it.
// It knows no time: who counts it is the leader (deadlines.ts). One row each in Table.lease:
//
//   key    | id, signed 64 bits as u64 BE |
//   value  | u8 = 1 | TTL s f64 BE | remainder s f64 BE | index of the last change u48 BE |
//
// Attachments are not written: the rows of the keys name their leases, and Store.open attaches them.
import { assert } from "../base/assert.ts";
import { LeaseId, LogIndex } from "../base/brand.ts";
import { asBuffer } from "../base/bytes.ts";
import { type Engine, Table } from "../storage/engine.ts";

/** What everyone may know of one lease. */
export interface Lease {
  readonly id: LeaseId;
  /** As granted. */
  readonly ttlSec: number;
  /** As checkpointed last; 0: never, or renewed since. */
  readonly remainingSec: number;
  /**
   * Index of the entry that granted it or noted its remainder last. What a leader proposed before it
   * had seen that entry speaks of another lease of the same id, or of an older remainder.
   */
  readonly changedIndex: LogIndex;
}

/** Hears of leases that come and go, in the order of the log. */
export interface LeaseSink {
  onGranted(lease: Lease): void;
  onGone(id: LeaseId): void;
}

interface LeaseRecord {
  readonly id: LeaseId;
  readonly ttlSec: number;
  remainingSec: number;
  changedIndex: LogIndex;
  /** Attached keys (latin1). Most leases hold one, which then needs no set. */
  keys: string | Set<string> | undefined;
}

const formatVersion = 1;
const rowBytes = 23;
const lowestKey = new Uint8Array(8);
const noKeys: readonly string[] = [];

export class Lessor {
  readonly #leases = new Map<LeaseId, LeaseRecord>();
  readonly #leaseOf = new Map<string, LeaseRecord>();
  #sink: LeaseSink | undefined;

  /** The leases as of the engine's last batch, without their keys. @throws {Mistake} for another format. */
  static load(engine: Engine): Lessor {
    const lessor = new Lessor();
    engine.scan({ table: Table.lease, from: lowestKey }, (key, value) => {
      const { id, ttlSec, remainingSec, changedIndex } = leaseOfRow(key, value);
      lessor.#leases.set(id, { id, ttlSec, remainingSec, changedIndex, keys: undefined });
      return true;
    });
    return lessor;
  }

  get count(): number {
    return this.#leases.size;
  }

  /** Keys that hang on any lease. */
  get attachedCount(): number {
    return this.#leaseOf.size;
  }

  get(id: LeaseId): Lease | undefined {
    return this.#leases.get(id);
  }

  /** In no order; nobody may grant or remove meanwhile. */
  all(): Iterable<Lease> {
    return this.#leases.values();
  }

  exists(id: LeaseId): boolean {
    return this.#leases.has(id);
  }

  /** From now on `sink` alone hears of changes; undefined: nobody. */
  listen(sink: LeaseSink | undefined): void {
    this.#sink = sink;
  }

  /** @param index that of the entry. @throws {Mistake} when it exists. */
  grant(id: LeaseId, ttlSec: number, index: LogIndex): Lease {
    assert(!this.#leases.has(id), "a lease is granted once");
    const lease = { id, ttlSec, remainingSec: 0, changedIndex: index, keys: undefined };
    this.#leases.set(id, lease);
    this.#sink?.onGranted(lease);
    return lease;
  }

  /** Forgets a lease whose keys are gone. @throws {Mistake} for an unknown one, or with keys. */
  remove(id: LeaseId): void {
    const lease = this.#leases.get(id);
    assert(lease !== undefined && lease.keys === undefined, "a lease ends once, without keys");
    this.#leases.delete(id);
    this.#sink?.onGone(id);
  }

  /** @param note its `remainingSec` of 0 forgets an earlier one. @throws {Mistake} for an unknown lease. */
  checkpoint(id: LeaseId, note: { readonly remainingSec: number; index: LogIndex }): Lease {
    const lease = this.#leases.get(id);
    assert(lease !== undefined, "only a lease that exists has a remainder");
    lease.remainingSec = note.remainingSec;
    lease.changedIndex = note.index;
    return lease;
  }

  /** Attached keys (latin1) in byte order; none for an unknown lease. */
  keysOf(id: LeaseId): readonly string[] {
    const keys = this.#leases.get(id)?.keys;
    if (keys === undefined) return noKeys;
    return typeof keys === "string" ? [keys] : [...keys].sort();
  }

  keyCountOf(id: LeaseId): number {
    const keys = this.#leases.get(id)?.keys;
    if (keys === undefined) return 0;
    return typeof keys === "string" ? 1 : keys.size;
  }

  /**
   * Moves the key (latin1) to `id`, away from any other. An unknown lease detaches only: a put is checked
   * before, and a key that outlived its lease is no worse than one without.
   */
  attach(id: LeaseId, key: string): void {
    const before = this.#leaseOf.get(key);
    if (before?.id === id) return;
    if (before !== undefined) this.#detachFrom(before, key);
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    this.#leaseOf.set(key, lease);
    if (lease.keys === undefined) lease.keys = key;
    else if (typeof lease.keys === "string") lease.keys = new Set([lease.keys, key]);
    else lease.keys.add(key);
  }

  /** The key (latin1) hangs on nothing any more. */
  detach(key: string): void {
    const lease = this.#leaseOf.get(key);
    if (lease !== undefined) this.#detachFrom(lease, key);
  }

  #detachFrom(lease: LeaseRecord, key: string): void {
    this.#leaseOf.delete(key);
    if (typeof lease.keys === "object") {
      lease.keys.delete(key);
      if (lease.keys.size === 0) lease.keys = undefined;
    } else lease.keys = undefined;
  }
}

export function leaseRowKey(id: LeaseId): Uint8Array {
  const key = Buffer.allocUnsafeSlow(8);
  key.writeBigInt64BE(id);
  return key;
}

export function leaseRow({ ttlSec, remainingSec, changedIndex }: Lease): Uint8Array {
  const row = Buffer.allocUnsafeSlow(rowBytes);
  row[0] = formatVersion;
  row.writeDoubleBE(ttlSec, 1);
  row.writeDoubleBE(remainingSec, 9);
  row.writeUIntBE(changedIndex, 17, 6);
  return row;
}

/** @throws {Mistake} for another format. */
export function leaseOfRow(key: Uint8Array, value: Uint8Array): Lease {
  const row = asBuffer(value);
  assert(row.length === rowBytes && row[0] === formatVersion, "unknown format of a lease");
  return {
    id: LeaseId(asBuffer(key).readBigInt64BE(0)),
    ttlSec: row.readDoubleBE(1),
    remainingSec: row.readDoubleBE(9),
    changedIndex: LogIndex(row.readUIntBE(17, 6)),
  };
}
