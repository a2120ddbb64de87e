// The deadlines that a new leader starts with. It does not know when a lease was renewed last, so each
// begins anew, from its checkpoint if there is one (semantics, section 8).
import type { LeaseId } from "../base/brand.ts";
import type { Lease } from "./lessor.ts";

/** From so many leases on a new leader spreads their ends ... */
export const spreadLeasesMin = 1_000;
/** ... so that no more than this many fall into any second. */
export const spreadPerSecMax = 750;

/** @returns milliseconds left from now on for each lease, shortest first. */
export function leftOnPromotion(
  leases: Iterable<Lease>,
  extendMs: number,
): readonly { readonly id: LeaseId; readonly leftMs: number }[] {
  const left = Array.from(leases, ({ id, ttlSec, remainingSec }) => {
    return { id, leftMs: (remainingSec || ttlSec) * 1_000 + extendMs };
  });
  left.sort((a, b) => a.leftMs - b.leftMs);
  if (left.length < spreadLeasesMin) return left;
  for (let i = spreadPerSecMax; i < left.length; i++) {
    const item = left[i];
    const before = left[i - spreadPerSecMax];
    // Only ever later, and the order stays: both are true of the one before.
    if (item && before) item.leftMs = Math.max(item.leftMs, before.leftMs + 1_000);
  }
  return left;
}
