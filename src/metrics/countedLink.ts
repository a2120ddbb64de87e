// A peer link that counts, by peer: bytes, frames that had nowhere to go, and the time between a frame
// of the leader and what comes back.
import type { MemberId } from "../base/brand.ts";
import { exponentialBounds, Histogram } from "../base/histogram.ts";
import type { Clock } from "../base/ports.ts";
import type { PeerLink } from "../transport/link.ts";

const roundTripBoundsSec = exponentialBounds(0.0001, 2, 16);

export class PeerTally {
  sentBytes = 0;
  receivedBytes = 0;
  sendFailures = 0;
  disconnects = 0;
  wasConnected = false;
  /** When the frame was sent whose answer is awaited; negative: none is. */
  probeMs = -1;
  readonly roundTripSec = new Histogram(roundTripBoundsSec);
}

export interface CountedLinkOptions {
  readonly clock: Clock;
  /** Followers answer a leader at once; a leader may let a follower wait. */
  readonly isLeader: () => boolean;
}

export class CountedLink implements PeerLink {
  readonly #link: PeerLink;
  readonly #options: CountedLinkOptions;
  readonly peers = new Map<MemberId, PeerTally>();

  constructor(link: PeerLink, options: CountedLinkOptions) {
    this.#link = link;
    this.#options = options;
  }

  get onFrame(): PeerLink["onFrame"] {
    return this.#link.onFrame;
  }

  set onFrame(onFrame: PeerLink["onFrame"]) {
    this.#link.onFrame =
      onFrame &&
      ((from, frame) => {
        this.#onReceived(this.#of(from), frame.length);
        onFrame(from, frame);
      });
  }

  send(to: MemberId, frame: Uint8Array): void {
    const peer = this.#of(to);
    if (this.#link.connected(to)) {
      peer.wasConnected = true;
      peer.sentBytes += frame.length;
      if (peer.probeMs < 0 && this.#options.isLeader()) peer.probeMs = this.#options.clock.nowMs();
    } else {
      peer.sendFailures++;
      peer.probeMs = -1;
      if (peer.wasConnected) peer.disconnects++;
      peer.wasConnected = false;
    }
    this.#link.send(to, frame);
  }

  sendBulk(to: MemberId, frame: Uint8Array): boolean {
    const bytes = frame.length;
    const isTaken = this.#link.sendBulk(to, frame);
    if (isTaken) this.#of(to).sentBytes += bytes;
    return isTaken;
  }

  connected(peer: MemberId): boolean {
    return this.#link.connected(peer);
  }

  close(): void {
    this.#link.close();
  }

  #onReceived(peer: PeerTally, bytes: number): void {
    peer.receivedBytes += bytes;
    if (peer.probeMs < 0) return;
    peer.roundTripSec.observe((this.#options.clock.nowMs() - peer.probeMs) / 1000);
    peer.probeMs = -1;
  }

  #of(id: MemberId): PeerTally {
    let peer = this.peers.get(id);
    if (peer === undefined) {
      peer = new PeerTally();
      this.peers.set(id, peer);
    }
    return peer;
  }
}
