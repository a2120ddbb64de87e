// One member's consensus: messages, ticks and proposals in, a Ready out. Nothing else is public.
import { assert } from "../base/assert.ts";
import { LogIndex, type MemberId, noMember, Term } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import type { Random } from "../base/ports.ts";
import { checkConfig, committedBytesMaxDefault, type RaftConfig } from "./config.ts";
import type { ChangedConfiguration } from "./configurations.ts";
import { Core, type Leadership, Outbox } from "./core.ts";
import { campaign, countOwnVote, tickElection } from "./election.ts";
import {
  dropPeers,
  flushLeader,
  onOwnPersisted,
  proposeAsLeader,
  releaseUncommitted,
  tickLeader,
} from "./leader.ts";
import type { MembershipChange } from "./membership.ts";
import type { Message } from "./message.ts";
import type { ProgressState } from "./progress.ts";
import type { MembershipResult, PersistMark, ProposeResult, RaftStatus, Ready } from "./ready.ts";
import { leaveJoint, proposeChange, resignIfRemoved } from "./reconfigure.ts";
import { endRefill, isRefilled } from "./refill.ts";
import { step } from "./step.ts";
import { beginTransfer } from "./transfer.ts";
import type { Entry, HardState, LogReader, Membership, Role } from "./types.ts";

/** What a leader knows about one peer. */
export interface PeerStatus {
  readonly id: MemberId;
  readonly state: ProgressState;
  /** Last index that the peer is known to hold. */
  readonly match: LogIndex;
  /** Since it was heard from in this leadership; infinite when it was not. */
  readonly silentTicks: number;
}

/**
 * Synchronous and deterministic: the same calls with the same random numbers give the same answers.
 * Calls come one at a time and never from within one another; after any of them, ask `hasReady`.
 */
export class RaftNode {
  readonly #core: Core;
  /** What the log was last told. */
  #saved: HardState;
  #readyOut = false;
  /** Keeps an idle member's commit index on disk: told by a tick, or along with other writes. */
  #saveCommit = false;

  /** @throws {Mistake} when config and log contradict each other. */
  constructor(config: RaftConfig, log: LogReader, random: Random) {
    checkConfig(config);
    this.#core = new Core(config, log, random);
    this.#saved = this.#hardState();
  }

  get term(): Term {
    return this.#core.term;
  }

  get role(): Role {
    return this.#core.role;
  }

  /** 0n while unknown. */
  get leader(): MemberId {
    return this.#core.leader;
  }

  /** Leads, and its last entries are not committed yet. */
  get isCommitting(): boolean {
    const { role, log } = this.#core;
    return role === "leader" && log.last > log.commit;
  }

  /** As of the applied index; a change that is on its way may be in force already. */
  get membership(): Membership {
    const { configurations, log } = this.#core;
    return configurations.at(log.applied) ?? configurations.latest;
  }

  /** Data of proposals that this leader has not committed yet. */
  get uncommittedBytes(): number {
    return this.#core.leadership?.uncommittedBytes ?? 0;
  }

  /** In force now: votes and commits count by it. */
  get latestMembership(): Membership {
    return this.#core.membership;
  }

  /** Index of the entry that made it. */
  get latestMembershipIndex(): LogIndex {
    return this.#core.configurations.latestIndex;
  }

  /**
   * In force at `index`, for whoever compacts the log up to there or takes an image of that state.
   * @returns undefined when that is so long ago that nobody knows.
   */
  membershipAt(index: LogIndex): Membership | undefined {
    return this.#core.configurations.at(index);
  }

  /** What the entry at `index` made of the membership; undefined when it changed nothing. */
  configurationOf(index: LogIndex): ChangedConfiguration | undefined {
    return this.#core.configurations.madeBy(index);
  }

  /** In force, but not applied yet. */
  unappliedConfigurations(): readonly ChangedConfiguration[] {
    const { configurations, log } = this.#core;
    return configurations.after(log.applied);
  }

  /** Leads, and everything that could be in the way of another change is committed and applied. */
  get mayChangeMembership(): boolean {
    const { leadership, log } = this.#core;
    return leadership !== undefined && log.applied >= leadership.membershipIndex;
  }

  /** 0n unless this member leads and is handing over. */
  get transferee(): MemberId {
    return this.#core.leadership?.transferee ?? noMember;
  }

  /** One unit of time has passed. */
  tick(): void {
    const core = this.#core;
    core.now++;
    this.#saveCommit = true;
    if (core.leadership) {
      tickLeader(core, core.leadership);
      return;
    }
    tickElection(core);
  }

  /**
   * What time it is by a steady clock, in ticks from any beginning: leases are judged by it from then on,
   * by the ticks counted without it. To be told before each `ready`.
   */
  timeIs(ticks: number): void {
    this.#core.time = ticks;
  }

  /** A message of a peer; what makes no sense is ignored. */
  step(message: Message): void {
    step(this.#core, message);
  }

  /** Starts an election now, if this member may. */
  campaign(): void {
    campaign(this.#core);
  }

  /** One entry each, in order. The bytes must not be written to afterwards. */
  propose(datas: readonly Uint8Array[]): ProposeResult {
    const core = this.#core;
    if (core.leadership) return proposeAsLeader(core, core.leadership, datas);
    if (core.leader === noMember) return "noLeader";
    core.send({ kind: "forward", from: core.id, to: core.leader, term: Term(0), datas });
    return "forwarded";
  }

  /** @param context the caller's own bytes, carried with the change (see `decodeChange`). */
  proposeMembership(change: MembershipChange, context: Uint8Array = emptyBytes): MembershipResult {
    return proposeChange(this.#core, change, context);
  }

  /**
   * Asks for a linearizable read; the answer comes as a read state, or the id as lost. A request
   * that dies on the way to another member is never answered: ask again with a fresh id.
   */
  readIndex(requestId: number): void {
    const core = this.#core;
    const lost = core.outbox.readsLost;
    if (core.role === "leader") {
      if (!core.rounds.gather({ from: core.id, requestId })) lost.push(requestId);
      return;
    }
    if (core.leader === noMember) {
      lost.push(requestId);
      return;
    }
    const dropped = core.forwarded.add(requestId);
    if (dropped !== undefined) lost.push(dropped);
    core.send({ kind: "readIndex", from: core.id, to: core.leader, term: Term(0), requestId });
  }

  /** @returns false unless this member leads and `to` is another voter. */
  transferLeadership(to: MemberId): boolean {
    const { leadership } = this.#core;
    return leadership !== undefined && beginTransfer(this.#core, leadership, to);
  }

  /** The link says that messages to `peer` were lost. */
  reportUnreachable(peer: MemberId): void {
    this.#core.leadership?.peers.get(peer)?.unreachable();
  }

  /** The snapshot for `peer` has left completely, or its transfer failed. */
  reportSnapshot(peer: MemberId, ok: boolean): void {
    this.#core.leadership?.peers.get(peer)?.snapshotEnded({ ok });
  }

  /** The disk has lost what this member had acknowledged: it has no vote and nothing to serve. */
  get isRefilling(): boolean {
    return this.#core.refill !== undefined;
  }

  /** Took a snapshot that the next Ready hands to the log. */
  get isRestoring(): boolean {
    return this.#core.log.pendingSnapshot !== undefined;
  }

  /** Leads, and sends to this member. */
  hasPeer(id: MemberId): boolean {
    return this.#core.leadership?.peers.has(id) ?? false;
  }

  /** True when there may be work; false is certain. */
  hasReady(): boolean {
    const core = this.#core;
    const { log, leadership, rounds } = core;
    if (!core.outbox.empty || log.hasTail || log.pendingSnapshot !== undefined) return true;
    if (this.#committedLast() > log.handedOut || this.#hardStateDue()) return true;
    if (isRefilled(core)) return true;
    if (leadership === undefined) return false;
    if (leadership.appendsDue || leadership.heartbeatDue) return true;
    return rounds.hasGathered && log.commit >= leadership.barrierIndex;
  }

  /** See `Ready` for what to do with it, and in which order. */
  ready(): Ready {
    assert(!this.#readyOut, "advance comes before the next ready");
    this.#readyOut = true;
    const core = this.#core;
    if (core.leadership) this.#lead(core.leadership);
    const { entries, snapshot } = core.log.handOver();
    const refilled = endRefill(core);
    const mustVote = core.term !== this.#saved.term || core.vote !== this.#saved.vote;
    const mustSync = mustVote || refilled || entries.length > 0 || snapshot !== undefined;
    const hardState = this.#takeHardState(mustSync);
    const persist = this.#beginWrite(mustSync);
    const committed = this.#takeCommitted();
    const { messages, afterPersist, readStates, readsLost } = core.outbox;
    if (!core.outbox.empty) core.outbox = new Outbox();
    return {
      messages,
      snapshot,
      hardState,
      entries,
      refilled,
      mustSync,
      persist,
      messagesAfterPersist: afterPersist,
      committed,
      readStates,
      readsLost,
    };
  }

  /** The write of the last Ready is with the log, where it can be read. */
  advance(): void {
    assert(this.#readyOut, "advance follows a ready");
    this.#readyOut = false;
    this.#core.log.handedOver();
  }

  /** A write is on disk, with all before it. */
  persisted({ write }: PersistMark): void {
    const core = this.#core;
    if (!core.durability.complete(write)) return;
    countOwnVote(core);
    if (core.leadership) onOwnPersisted(core, core.leadership);
  }

  /** The state machine holds everything up to `index`. */
  applied(index: LogIndex): void {
    const { log, configurations } = this.#core;
    log.appliedTo(index);
    configurations.forgetBefore(LogIndex(Math.min(index, log.first - 1)));
  }

  status(): RaftStatus {
    const { id, role, term, vote, leader, log } = this.#core;
    const { commit, applied, last: lastIndex } = log;
    return { id, role, term, vote, leader, commit, applied, lastIndex };
  }

  /** Empty unless this member leads. */
  peers(): readonly PeerStatus[] {
    const peers = this.#core.leadership?.peers.values() ?? [];
    const { now } = this.#core;
    return [...peers].map(({ id, state, match, heardTick }) => {
      return { id, state, match, silentTicks: now - heardTick };
    });
  }

  /** What a leader owes at the end of a turn; a resigning one tells the last commit before it goes. */
  #lead(leadership: Leadership): void {
    const core = this.#core;
    leaveJoint(core, leadership);
    flushLeader(core, leadership);
    dropPeers(core, leadership);
    resignIfRemoved(core, leadership);
  }

  /** On disk a commit index never runs ahead of the entries that it speaks of. */
  #hardState(): HardState {
    const { term, vote, log, durability } = this.#core;
    return { term, vote, commit: LogIndex(Math.min(log.commit, durability.index)) };
  }

  #hardStateDue(): boolean {
    const { term, vote } = this.#core;
    if (term !== this.#saved.term || vote !== this.#saved.vote) return true;
    return this.#saveCommit && this.#committedLast() > this.#saved.commit;
  }

  /** A commit index that moved is worth no write of its own, until a tick says that it is late. */
  #takeHardState(mustSync: boolean): HardState | undefined {
    if (!mustSync && !this.#hardStateDue()) return undefined;
    const now = this.#hardState();
    const { term, vote, commit } = this.#saved;
    if (now.term === term && now.vote === vote && now.commit <= commit) return undefined;
    this.#saveCommit = false;
    this.#saved = now;
    return now;
  }

  #beginWrite(mustSync: boolean): PersistMark {
    const { log, term, vote, durability } = this.#core;
    const index = log.last;
    const write = mustSync
      ? durability.begin({ index, term, vote, tick: this.#core.now })
      : durability.doneNumber;
    return { term, index, write };
  }

  /** Committed entries that are durable here; another member may hold what this disk lacks. */
  #committedLast(): LogIndex {
    const { log, durability } = this.#core;
    return LogIndex(Math.min(log.commit, durability.index));
  }

  #takeCommitted(): readonly Entry[] {
    const core = this.#core;
    const bytesMax = core.config.committedBytesMax ?? committedBytesMaxDefault;
    const committed = core.log.takeCommitted({ last: this.#committedLast(), bytesMax });
    if (committed.length === 0) return committed;
    if (core.leadership) releaseUncommitted(core.leadership, committed);
    return committed;
  }
}
