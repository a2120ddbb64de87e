// Shapes of the Lease messages (reference: the public etcd v3 API). Ids are exact; TTLs are seconds and
// arrive clamped to the safe integers, far beyond what a lease may have.
import type { LeaseId } from "../base/brand.ts";
import type { ResponseHeader } from "./responses.ts";

export interface LeaseGrantRequest {
  /** Wanted, seconds; any number is possible. */
  readonly ttlSec: number;
  /** 0: the server picks one. */
  readonly id: LeaseId;
}

/** LeaseRevokeRequest and LeaseKeepAliveRequest: nothing but the lease. */
export interface LeaseIdRequest {
  readonly id: LeaseId;
}

export interface LeaseTimeToLiveRequest {
  readonly id: LeaseId;
  /** Also list the attached keys. */
  readonly keys: boolean;
}

/** LeaseGrantResponse and LeaseKeepAliveResponse, which share their numbers. */
export interface LeaseTtlAnswer {
  readonly id: LeaseId;
  /** A keep-alive says 0 for a lease that does not exist. */
  readonly ttlSec: number;
}

export interface LeaseTimeToLiveAnswer {
  readonly id: LeaseId;
  /** Whole seconds left; -1: no such lease. */
  readonly ttlSec: number;
  readonly grantedTtlSec: number;
  readonly keys: readonly Uint8Array[];
}

export interface LeaseTtlResponse extends LeaseTtlAnswer {
  readonly header: ResponseHeader;
}

export interface LeaseTimeToLiveResponse extends LeaseTimeToLiveAnswer {
  readonly header: ResponseHeader;
}

export interface LeaseLeasesResponse {
  readonly header: ResponseHeader;
  readonly leases: readonly LeaseId[];
}
