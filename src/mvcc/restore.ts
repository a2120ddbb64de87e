// Boot: the index from the rows in the engine, in revision order.
import { type LeaseId, noLease } from "../base/brand.ts";
import { type Engine, Table } from "../storage/engine.ts";
import type { Index } from "./index.ts";
import type { LeaseIndex } from "./leases.ts";
import { mainOfKey, revisionKeyBytes, subOfKey } from "./revision.ts";
import { isTombstone, StoredHead } from "./row.ts";

/** Fills an empty index and attaches keys to the leases that their last rows name. */
export function restoreIndex(engine: Engine, index: Index, leases: LeaseIndex): void {
  const leaseOf = new Map<string, LeaseId>();
  const from = Buffer.alloc(revisionKeyBytes);
  const head = new StoredHead();
  engine.scan({ table: Table.key, from }, (revision, stored) => {
    head.read(stored);
    const entry = index.restore(head.key);
    const main = mainOfKey(revision);
    const sub = subOfKey(revision);
    if (isTombstone(stored)) {
      entry.restoreTombstone(main, sub);
      leaseOf.delete(entry.key);
      return true;
    }
    entry.restorePut(main, sub, head);
    if (head.lease !== noLease) leaseOf.set(entry.key, head.lease);
    else if (leaseOf.size > 0) leaseOf.delete(entry.key);
    return true;
  });
  index.seal();
  for (const [key, lease] of leaseOf) leases.attach(lease, key);
}
