// Which leases are worth a checkpoint: the time that is left of a long lease, written to the log now and
// then, survives a change of leader.
import type { LeaseId } from "../base/brand.ts";
import type { Lease } from "./lessor.ts";

/** What the table says of a lease is at most this much too long, and some seconds. etcd's interval. */
export const checkpointPeriodSec = 300;
/** Leases in one command of the log. */
export const checkpointsPerCommandMax = 1_000;

export interface Checkpoint {
  readonly id: LeaseId;
  /** 0: renewed since the last checkpoint. */
  readonly remainingSec: number;
}

/**
 * Long leases of which a period has passed that the table does not know of. One that is renewed more
 * often than that is never among them.
 *
 * @param leftMs time left by the leader's count; undefined: unknown to it.
 */
export function dueCheckpoints(
  leases: Iterable<Lease>,
  leftMs: (id: LeaseId) => number | undefined,
  periodSec: number,
): readonly LeaseId[] {
  const due: LeaseId[] = [];
  for (const { id, ttlSec, remainingSec } of leases) {
    if (ttlSec <= periodSec) continue;
    const left = leftMs(id);
    if (left === undefined || left <= 0) continue;
    const knownSec = remainingSec || ttlSec;
    if (left <= (knownSec - periodSec) * 1_000) due.push(id);
  }
  return due;
}
