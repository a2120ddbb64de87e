// What a member counts of the snapshots that it sends and receives, by peer.
import type { MemberId } from "../base/brand.ts";
import { exponentialBounds, Histogram } from "../base/histogram.ts";

const transferBoundsSec: readonly number[] = exponentialBounds(0.1, 2, 10);
const pinBoundsSec: readonly number[] = exponentialBounds(0.01, 2, 17);
const syncBoundsSec: readonly number[] = exponentialBounds(0.001, 2, 14);

export class ImageTally {
  readonly sent = new Map<MemberId, number>();
  readonly sendFailures = new Map<MemberId, number>();
  readonly received = new Map<MemberId, number>();
  readonly receiveFailures = new Map<MemberId, number>();
  /** From the offer to the peer's last word, of those that went well. */
  readonly sendSec = new Map<MemberId, Histogram>();
  /** From the offer until raft may have it, of those that went well. */
  readonly receiveSec = new Map<MemberId, Histogram>();
  /** How long the state of a moment was held to be read. */
  readonly pinSec = new Histogram(pinBoundsSec);
  /** From the first row until a received store is durable, and the last sync of that. */
  readonly saveSec = new Histogram(transferBoundsSec);
  readonly syncSec = new Histogram(syncBoundsSec);

  static add(counts: Map<MemberId, number>, peer: MemberId): void {
    counts.set(peer, (counts.get(peer) ?? 0) + 1);
  }

  static observe(times: Map<MemberId, Histogram>, peer: MemberId, seconds: number): void {
    let histogram = times.get(peer);
    if (histogram === undefined) {
      histogram = new Histogram(transferBoundsSec);
      times.set(peer, histogram);
    }
    histogram.observe(seconds);
  }
}
