// PeerLink over MessagePorts: one port for each peer of the same process.
//
// The queue of a port has no bound and cannot be looked at, so the receiver acknowledges what it
// consumed: a number travels back, the total since the port was attached. What is sent and not
// acknowledged is the backlog; a peer that is stuck or dead lets it fill, and then frames are dropped.
import type { MessagePort } from "node:worker_threads";
import type { MemberId } from "../base/brand.ts";
import { copyBytes } from "../base/bytes.ts";
import type { LinkCounters, PeerLink } from "./link.ts";
import { postBytes } from "./postBytes.ts";

export interface PortLinkLimits {
  /** No frame is sent while more than this is unacknowledged: the bound is this and one frame. */
  readonly backlogBytesMax: number;
  /** No bulk frame is. */
  readonly bulkBacklogBytesMax: number;
}

export const defaultPortLinkLimits: PortLinkLimits = {
  backlogBytesMax: 16 * 1_048_576,
  bulkBacklogBytesMax: 8 * 1_048_576,
};

/** What a frame counts beside its bytes, so that many small ones reach the bound as well. */
export const frameOverheadBytes = 256;

export class PortLink implements PeerLink {
  onFrame: ((from: MemberId, frame: Uint8Array) => void) | undefined;
  readonly #limits: PortLinkLimits;
  readonly #lanes = new Map<MemberId, Lane>();
  /** Peers that nothing is sent to: a fault that somebody asked for. */
  #muted: ReadonlySet<MemberId> = new Set();
  #droppedFrames = 0;
  #badFrames = 0;

  constructor(limits: Partial<PortLinkLimits> = {}) {
    this.#limits = { ...defaultPortLinkLimits, ...limits };
  }

  get counters(): LinkCounters {
    return { droppedFrames: this.#droppedFrames, badFrames: this.#badFrames };
  }

  /** Takes the port of a peer; an earlier one is closed, and a closed port delivers nothing. */
  attach(peer: MemberId, port: MessagePort): void {
    this.detach(peer);
    const lane = new Lane(port, this.#limits);
    this.#lanes.set(peer, lane);
    port.on("message", (message: unknown) => this.#onMessage(peer, lane, message));
    port.on("messageerror", () => {
      this.#badFrames++;
    });
    port.on("close", () => {
      if (this.#lanes.get(peer) === lane) this.#lanes.delete(peer);
    });
  }

  /** Closes the port of a peer, if there is one. */
  detach(peer: MemberId): void {
    const lane = this.#lanes.get(peer);
    this.#lanes.delete(peer);
    lane?.close();
  }

  /** From now on frames to these peers, and to no others, are dropped, whatever ports they have. */
  mute(peers: ReadonlySet<MemberId>): void {
    this.#muted = peers;
  }

  send(to: MemberId, frame: Uint8Array): void {
    if (this.#muted.has(to)) this.#droppedFrames++;
    else if (this.#lanes.get(to)?.send(frame) !== true) this.#droppedFrames++;
  }

  sendBulk(to: MemberId, frame: Uint8Array): boolean {
    const lane = this.#muted.has(to) ? undefined : this.#lanes.get(to);
    return lane?.sendBulk(frame) ?? false;
  }

  connected(peer: MemberId): boolean {
    return this.#lanes.has(peer);
  }

  close(): void {
    for (const peer of [...this.#lanes.keys()]) this.detach(peer);
  }

  #onMessage(peer: MemberId, lane: Lane, message: unknown): void {
    if (typeof message === "number") lane.onAcknowledged(message);
    else if (message instanceof Uint8Array) {
      lane.onConsumed(message);
      this.onFrame?.(peer, message);
    } else this.#badFrames++;
  }
}

const costBytes = (frame: Uint8Array): number => frame.length + frameOverheadBytes;

/** One port and its credit in both directions; all totals since it was attached. */
class Lane {
  readonly #port: MessagePort;
  readonly #limits: PortLinkLimits;
  readonly #acknowledgeEveryBytes: number;
  #sentBytes = 0;
  #acknowledgedBytes = 0;
  #consumedBytes = 0;
  #reportedBytes = 0;

  constructor(port: MessagePort, limits: PortLinkLimits) {
    this.#port = port;
    this.#limits = limits;
    const { backlogBytesMax, bulkBacklogBytesMax } = limits;
    this.#acknowledgeEveryBytes = Math.min(backlogBytesMax, bulkBacklogBytesMax) / 4;
  }

  /** @returns false when the backlog is full: the frame is dropped. */
  send(frame: Uint8Array): boolean {
    return this.#sendWithin(this.#limits.backlogBytesMax, frame);
  }

  /** @returns false when the backlog is too full for a frame of this kind. */
  sendBulk(frame: Uint8Array): boolean {
    return this.#sendWithin(this.#limits.bulkBacklogBytesMax, frame, copyBytes);
  }

  /** @param owned makes memory that may be given away. */
  #sendWithin(
    backlogBytesMax: number,
    frame: Uint8Array,
    owned = (bytes: Uint8Array): Uint8Array => bytes,
  ): boolean {
    if (this.#sentBytes - this.#acknowledgedBytes > backlogBytesMax) return false;
    this.#sentBytes += costBytes(frame);
    postBytes(this.#port, owned(frame));
    return true;
  }

  onAcknowledged(totalBytes: number): void {
    const plausible = totalBytes > this.#acknowledgedBytes && totalBytes <= this.#sentBytes;
    if (plausible) this.#acknowledgedBytes = totalBytes;
  }

  onConsumed(frame: Uint8Array): void {
    this.#consumedBytes += costBytes(frame);
    if (this.#consumedBytes - this.#reportedBytes < this.#acknowledgeEveryBytes) return;
    this.#reportedBytes = this.#consumedBytes;
    this.#port.postMessage(this.#consumedBytes);
  }

  close(): void {
    this.#port.close();
  }
}
