// What a member counts as it goes, and how it looks when someone asks. Plain numbers: nothing is sent
// or allocated for an operation.
import type { Applier } from "../apply/applier.ts";
import { exponentialBounds, Histogram } from "../base/histogram.ts";
import type { Log } from "../base/ports.ts";
import type { WatchHub } from "../watch/hub.ts";
import type { Pending } from "./pending.ts";
import type { Reads } from "./reads.ts";
import type { MemberStatus } from "./service.ts";

/** etcd's bounds for disks, in seconds. */
export const diskBoundsSec: readonly number[] = exponentialBounds(0.001, 2, 14);
/** What is applied in one go and takes longer is told of, as in etcd. */
export const slowApplyMs = 100;
const batchBounds: readonly number[] = exponentialBounds(1, 2, 14);

export class MemberTally {
  leaderChanges = 0;
  slowApplies = 0;
  /** Commands of one entry that this member proposed. */
  readonly batchCommands = new Histogram(batchBounds);
  /** Entries that were applied in one go. */
  onApplied(entries: number, tookMs: number, log: Log): void {
    if (tookMs <= slowApplyMs) return;
    this.slowApplies++;
    log.warn("apply request took too long", {
      took: `${tookMs.toFixed(1)}ms`,
      "expected-duration": `${slowApplyMs}ms`,
      entries,
    });
  }

  /** From handing a batch to the store until it is written. */
  readonly storeFlushSec = new Histogram(diskBoundsSec);
}

/** A moment of a member. Counts begin with its life, or with its store. */
export interface MemberNumbers {
  readonly status: MemberStatus;
  readonly tally: MemberTally;
  readonly pendingCommands: number;
  readonly failedCommands: number;
  readonly pendingReads: number;
  readonly failedReads: number;
  readonly keys: number;
  readonly compactedRevision: number;
  /** Applied, not yet written to the store. */
  readonly unflushedBytes: number;
  readonly store: {
    readonly ranges: number;
    readonly puts: number;
    readonly deletes: number;
    readonly txns: number;
    readonly putBytes: number;
  };
  readonly watch: {
    readonly streams: number;
    readonly watchers: number;
    readonly behind: number;
    readonly events: number;
  };
}

export function numbersOf(parts: {
  readonly status: MemberStatus;
  readonly tally: MemberTally;
  readonly applier: Applier;
  readonly hub: WatchHub;
  readonly pending: Pending;
  readonly reads: Reads;
}): MemberNumbers {
  const { status, tally, applier, hub, pending, reads } = parts;
  const { store } = applier;
  return {
    status,
    tally,
    pendingCommands: pending.commands,
    failedCommands: pending.failedCount,
    pendingReads: reads.count,
    failedReads: reads.failedCount,
    keys: store.keyCount,
    compactedRevision: store.compactedRevision,
    unflushedBytes: applier.unflushedBytes,
    store: store.counters,
    watch: {
      streams: hub.streamCount,
      watchers: hub.watcherCount,
      behind: hub.behindCount,
      events: hub.eventCount,
    },
  };
}
