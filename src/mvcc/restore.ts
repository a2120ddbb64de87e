// Boot: the index from the rows in the engine, in revision order.
import { type LeaseId, noLease } from "../base/brand.ts";
import { type Engine, Table } from "../storage/engine.ts";
import type { Index } from "./index.ts";
import type { LeaseIndex } from "./leases.ts";
import { mainOfKey, revisionKeyBytes, subOfKey } from "./revision.ts";
import {
  isTombstone,
  rowCreateRevision,
  rowKeyText,
  rowLease,
  rowOfStored,
  rowVersion,
} from "./row.ts";

/** Fills an empty index and attaches keys to the leases that their last rows name. */
export function restoreIndex(engine: Engine, index: Index, leases: LeaseIndex): void {
  const leaseOf = new Map<string, LeaseId>();
  const from = Buffer.alloc(revisionKeyBytes);
  engine.scan({ table: Table.key, from }, (revision, stored) => {
    const row = rowOfStored(stored);
    const entry = index.restore(rowKeyText(row));
    const main = mainOfKey(revision);
    const sub = subOfKey(revision);
    if (isTombstone(stored)) {
      entry.restoreTombstone(main, sub);
      leaseOf.delete(entry.key);
      return true;
    }
    entry.restorePut({ main, sub, created: rowCreateRevision(row), version: rowVersion(row) });
    const lease = rowLease(row);
    if (lease !== noLease) leaseOf.set(entry.key, lease);
    else if (leaseOf.size > 0) leaseOf.delete(entry.key);
    return true;
  });
  index.seal();
  for (const [key, lease] of leaseOf) leases.attach(lease, key);
}
