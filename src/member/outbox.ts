// Messages of this turn, gathered into one frame per peer.
import type { MemberId } from "../base/brand.ts";
import type { Message } from "../raft/message.ts";
import { FrameWriter } from "../transport/frame.ts";
import type { PeerLink } from "../transport/link.ts";

export class Outbox {
  readonly #link: PeerLink;
  readonly #writers = new Map<MemberId, FrameWriter>();
  readonly #wantSnapshot: (peer: MemberId) => void;

  /** @param wantSnapshot the state of this member is to be sent to the peer, on a lane of its own. */
  constructor(link: PeerLink, wantSnapshot: (peer: MemberId) => void) {
    this.#link = link;
    this.#wantSnapshot = wantSnapshot;
  }

  add(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.kind === "snapshot") {
        this.#wantSnapshot(message.to);
        continue;
      }
      let writer = this.#writers.get(message.to);
      if (writer === undefined) {
        writer = new FrameWriter();
        this.#writers.set(message.to, writer);
      }
      // A full frame leaves at once; the rest of the turn goes into the next one.
      if (!writer.add(message)) {
        this.#link.send(message.to, writer.finish());
        writer.add(message);
      }
    }
  }

  /** Sends what was gathered. */
  flush(): void {
    for (const [peer, writer] of this.#writers) {
      if (writer.count > 0) this.#link.send(peer, writer.finish());
    }
  }
}
