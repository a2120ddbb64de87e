// What peers send: each frame by its kind to whoever it is for.
import type { MemberId } from "../base/brand.ts";
import type { SeldomLog } from "../base/seldomLog.ts";
import type { RaftNode } from "../raft/node.ts";
import { decodeFrame, FrameKind, frameKind } from "../transport/frame.ts";
import type { ClusterDuties } from "./clusterDuties.ts";
import type { Images } from "./images.ts";
import type { Leases } from "./leases.ts";
import type { Rounds } from "./rounds.ts";
import type { MemberTally } from "./tally.ts";

export interface InboxParts {
  readonly self: MemberId;
  readonly raft: RaftNode;
  readonly images: Images;
  readonly cluster: ClusterDuties;
  readonly leases: Leases;
  readonly rounds: Rounds;
  readonly tally: MemberTally;
  readonly oddities: SeldomLog;
}

export class Inbox {
  readonly #parts: InboxParts;

  constructor(parts: InboxParts) {
    this.#parts = parts;
  }

  onFrame(from: MemberId, bytes: Uint8Array): void {
    const { images, cluster, leases, tally } = this.#parts;
    switch (frameKind(bytes)) {
      case FrameKind.bulk:
        images.onFrame(from, bytes);
        break;
      case FrameKind.membership:
        if (!cluster.changes.onFrame(from, bytes)) tally.onBadFrame(from);
        break;
      case FrameKind.lease:
        if (!leases.onFrame(from, bytes)) tally.onBadFrame(from);
        break;
      default:
        this.#onMessages(from, bytes);
    }
  }

  #onMessages(from: MemberId, bytes: Uint8Array): void {
    const { self, raft, rounds, tally, oddities } = this.#parts;
    const frame = decodeFrame({ from, to: self, bytes });
    if (frame.kind === "bad") {
      tally.onBadFrame(from);
      oddities.warn(`${from} ${frame.why}`, "dropped a frame that cannot be decoded", {
        ...{ from, why: frame.why },
      });
      return;
    }
    for (const message of frame.messages) {
      if (message.kind === "forward") rounds.add(message);
      // Only whoever holds a snapshot's chunks may tell raft of it: the log would begin behind a state
      // that the store does not have.
      else if (message.kind === "snapshot") tally.onBadFrame(from);
      else raft.step(message);
    }
  }
}
