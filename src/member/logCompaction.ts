// When the log lets go of its oldest entries. The store holds what they did; a margin stays for peers
// that lag, and who lags more gets an image of the store.
//
//   base              to = what may go                  sure            applied     last
//    |---- forgotten ----|---- catch-up margin -----------|--- being written ---|-----|
import { LogIndex } from "../base/brand.ts";
import type { PeerStatus, RaftNode } from "../raft/node.ts";
import type { Entry } from "../raft/types.ts";
import type { RaftLog } from "../storage/log.ts";

export interface CompactionBounds {
  /** Entries beyond the margin that gather before they go: etcd's --snapshot-count. */
  readonly snapshotEntries: number;
  /** The margin: etcd's --experimental-snapshot-catchup-entries. */
  readonly catchUpEntries: number;
  /** The same two in bytes, as an entry may hold a thousand commands; whichever is reached first. */
  readonly snapshotBytes: number;
  readonly catchUpBytes: number;
}

export const defaultCompactionBounds: CompactionBounds = {
  snapshotEntries: 100_000,
  catchUpEntries: 10_000,
  snapshotBytes: 256 << 20,
  catchUpBytes: 64 << 20,
};

/** A peer that answers may hold the log at this many times what it would have held without it. */
export const laggingFactorMax = 2;
/** Sizes of the log are known at every so many bytes. */
export const checkpointBytes = 1 << 20;

interface Checkpoint {
  readonly index: number;
  /** Of all entries up to there that the log held at the start, or that were applied since. */
  readonly bytes: number;
}

export class LogCompaction {
  readonly #raft: Pick<RaftNode, "membershipAt" | "peers">;
  readonly #log: RaftLog;
  readonly #bounds: CompactionBounds;
  readonly #heardTicksMax: number;
  /** Ascending; the first is at or before the log's base. */
  #checkpoints: Checkpoint[];
  #bytes = 0;
  /** Applied by the batch before the last: a power cut may undo the last one. */
  #sure = 0;
  #flushed = 0;

  /**
   * @param parts.applied       what the store holds, unless a power cut undid its last batch.
   * @param parts.heardTicksMax a peer that was silent for longer holds nothing back.
   */
  constructor(parts: {
    raft: Pick<RaftNode, "membershipAt" | "peers">;
    log: RaftLog;
    applied: LogIndex;
    bounds: CompactionBounds;
    heardTicksMax: number;
  }) {
    this.#raft = parts.raft;
    this.#log = parts.log;
    this.#bounds = parts.bounds;
    this.#heardTicksMax = parts.heardTicksMax;
    this.#checkpoints = [{ index: this.#base, bytes: 0 }];
    // Entries of earlier lives weigh as well; the others will be applied again.
    parts.log.visitSizes((index, bytes) => {
      if (index <= parts.applied) this.#add(index, bytes);
    });
    this.#flushed = parts.applied;
  }

  get #base(): number {
    return this.#log.firstIndex() - 1;
  }

  onApplied(entries: readonly Entry[]): void {
    for (const { index, data } of entries) this.#add(index, data.length);
  }

  /** A batch is in the store: everything up to `applied`. */
  onFlushed(applied: LogIndex): void {
    this.#sure = this.#flushed;
    this.#flushed = applied;
  }

  /** The log began anew behind a snapshot. */
  onRestored(index: LogIndex): void {
    this.#checkpoints = [{ index, bytes: this.#bytes }];
    this.#sure = this.#flushed = 0;
  }

  /**
   * @param keepFrom index behind which somebody goes on: what follows it stays.
   * @returns whether the log was cut; that took a sync.
   */
  tick(keepFrom: number): boolean {
    const { snapshotEntries, catchUpEntries, snapshotBytes, catchUpBytes } = this.#bounds;
    const base = this.#base;
    const bytesHeld = this.#bytesAt(this.#sure) - this.#bytesAt(base);
    const isDue =
      this.#sure - base >= snapshotEntries + catchUpEntries ||
      bytesHeld >= snapshotBytes + catchUpBytes;
    if (!isDue) return false;
    const withinBytes = this.#indexAt(this.#bytesAt(this.#sure) - catchUpBytes);
    const wanted = Math.max(this.#sure - catchUpEntries, withinBytes);
    const to = LogIndex(Math.min(wanted, keepFrom, this.#keptForPeers(wanted)));
    // Who holds the log back must not make it cut a little with every tick.
    const isWorth =
      to - base >= snapshotEntries / 2 ||
      this.#bytesAt(to) - this.#bytesAt(base) >= snapshotBytes / 2;
    const membership = this.#raft.membershipAt(to);
    if (!isWorth || to <= base || membership === undefined) return false;
    this.#log.compact(to, membership);
    this.#checkpoints = this.#checkpoints.slice(
      this.#checkpoints.findLastIndex(({ index }) => index <= to),
    );
    return true;
  }

  #add(index: number, bytes: number): void {
    this.#bytes += bytes;
    const last = this.#checkpoints.at(-1);
    if (last !== undefined && this.#bytes - last.bytes < checkpointBytes) return;
    this.#checkpoints.push({ index, bytes: this.#bytes });
  }

  /** The lowest entry that a peer holds which answers and is not too far behind. */
  #keptForPeers(wanted: number): number {
    const { snapshotEntries, catchUpEntries, snapshotBytes, catchUpBytes } = this.#bounds;
    const entriesMax = laggingFactorMax * (snapshotEntries + catchUpEntries);
    const bytesMax = laggingFactorMax * (snapshotBytes + catchUpBytes);
    const floor = Math.max(
      this.#sure - entriesMax,
      this.#indexAt(this.#bytesAt(this.#sure) - bytesMax),
    );
    let kept = wanted;
    for (const peer of this.#raft.peers()) {
      if (this.#isHeard(peer) && peer.match >= floor) kept = Math.min(kept, peer.match);
    }
    return kept;
  }

  #isHeard({ silentTicks }: PeerStatus): boolean {
    return silentTicks <= this.#heardTicksMax;
  }

  /** Bytes up to `index`, too few by less than a checkpoint's. */
  #bytesAt(index: number): number {
    return this.#checkpoints.findLast((each) => each.index <= index)?.bytes ?? 0;
  }

  /** The first checkpoint with at least `bytes` before it. */
  #indexAt(bytes: number): number {
    return this.#checkpoints.find((each) => each.bytes >= bytes)?.index ?? this.#base;
  }
}
