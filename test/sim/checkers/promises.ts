// A member may say only what its disk has kept: a granted vote, an accepted append (Raft paper, 5.1).
import type { MemberId } from "../../../src/base/brand.ts";
import type { Message } from "../../../src/raft/message.ts";
import { decodeFrame, FrameKind, frameKind } from "../../../src/transport/frame.ts";
import type { DurableRecord } from "../durableRecord.ts";
import { check, Violation } from "../violation.ts";

const name = "promises";

export class Promises {
  readonly #disks: ReadonlyMap<MemberId, DurableRecord>;

  constructor(disks: ReadonlyMap<MemberId, DurableRecord>) {
    this.#disks = disks;
  }

  onSend(from: MemberId, to: MemberId, bytes: Uint8Array): void {
    if (frameKind(bytes) !== FrameKind.raft) return;
    const disk = this.#disks.get(from);
    const frame = decodeFrame({ from, to, bytes });
    check(frame.kind === "messages" && disk !== undefined, name, () => `m${from} sends no frame`);
    for (const message of frame.messages) this.#checkMessage(message, disk);
  }

  // What it said in an earlier term than the one on its disk was kept, and may be gone since.
  #checkMessage(message: Message, disk: DurableRecord): void {
    const { from, to, term } = message;
    const { hardState, lastIndex } = disk;
    if (hardState.term > term) return;
    if (message.kind === "voteReply" && message.granted && !message.pre) {
      const isKept = hardState.term === term && hardState.vote === to;
      if (isKept) return;
      throw new Violation(name, `m${from} votes for m${to} in term ${term} before it is durable`);
    } else if (message.kind === "appendReply" && !message.rejected) {
      const { index } = message;
      if (lastIndex >= index) return;
      throw new Violation(name, `m${from} accepts ${index}, its disk ends at ${lastIndex}`);
    }
  }
}
