// Port to the leases: which exist, and which key hangs on which. The store tells it every change.
import type { LeaseId } from "../base/brand.ts";

export interface LeaseIndex {
  exists(lease: LeaseId): boolean;
  /** Moves the key (latin1) to `lease`, away from any other. */
  attach(lease: LeaseId, key: string): void;
  /** The key (latin1) no longer hangs on a lease; it may never have. Called at every put without one. */
  detach(key: string): void;
}

/** A store without leases: none exists, so nothing is ever attached. */
export const noLeases: LeaseIndex = {
  exists: () => false,
  attach() {},
  detach() {},
};
