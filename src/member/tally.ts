// What a member counts as it goes, and how it looks when someone asks. Plain numbers: nothing is sent
// or allocated for an operation.
import type { Applier } from "../apply/applier.ts";
import { ApplyTally } from "../apply/applyTally.ts";
import type { MemberId } from "../base/brand.ts";
import { exponentialBounds, Histogram } from "../base/histogram.ts";
import type { Log } from "../base/ports.ts";
import type { SeldomLog } from "../base/seldomLog.ts";
import type { WatchHub } from "../watch/hub.ts";
import type { MemberTiming } from "./events.ts";
import { ImageTally } from "./imageTally.ts";
import type { Pending } from "./pending.ts";
import type { Reads } from "./reads.ts";
import type { MemberStatus } from "./service.ts";

/** etcd's bounds for disks, in seconds. */
export const diskBoundsSec: readonly number[] = exponentialBounds(0.001, 2, 14);
/** Commands that waited longer for their outcome are told of; etcd's default. */
export const slowRequestMs = 300;
/** A quorum round for reads that is silent for so long is asked again. */
export const readRetryMs = 500;
const batchBounds: readonly number[] = exponentialBounds(1, 2, 14);
const applyBoundsSec: readonly number[] = exponentialBounds(0.0001, 2, 20);
const hashBoundsSec: readonly number[] = exponentialBounds(0.01, 2, 15);
const defragBoundsSec: readonly number[] = exponentialBounds(0.1, 2, 13);
const pauseBoundsMs: readonly number[] = exponentialBounds(1, 2, 13);
const indexPauseBoundsMs: readonly number[] = exponentialBounds(0.5, 2, 14);
const compactionBoundsMs: readonly number[] = exponentialBounds(100, 2, 14);

export class MemberTally {
  leaderChanges = 0;
  /** Requests that took longer than `slowApplyMs`, and rounds of entries that did for no single one. */
  slowApplies = 0;
  /** That waited longer than `slowRequestMs` for their outcome. */
  slowCommands = 0;
  /** Commands of one entry that this member proposed. */
  readonly batchCommands = new Histogram(batchBounds);
  readonly apply = new ApplyTally();
  /** By command kind, done and refused. A round takes one look at the clock: each of its commands its share. */
  readonly applySec = new Map<number, { readonly done: Histogram; readonly refused: Histogram }>();
  readonly hashSec = new Histogram(hashBoundsSec);
  /** Stores that were built anew. */
  readonly defragSec = new Histogram(defragBoundsSec);
  /** Steps of a compaction, and all of it. A step visits keys of the index and drops their rows. */
  readonly compactionPauseMs = new Histogram(pauseBoundsMs);
  readonly compactionIndexPauseMs = new Histogram(indexPauseBoundsMs);
  readonly compactionMs = new Histogram(compactionBoundsMs);
  /** By the member's clock; negative: never. */
  lastCompactionMs = -1;
  readonly images = new ImageTally();
  /** Learners that became voters while this member led; refusals of that by their text. */
  promotions = 0;
  readonly promoteFailures = new Map<string, number>();
  /** Heartbeats that left later than two intervals after the ones before. */
  lateHeartbeats = 0;
  #lastTickMs = Number.POSITIVE_INFINITY;
  /** Frames that could not be decoded, by sender. */
  readonly badFrames = new Map<MemberId, number>();
  #seenSlowReads = 0;
  #seenDone = new Float64Array(this.apply.done.length);
  #seenRefused = new Float64Array(this.apply.done.length);

  /** Entries that were applied in one go. */
  onApplied(tookMs: number): void {
    this.#shareOut(tookMs / 1000);
  }

  /** From handing a batch to the store until it is written. */
  readonly storeFlushSec = new Histogram(diskBoundsSec);

  /** Commands of one batch got their outcome; their wait is as exact as a tick. */
  onOutcome(commands: number, waitedMs: number, log: SeldomLog): void {
    if (waitedMs < slowRequestMs) return;
    this.slowCommands += commands;
    log.warn("request stats", "request stats", {
      "time spent": `${waitedMs}ms`,
      "expected-duration": `${slowRequestMs}ms`,
      "request count": commands,
    });
  }

  onBadFrame(from: MemberId): void {
    this.badFrames.set(from, (this.badFrames.get(from) ?? 0) + 1);
  }

  /** @param peers that a heartbeat of this tick goes to; 0: this member does not lead. */
  onTick(nowMs: number, peers: number, { tickMs, heartbeatTicks }: MemberTiming, log: Log): void {
    const lateMs = nowMs - this.#lastTickMs - 2 * tickMs * heartbeatTicks;
    this.#lastTickMs = peers === 0 ? Number.POSITIVE_INFINITY : nowMs;
    if (lateMs <= 0 || peers === 0) return;
    this.lateHeartbeats += peers;
    log.warn(lateHeartbeat, {
      "heartbeat-interval": `${tickMs * heartbeatTicks}ms`,
      "expected-duration": `${2 * tickMs * heartbeatTicks}ms`,
      "exceeded-duration": `${lateMs.toFixed(3)}ms`,
    });
  }

  /** @param slowReads rounds that were asked again, so far. */
  onReadsTick(slowReads: number, log: SeldomLog): void {
    if (slowReads === this.#seenSlowReads) return;
    this.#seenSlowReads = slowReads;
    const message = "waiting for ReadIndex response took too long, retrying";
    log.warn("read index", message, { "retry-timeout": `${readRetryMs}ms` });
  }

  #shareOut(tookSec: number): void {
    const { done, refused } = this.apply;
    let commands = 0;
    for (let kind = 0; kind < done.length; kind++) {
      commands += newOf(done, this.#seenDone, kind) + newOf(refused, this.#seenRefused, kind);
    }
    if (commands === 0) return;
    const shareSec = tookSec / commands;
    for (let kind = 0; kind < done.length; kind++) {
      const doneNow = newOf(done, this.#seenDone, kind);
      const refusedNow = newOf(refused, this.#seenRefused, kind);
      if (doneNow + refusedNow === 0) continue;
      const { done: well, refused: badly } = this.#applySecOf(kind);
      if (doneNow > 0) well.observe(shareSec, doneNow);
      if (refusedNow > 0) badly.observe(shareSec, refusedNow);
    }
    this.#seenDone.set(done);
    this.#seenRefused.set(refused);
  }

  #applySecOf(kind: number): { readonly done: Histogram; readonly refused: Histogram } {
    let both = this.applySec.get(kind);
    if (both === undefined) {
      both = { done: new Histogram(applyBoundsSec), refused: new Histogram(applyBoundsSec) };
      this.applySec.set(kind, both);
    }
    return both;
  }
}

const lateHeartbeat =
  "leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk";

function newOf(counts: Float64Array, seen: Float64Array, kind: number): number {
  return (counts[kind] ?? 0) - (seen[kind] ?? 0);
}

/** A moment of a member. Counts begin with its life, or with its store. */
export interface MemberNumbers {
  readonly status: MemberStatus;
  readonly tally: MemberTally;
  readonly pendingCommands: number;
  readonly failedCommands: number;
  readonly pendingReads: number;
  readonly failedReads: number;
  /** Quorum rounds of reads that had to be asked again. */
  readonly slowReads: number;
  readonly sendingTo: readonly MemberId[];
  readonly receivingFrom: MemberId | undefined;
  readonly isDefragmenting: boolean;
  /** States that are held for callers who read them as files. */
  readonly openSnapshots: number;
  /** By this member as leader. */
  readonly renewedLeases: number;
  /** Milliseconds of the member's clock. */
  readonly nowMs: number;
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
    readonly compactedRows: number;
  };
  readonly watch: {
    readonly streams: number;
    readonly watchers: number;
    readonly behind: number;
    readonly events: number;
    readonly pendingEvents: number;
  };
}

export function numbersOf(parts: {
  readonly status: MemberStatus;
  readonly tally: MemberTally;
  readonly applier: Applier;
  readonly hub: WatchHub;
  readonly pending: Pending;
  readonly reads: Reads;
  readonly images: {
    readonly sendingTo: readonly MemberId[];
    readonly receivingFrom: MemberId | undefined;
  };
  readonly isDefragmenting: boolean;
  readonly openSnapshots: number;
  readonly renewedLeases: number;
  readonly nowMs: number;
}): MemberNumbers {
  const { status, tally, applier, hub, pending, reads, images } = parts;
  const { store } = applier;
  return {
    status,
    tally,
    pendingCommands: pending.commands,
    failedCommands: pending.failedCount,
    pendingReads: reads.count,
    failedReads: reads.failedCount,
    slowReads: reads.slowCount,
    sendingTo: images.sendingTo,
    receivingFrom: images.receivingFrom,
    isDefragmenting: parts.isDefragmenting,
    openSnapshots: parts.openSnapshots,
    renewedLeases: parts.renewedLeases,
    nowMs: parts.nowMs,
    keys: store.keyCount,
    compactedRevision: store.compactedRevision,
    unflushedBytes: applier.unflushedBytes,
    store: store.counters,
    watch: {
      streams: hub.streamCount,
      watchers: hub.watcherCount,
      behind: hub.behindCount,
      events: hub.eventCount,
      pendingEvents: hub.pendingEventCount,
    },
  };
}
