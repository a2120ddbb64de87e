// PeerLink for a member with peers in its own process and in others: ports to those, sockets to these.
import type { MessagePort } from "node:worker_threads";
import type { MemberId } from "../base/brand.ts";
import type { LinkCounters, PeerLink } from "./link.ts";
import type { PortLink } from "./port.ts";
import type { SocketLink } from "./socket.ts";

export class MixedLink implements PeerLink {
  readonly #ports: PortLink;
  readonly #sockets: SocketLink;
  /** Peers of other processes. */
  readonly #remote = new Set<MemberId>();

  /** Both links belong to this one from here on: it sets their `onFrame` and closes them. */
  constructor(ports: PortLink, sockets: SocketLink) {
    this.#ports = ports;
    this.#sockets = sockets;
  }

  get onFrame(): PeerLink["onFrame"] {
    return this.#sockets.onFrame;
  }

  // Each link calls the owner itself: no frame passes through here.
  set onFrame(onFrame: PeerLink["onFrame"]) {
    this.#ports.onFrame = onFrame;
    this.#sockets.onFrame = onFrame;
  }

  get counters(): LinkCounters {
    const ports = this.#ports.counters;
    const sockets = this.#sockets.counters;
    return {
      droppedFrames: ports.droppedFrames + sockets.droppedFrames,
      badFrames: ports.badFrames + sockets.badFrames,
    };
  }

  /** The peer is in this process, behind `port`; an earlier way to it is closed. */
  attach(peer: MemberId, port: MessagePort): void {
    if (this.#remote.delete(peer)) this.#sockets.removePeer(peer);
    this.#ports.attach(peer, port);
  }

  /** The peer is in another process, at any of `addresses` (ws, http); an earlier way to it is closed. */
  setPeer(peer: MemberId, ...addresses: readonly string[]): void {
    this.#ports.detach(peer);
    this.#remote.add(peer);
    this.#sockets.setPeer(peer, ...addresses);
  }

  /** One of another process is no peer any more. */
  remove(peer: MemberId): void {
    if (this.#remote.delete(peer)) this.#sockets.removePeer(peer);
  }

  send(to: MemberId, frame: Uint8Array): void {
    this.#linkTo(to).send(to, frame);
  }

  sendBulk(to: MemberId, frame: Uint8Array): boolean {
    return this.#linkTo(to).sendBulk(to, frame);
  }

  connected(peer: MemberId): boolean {
    return this.#linkTo(peer).connected(peer);
  }

  close(): void {
    this.#ports.close();
    this.#sockets.close();
  }

  #linkTo(peer: MemberId): PeerLink {
    return this.#remote.has(peer) ? this.#sockets : this.#ports;
  }
}
