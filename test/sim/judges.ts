// The checkers of one run, and who of them hears of what.
import type { Applier } from "../../src/apply/applier.ts";
import type { MemberId } from "../../src/base/brand.ts";
import type { MemberStatus } from "../../src/member/service.ts";
import { everyMember } from "../../src/raft/membership.ts";
import type { Membership } from "../../src/raft/types.ts";
import type { LogWrite, RaftLog } from "../../src/storage/log.ts";
import { Answers } from "./checkers/answers.ts";
import { Committed, type MembershipParts } from "./checkers/committed.ts";
import { EqualState } from "./checkers/equalState.ts";
import { History } from "./checkers/history.ts";
import { LeaseJudge } from "./checkers/leases.ts";
import { LockJudge } from "./checkers/locks.ts";
import { LogMatching } from "./checkers/logMatching.ts";
import { OneLeader } from "./checkers/oneLeader.ts";
import { Promises } from "./checkers/promises.ts";
import { Serializable } from "./checkers/serializable.ts";
import { WatchJudge } from "./checkers/watches.ts";
import { Writes } from "./checkers/writes.ts";
import type { DurableRecord } from "./durableRecord.ts";
import type { EventQueue } from "./eventQueue.ts";
import { check } from "./violation.ts";

export interface JudgesParts extends MembershipParts {
  readonly driftMax: number;
  /** Somebody leads in a new term. */
  readonly onLeader: (id: MemberId) => void;
}

export class Judges {
  readonly history: History;
  readonly writes = new Writes();
  readonly answers: Answers;
  readonly serializable: Serializable;
  readonly watches: WatchJudge;
  readonly leases: LeaseJudge;
  readonly locks = new LockJudge();
  readonly #disks: ReadonlyMap<MemberId, DurableRecord>;
  readonly #oneLeader = new OneLeader();
  readonly #logMatching = new LogMatching();
  readonly #committed: Committed;
  readonly #promises: Promises;
  readonly #equalState = new EqualState();
  readonly #onLeader: (id: MemberId) => void;

  constructor(
    queue: EventQueue,
    disks: ReadonlyMap<MemberId, DurableRecord>,
    { driftMax, onLeader, ...membership }: JudgesParts,
  ) {
    this.#onLeader = onLeader;
    this.leases = new LeaseJudge(() => queue.nowUs, driftMax);
    this.history = new History((revision, changes) => {
      if (this.leases.owns(changes)) this.leases.onRevision(revision, changes);
      else if (this.locks.owns(changes)) this.locks.onRevision(revision, changes);
      else this.writes.onRevision(revision, changes, queue.nowUs);
    });
    this.answers = new Answers(this.history, this.writes);
    this.serializable = new Serializable(this.answers);
    this.watches = new WatchJudge(this.history);
    this.#disks = disks;
    this.#committed = new Committed(disks, membership);
    this.#promises = new Promises(disks);
  }

  /** Entries that are known to be committed. */
  get committedCount(): number {
    return this.#committed.count;
  }

  /** As committed. */
  get membership(): Membership {
    return this.#committed.membership;
  }

  /** The member says that it is none any more. */
  onOut(id: MemberId): void {
    const isMember = everyMember(this.membership).includes(id);
    check(!isMember, "membership", () => `m${id} says that it was removed`);
  }

  onStart(id: MemberId, applier: Applier): void {
    this.#committed.onStart(id);
    this.serializable.onStart(id);
    this.onState(id, applier);
  }

  /** The member goes on with this state: its own of before, or another's that came as a snapshot. */
  onState(id: MemberId, applier: Applier): void {
    this.history.onStart(id, applier.revision);
    this.#compareStates(id, applier);
    applier.store.listen({
      onChanges: (revision, changes) => this.history.onChanges(id, revision, changes),
    });
  }

  onSave(id: MemberId, write: LogWrite, log: RaftLog): void {
    this.#logMatching.onSave(id, write, log);
    this.#committed.onSave(write.entries);
  }

  onSend(from: MemberId, to: MemberId, bytes: Uint8Array): void {
    this.#promises.onSend(from, to, bytes);
  }

  onDurable(id: MemberId): void {
    const disk = this.#disks.get(id);
    if (disk !== undefined) this.#oneLeader.onDurable(id, disk.hardState);
  }

  afterTurn(status: MemberStatus, log: RaftLog, applier: Applier): void {
    const isNew = this.#oneLeader.afterTurn(status);
    if (isNew) this.#committed.onLeader(status, log);
    this.#committed.afterTurn(status, log);
    this.#compareStates(status.id, applier);
    if (isNew) this.#onLeader(status.id);
  }

  #compareStates(id: MemberId, applier: Applier): void {
    const { applied, revision } = applier;
    this.#equalState.see(id, { applied, revision, hash: applier.store.stateHash() });
  }
}
