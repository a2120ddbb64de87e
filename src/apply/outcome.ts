// What the state machine says to a command or a read. Pairs are rows: encoded mvccpb.KeyValue bytes,
// made once at the put and copied from there into every answer.
import type { LeaseId, Revision } from "../base/brand.ts";
import { totalBytes } from "../base/bytes.ts";
import type { EtcdError } from "../base/errors.ts";
import type { Alarm } from "./alarms.ts";

export interface RangeResult {
  readonly kind: "range";
  /** For the header: the store's current revision at the read (inside a txn: see semantics). */
  readonly revision: Revision;
  readonly rows: readonly Uint8Array[];
  readonly more: boolean;
  readonly count: number;
}

/** Of a range over very many keys. */
export interface LongRangeResult {
  readonly kind: "longRange";
  readonly revision: Revision;
  readonly rowCount: number;
  /** Rows as they stand in the answer (proto/rangeParts.ts). */
  readonly parts: readonly Uint8Array[];
  readonly more: boolean;
  readonly count: number;
}

export interface PutResult {
  readonly kind: "put";
  readonly revision: Revision;
  readonly prevRow: Uint8Array | undefined;
}

export interface DeleteRangeResult {
  readonly kind: "deleteRange";
  readonly revision: Revision;
  readonly deleted: number;
  readonly prevRows: readonly Uint8Array[];
}

export interface TxnResult {
  readonly kind: "txn";
  readonly revision: Revision;
  readonly succeeded: boolean;
  readonly results: readonly OpResult[];
}

export type OpResult = RangeResult | PutResult | DeleteRangeResult | TxnResult;

export interface CompactResult {
  readonly kind: "compact";
  readonly revision: Revision;
}

export interface LeaseGrantResult {
  readonly kind: "leaseGrant";
  readonly revision: Revision;
  readonly id: LeaseId;
  readonly ttlSec: number;
}

export interface LeaseRevokeResult {
  readonly kind: "leaseRevoke";
  readonly revision: Revision;
}

/** What became of a leader's expiry or checkpoint. */
export interface LeaseDutyResult {
  readonly kind: "leaseDuty";
  readonly revision: Revision;
  /** False: it was applied in a later term than it was proposed in, and did nothing. */
  readonly inTerm: boolean;
}

/** A member's name and client URLs are in the table. */
export interface MemberPublishedResult {
  readonly kind: "memberPublished";
  readonly revision: Revision;
}

export interface AlarmResult {
  readonly kind: "alarm";
  readonly revision: Revision;
  /** Those that were raised or taken away; or asked for. */
  readonly alarms: readonly Alarm[];
}

export interface RefusedResult {
  readonly kind: "refused";
  readonly error: EtcdError;
}

/** Outcome of one command of the log. */
export type Outcome =
  | PutResult
  | DeleteRangeResult
  | TxnResult
  | CompactResult
  | LeaseGrantResult
  | LeaseRevokeResult
  | LeaseDutyResult
  | MemberPublishedResult
  | AlarmResult
  | RefusedResult;

/** Of all rows that the answer tells. */
export function rowBytesOf(result: OpResult): number {
  switch (result.kind) {
    case "range":
      return totalBytes(result.rows);
    case "deleteRange":
      return totalBytes(result.prevRows);
    case "put":
      return result.prevRow?.length ?? 0;
    case "txn":
      return result.results.reduce((sum, inner) => sum + rowBytesOf(inner), 0);
  }
}
