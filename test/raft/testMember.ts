// A member for tests: RaftNode, a log, and the caller's duties carried out one by one.
import { assert } from "../../src/base/assert.ts";
import { LogIndex, type MemberId } from "../../src/base/brand.ts";
import type { Random } from "../../src/base/ports.ts";
import type { RaftConfig } from "../../src/raft/config.ts";
import type { Message } from "../../src/raft/message.ts";
import { RaftNode } from "../../src/raft/node.ts";
import type { PersistMark, Ready } from "../../src/raft/ready.ts";
import type { MemoryLog } from "./memoryLog.ts";

interface Unsaved {
  readonly writes: boolean;
  readonly persist: PersistMark;
  readonly promised: Message[];
}

export interface MemberHooks {
  send(message: Message): void;
  /** Sees every Ready after its messages were sent and its write begun. */
  onReady(ready: Ready): void;
}

export const defaults: Omit<RaftConfig, "id" | "applied"> = {
  electionTicksMin: 10,
  heartbeatTicks: 1,
  maxAppendBytes: 1024,
  inflightMax: 8,
  inflightBytesMax: 16 * 1024,
  uncommittedBytesMax: 64 * 1024,
  preVote: false,
  checkQuorum: false,
  readMode: "readIndex",
};

export class TestMember {
  readonly id: MemberId;
  readonly log: MemoryLog;
  readonly #hooks: MemberHooks;
  readonly #random: Random;
  readonly #unsaved: Unsaved[] = [];
  node: RaftNode;

  constructor(
    parts: { id: MemberId; log: MemoryLog; random: Random; hooks: MemberHooks },
    config: Partial<RaftConfig> = {},
  ) {
    this.id = parts.id;
    this.log = parts.log;
    this.#random = parts.random;
    this.#hooks = parts.hooks;
    this.node = this.#boot(config);
  }

  /** The state machine begins at the snapshot and applies the rest again. */
  #boot(config: Partial<RaftConfig>): RaftNode {
    const applied = config.applied ?? LogIndex(this.log.firstIndex() - 1);
    return new RaftNode({ ...defaults, ...config, id: this.id, applied }, this.log, this.#random);
  }

  restart({ survivors, config }: { survivors: number; config: Partial<RaftConfig> }): void {
    this.log.crash(survivors);
    this.#unsaved.length = 0;
    this.node = this.#boot(config);
  }

  /** See `MemoryLog.damage`. */
  damage(terms: readonly number[], config: Partial<RaftConfig>): void {
    this.log.damage(terms);
    this.#unsaved.length = 0;
    this.node = this.#boot(config);
  }

  /** Carries out every Ready; writes stay on their way until `persist`. */
  pump(): void {
    while (this.node.hasReady()) this.#carryOut(this.node.ready());
  }

  get unsavedCount(): number {
    return this.#unsaved.length;
  }

  /** The oldest write is done. */
  persist(): void {
    const saved = this.#unsaved.shift();
    assert(saved !== undefined, "nothing to persist");
    if (saved.writes) this.log.complete();
    this.node.persisted(saved.persist);
    for (const message of saved.promised) this.#sendPromised(message);
  }

  #carryOut(ready: Ready): void {
    for (const message of ready.messages) this.#hooks.send(message);
    this.#save(ready);
    this.#hooks.onReady(ready);
    const applied = ready.committed.at(-1)?.index ?? ready.snapshot?.index;
    if (applied !== undefined) this.node.applied(applied);
    this.node.advance();
  }

  #save(ready: Ready): void {
    const { hardState, entries, snapshot, refilled, persist, messagesAfterPersist } = ready;
    const fills = entries.length > 0 || snapshot !== undefined || refilled;
    const writes = hardState !== undefined || fills;
    assert(writes || !ready.mustSync, "a sync without a write");
    const commit = hardState?.commit ?? 0;
    assert(commit <= this.log.durableLast(), "a commit on disk before its entries");
    if (writes) this.log.write({ hardState, entries, snapshot, refilled });
    const last = this.#unsaved.at(-1);
    if (writes) this.#unsaved.push({ writes, persist, promised: [...messagesAfterPersist] });
    else if (last) last.promised.push(...messagesAfterPersist);
    else for (const message of messagesAfterPersist) this.#sendPromised(message);
  }

  /** What it promises must be on disk, whatever the reason to send it was. */
  #sendPromised(message: Message): void {
    if (message.kind === "appendReply" && !message.rejected && message.term === this.node.term) {
      assert(message.index <= this.log.durableLast(), "acknowledged before it was durable");
    }
    if (message.kind === "voteReply" && message.granted && !message.pre) {
      const { term, vote } = this.log.durableHardState;
      assert(term > message.term || vote === message.to, "voted before it was durable");
      assert(this.log.durableRefill === undefined, "voted before it was refilled");
    }
    this.#hooks.send(message);
  }
}
