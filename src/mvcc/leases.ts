// Port to the leases: which exist, and which key hangs on which. The store tells it every change.
import type { LeaseId } from "../base/brand.ts";

export interface LeaseIndex {
  exists(lease: LeaseId): boolean;
  /** Moves the key (latin1) to `lease`, away from any other. */
  attach(lease: LeaseId, key: string): void;
  /** Keys that hang on any lease: without one a put has nothing to tell. */
  readonly attachedCount: number;
  /** The key (latin1) no longer hangs on a lease; it may never have. */
  detach(key: string): void;
}

/** A store without leases: none exists, so nothing is ever attached. */
export const noLeases: LeaseIndex = {
  exists: () => false,
  attachedCount: 0,
  attach() {},
  detach() {},
};
