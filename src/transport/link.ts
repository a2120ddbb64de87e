// PeerLink port: frames from member to member. A link may drop, delay and reorder; it never blocks.
import type { MemberId } from "../base/brand.ts";

export interface PeerLink {
  /**
   * Sends one frame. The bytes belong to the link from here on: its ArrayBuffer may be transferred,
   * so it must hold nothing else. Dropped in silence when the peer cannot be reached or its backlog
   * is full; raft repeats what matters.
   */
  send(to: MemberId, frame: Uint8Array): void;
  /**
   * Sends one frame of a lane that gives way to all others: it is refused while more than a small part
   * of what the link takes is on its way. The bytes stay the caller's, who may send them again and
   * never changes them: a link that gives memory away copies it first.
   *
   * @returns false when it was refused, or there is no peer. Ask again when the peer has answered, or
   *          with a tick.
   */
  sendBulk(to: MemberId, frame: Uint8Array): boolean;
  /** Called for each frame of a peer, in order of arrival; the bytes belong to the callee. */
  onFrame: ((from: MemberId, frame: Uint8Array) => void) | undefined;
  /** True while frames to this peer have somewhere to go; for status and metrics only. */
  connected(peer: MemberId): boolean;
  close(): void;
}

/** For metrics; grow from 0. */
export interface LinkCounters {
  /** Frames not sent, as the peer was unreachable or its backlog full. */
  readonly droppedFrames: number;
  /** What arrived and is no frame, and connections that failed because of it. */
  readonly badFrames: number;
}
