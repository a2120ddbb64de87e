// Boot: the index from the rows in the engine, in revision order.
import { type LeaseId, noLease } from "../base/brand.ts";
import { type Engine, Table } from "../storage/engine.ts";
import type { Index } from "./index.ts";
import type { LeaseIndex } from "./leases.ts";
import { mainOfKey, revisionKeyBytes, subOfKey } from "./revision.ts";
import { isTombstone, StoredHead } from "./row.ts";

/** Fills an empty index and attaches keys to the leases that their last rows name. */
export function restoreIndex(engine: Engine, index: Index, leases: LeaseIndex): void {
  const leaseOf = new Map<number, LeaseId>();
  const from = Buffer.alloc(revisionKeyBytes);
  const head = new StoredHead();
  index.reserve(engine.rowCount(Table.key));
  engine.scan({ table: Table.key, from }, (revision, stored) => {
    head.read(stored);
    const slot = index.restore(head.key);
    const main = mainOfKey(revision);
    const sub = subOfKey(revision);
    if (isTombstone(stored)) {
      index.restoreTombstone(slot, main, sub);
      leaseOf.delete(slot);
      return true;
    }
    const { created, version } = head;
    index.restorePut(slot, { main, sub, created, version });
    if (head.lease !== noLease) leaseOf.set(slot, head.lease);
    else if (leaseOf.size > 0) leaseOf.delete(slot);
    return true;
  });
  index.seal();
  for (const [slot, lease] of leaseOf) leases.attach(lease, index.text(slot));
}
