// Carries out each Ready in the safe order: send → persist → send what promises durability → apply.
import { assert } from "../base/assert.ts";
import type { LogIndex } from "../base/brand.ts";
import type { Message } from "../raft/message.ts";
import type { RaftNode } from "../raft/node.ts";
import type { Ready } from "../raft/ready.ts";
import type { Entry } from "../raft/types.ts";
import type { RaftLog } from "../storage/log.ts";
import type { Outbox } from "./outbox.ts";

/** A log of gigabytes is applied in some hundred; above this raft would never come to an end. */
export const drainRoundsMax = 20_000;

/** A write of the log that is not durable yet. */
interface Unsaved {
  readonly persist: Ready["persist"];
  readonly afterPersist: Message[];
  readonly hasSnapshot: boolean;
  done: boolean;
}

export interface PumpHooks {
  /** Committed entries in order, each exactly once; durable here. */
  apply(entries: readonly Entry[]): void;
  onReads(ready: Ready): void;
  /**
   * The log begins behind a snapshot, durably. Nothing is applied until `resume` says that the state
   * machine is that of the snapshot.
   */
  onSnapshotSaved(): void;
  /** A write completed in a later turn: the pump wants to run again. */
  wake(): void;
  /** The log failed: nothing it said can be trusted any more, the member must stop. */
  fail(error: Error): void;
}

export class Pump {
  readonly #raft: RaftNode;
  readonly #log: RaftLog;
  readonly #outbox: Outbox;
  readonly #hooks: PumpHooks;
  /** Oldest first; the log completes writes in order. */
  readonly #unsaved: Unsaved[] = [];
  /** The state machine does not lead to what raft would have applied next. */
  #isHeld = false;

  constructor(parts: { raft: RaftNode; log: RaftLog; outbox: Outbox; hooks: PumpHooks }) {
    this.#raft = parts.raft;
    this.#log = parts.log;
    this.#outbox = parts.outbox;
    this.#hooks = parts.hooks;
  }

  /** A snapshot is taken over: nothing is applied meanwhile. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Log writes under way. */
  get unsavedCount(): number {
    return this.#unsaved.length;
  }

  /** Runs until raft has nothing to do in this turn. @throws {Mistake} when it always has. */
  drain(): void {
    this.#releaseSaved();
    for (let rounds = 0; !this.#isHeld && this.#raft.hasReady(); rounds++) {
      assert(rounds < drainRoundsMax, "raft has something to do without end");
      this.#carryOut(this.#raft.ready());
      this.#releaseSaved();
    }
  }

  /** The state machine is the snapshot's. */
  resume(): void {
    this.#isHeld = false;
  }

  #carryOut(ready: Ready): void {
    if (ready.snapshot !== undefined) this.#isHeld = true;
    this.#outbox.add(ready.messages);
    this.#persist(ready);
    if (ready.committed.length > 0) {
      assert(!this.#isHeld, "nothing behind a snapshot is durable before the snapshot is");
      this.#hooks.apply(ready.committed);
      this.#raft.applied(lastIndexOf(ready.committed));
    }
    if (ready.readStates.length > 0 || ready.readsLost.length > 0) this.#hooks.onReads(ready);
    this.#raft.advance();
  }

  #persist(ready: Ready): void {
    const { hardState, entries, snapshot, refilled } = ready;
    const isEmpty = entries.length === 0 && snapshot === undefined && !refilled;
    if (hardState === undefined && isEmpty) {
      // Nothing new to save; what it promises may still wait for an earlier save.
      const last = this.#unsaved.at(-1);
      if (last === undefined) this.#outbox.add(ready.messagesAfterPersist);
      else last.afterPersist.push(...ready.messagesAfterPersist);
      return;
    }
    // The save may block this thread in a sync: peers should be writing at the same time.
    if (ready.mustSync) this.#outbox.flush();
    const unsaved: Unsaved = {
      persist: ready.persist,
      afterPersist: [...ready.messagesAfterPersist],
      hasSnapshot: snapshot !== undefined,
      done: false,
    };
    this.#unsaved.push(unsaved);
    const write = { hardState, entries, snapshot, refilled };
    unsaved.done = this.#log.save(write, ready.mustSync, (error) => {
      if (error !== undefined) {
        this.#hooks.fail(error);
        return;
      }
      unsaved.done = true;
      this.#hooks.wake();
    });
  }

  #releaseSaved(): void {
    while (this.#unsaved[0]?.done === true) {
      const saved = this.#unsaved.shift();
      if (saved === undefined) return;
      this.#raft.persisted(saved.persist);
      this.#outbox.add(saved.afterPersist);
      if (saved.hasSnapshot) this.#hooks.onSnapshotSaved();
    }
  }
}

function lastIndexOf(entries: readonly Entry[]): LogIndex {
  const last = entries.at(-1);
  if (last === undefined) throw new RangeError("no entries");
  return last.index;
}
