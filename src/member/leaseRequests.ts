// What a member offers to api/ about leases, besides the commands of the log.
import type { LeaseId, Revision } from "../base/brand.ts";
import type { EtcdError } from "../base/errors.ts";

/** Receives what became of renewals; also within the call that asks. */
export interface RenewSink {
  /** @param answer `ttlSec` 0: no such lease; the revision is that of the moment of asking. */
  onRenewed(id: LeaseId, answer: { readonly ttlSec: number; readonly revision: Revision }): void;
  onRefused(error: EtcdError): void;
}

export interface TimeToLive {
  /** Whole seconds left; -1: no such lease. */
  readonly ttlSec: number;
  readonly grantedTtlSec: number;
  readonly keys: readonly Uint8Array[];
}

/** Exactly one of the two is called, once. */
export interface TimeToLiveCompletion {
  onAnswer(answer: TimeToLive): void;
  onRefused(error: EtcdError): void;
}

export interface LeaseRequests {
  /** Shorter TTLs are raised to this by whoever proposes a grant. */
  readonly ttlSecMin: number;
  /** Positive, and not in use here. */
  pickId(): LeaseId;
  /** Through no log: the leader alone counts time. */
  renew(id: LeaseId, sink: RenewSink): void;
  /** @param options `keys`: the attached ones too. */
  timeToLive(id: LeaseId, options: { keys: boolean }, completion: TimeToLiveCompletion): void;
  /** Of this member's state; by time left where that is counted. */
  list(): readonly LeaseId[];
}
