// Channels between the members of one process: a pair for every two, redrawn after a restart.
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { MemberId } from "../base/brand.ts";

/** Hands `port`, which leads to `peer`, to `member`; it replaces an earlier one to the same peer. */
export type DeliverPort = (member: MemberId, link: PeerPort) => void;

export interface PeerPort {
  readonly peer: MemberId;
  readonly port: MessagePort;
}

export class Mesh {
  readonly #deliver: DeliverPort;
  readonly #members = new Set<MemberId>();

  constructor(deliver: DeliverPort) {
    this.#deliver = deliver;
  }

  /** Joins the members with each other and with all that were joined before. */
  connect(members: readonly MemberId[]): void {
    for (const member of members) this.redraw(member);
  }

  /** Draws new channels between a member that has just started and all others. */
  redraw(member: MemberId): void {
    this.#members.add(member);
    for (const peer of this.#members) {
      if (peer === member) continue;
      const { port1, port2 } = new MessageChannel();
      this.#deliver(member, { peer, port: port1 });
      this.#deliver(peer, { peer: member, port: port2 });
    }
  }

  /** Forgets a member that is down or gone; its ports died with its thread. */
  remove(member: MemberId): void {
    this.#members.delete(member);
  }
}
