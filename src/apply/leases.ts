// Commands on leases: the table in lease/, the keys in mvcc/, and the rows of both go together.
import { type LeaseId, type LogIndex, noLease, type Term } from "../base/brand.ts";
import { fromLatin1 } from "../base/bytes.ts";
import {
  type EtcdError,
  errLeaseExists,
  errLeaseNotFound,
  errLeaseTtlTooLarge,
} from "../base/errors.ts";
import { type Lessor, leaseRow, leaseRowKey } from "../lease/lessor.ts";
import type { Store } from "../mvcc/store.ts";
import type { LeaseGrantRequest } from "../proto/lease.ts";
import { Table } from "../storage/engine.ts";
import type { Checkpoints, DutyHead, Expiry } from "./leaseDuties.ts";
import type { LeaseDutyResult, LeaseGrantResult, LeaseRevokeResult } from "./outcome.ts";

/** Longest TTL that etcd grants, in seconds: some 285 years. */
export const leaseTtlSecMax = 9_000_000_000;

export interface LeaseState {
  readonly store: Store;
  readonly lessor: Lessor;
  /** Index and term of the entry that is being applied. */
  readonly applied: LogIndex;
  readonly appliedTerm: Term;
}

/** Why a lease cannot be granted: its TTL first, then its id. */
export function grantRefusal(
  { lessor }: LeaseState,
  { id, ttlSec }: LeaseGrantRequest,
): EtcdError | undefined {
  if (id === noLease) return errLeaseNotFound;
  if (ttlSec > leaseTtlSecMax) return errLeaseTtlTooLarge;
  return lessor.exists(id) ? errLeaseExists : undefined;
}

/** The member that served the request chose its id and raised its TTL: the log holds what counts. */
export function grant(
  { store, lessor, applied }: LeaseState,
  { id, ttlSec }: LeaseGrantRequest,
): LeaseGrantResult {
  const lease = lessor.grant(id, ttlSec, applied);
  store.stage(Table.lease, leaseRowKey(id), leaseRow(lease));
  return { kind: "leaseGrant", revision: store.revision, id, ttlSec };
}

/** Deletes the attached keys in byte order at one revision; then the lease is gone. It must exist. */
export function revoke({ store, lessor }: LeaseState, id: LeaseId): LeaseRevokeResult {
  const keys = lessor.keysOf(id);
  if (keys.length > 0) {
    store.write.begin();
    for (const key of keys) store.write.deleteKey(fromLatin1(key));
    store.write.end();
  }
  lessor.remove(id);
  store.stage(Table.lease, leaseRowKey(id), undefined);
  return { kind: "leaseRevoke", revision: store.revision };
}

/**
 * Revokes what a leader found past its time, each lease at a revision of its own. The whole batch counts
 * for nothing unless it is applied in the term in which it was proposed.
 */
export function expire(state: LeaseState, expiry: Expiry): LeaseDutyResult {
  const inTerm = expiry.term === state.appliedTerm;
  if (inTerm) for (const id of expiry.ids) if (isAsSeen(state, expiry, id)) revoke(state, id);
  return { kind: "leaseDuty", revision: state.store.revision, inTerm };
}

/** Notes what is left of some leases; the same rule of the term. */
export function checkpoint(state: LeaseState, noted: Checkpoints): LeaseDutyResult {
  const { store, lessor, applied: index } = state;
  const { revision } = store;
  if (noted.term !== state.appliedTerm) return { kind: "leaseDuty", revision, inTerm: false };
  for (const { id, remainingSec } of noted.checkpoints) {
    if (!isAsSeen(state, noted, id)) continue;
    const lease = lessor.checkpoint(id, { remainingSec, index });
    store.stage(Table.lease, leaseRowKey(id), leaseRow(lease));
  }
  return { kind: "leaseDuty", revision, inTerm: true };
}

/** Exists, and nothing happened to it that the proposing leader had not seen. */
function isAsSeen({ lessor }: LeaseState, { seen }: DutyHead, id: LeaseId): boolean {
  const lease = lessor.get(id);
  return lease !== undefined && lease.changedIndex <= seen;
}
