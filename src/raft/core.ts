// The state that the duties of a member share: term, role, log, what leaves. No duty lives here.
import { LogIndex, type MemberId, noMember, type Term } from "../base/brand.ts";
import type { Random } from "../base/ports.ts";
import type { RaftConfig } from "./config.ts";
import { Configurations } from "./configurations.ts";
import { Durability } from "./durability.ts";
import { RaftLog } from "./log.ts";
import { isVoter } from "./membership.ts";
import type { Message } from "./message.ts";
import type { Progress } from "./progress.ts";
import { ForwardedReads, ReadRounds } from "./reads.ts";
import type { ReadState } from "./ready.ts";
import type { LogReader, Membership, RefillFloor, Role } from "./types.ts";

/** What the next Ready takes away. */
export class Outbox {
  messages: Message[] = [];
  afterPersist: Message[] = [];
  readStates: ReadState[] = [];
  readsLost: number[] = [];

  get empty(): boolean {
    return (
      this.messages.length === 0 &&
      this.afterPersist.length === 0 &&
      this.readStates.length === 0 &&
      this.readsLost.length === 0
    );
  }
}

/** A leader's knowledge; made anew with every election that is won. */
export interface Leadership {
  readonly peers: Map<MemberId, Progress>;
  /** Last durable index of each member, the leader's own included. */
  readonly acked: Map<MemberId, LogIndex>;
  /** Newest read round each member answered. */
  readonly readAcked: Map<MemberId, number>;
  /** The barrier of this term: before it is committed, `commit` may be older than the truth. */
  readonly barrierIndex: LogIndex;
  /** No other change of membership before this index is committed. */
  membershipIndex: LogIndex;
  /** Some peers may no longer be members. */
  peersLeaving: boolean;
  uncommittedBytes: number;
  /** Something may have to be sent: new entries, a new commit index, a window that opened. */
  appendsDue: boolean;
  heartbeatDue: boolean;
  /** Leadership transfer (thesis 3.10). */
  transferee: MemberId;
  /** A successor was told to campaign: from here on a lease proves nothing in this term. */
  leaseBroken: boolean;
  /** Tick at which the newest confirmed round was sent. */
  leaseTick: number;
}

/** Mutable on purpose; only the files of this room see it. */
export class Core {
  readonly config: RaftConfig;
  readonly id: MemberId;
  readonly log: RaftLog;
  readonly configurations: Configurations;
  readonly durability: Durability;
  readonly rounds = new ReadRounds();
  readonly forwarded = new ForwardedReads();
  readonly votes = new Map<MemberId, boolean>();
  readonly #random: Random;
  outbox = new Outbox();
  term: Term;
  vote: MemberId;
  role: Role = "follower";
  leader: MemberId = noMember;
  leadership: Leadership | undefined;
  /** While set, this member grants no vote and does not campaign. */
  refill: RefillFloor | undefined;
  /** Follower: highest index that this leader was told we hold. */
  acceptedIndex = LogIndex(0);
  /** An earlier life may have promised a leader's lease to keep quiet; a first one has not. */
  readonly promisedAtBoot: boolean;
  /** Ticks since boot. */
  now = 0;
  /** The same by the clock, where the owner tells it: a thread that stood still counts too few ticks. */
  time: number | undefined;
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** This time's patience, in [electionTicksMin, 2 * electionTicksMin). */
  electionTicks = 0;

  constructor(config: RaftConfig, reader: LogReader, random: Random) {
    const { hardState, membership, refill } = reader.initialState();
    this.refill = refill;
    this.config = config;
    this.id = config.id;
    this.#random = random;
    this.term = hardState.term;
    this.vote = hardState.vote;
    this.log = new RaftLog(reader, { commit: hardState.commit, applied: config.applied });
    const base = LogIndex(reader.firstIndex() - 1);
    const known = config.configurations ?? [];
    const isKnown = known.length > 0;
    this.configurations = new Configurations(isKnown ? known : [{ index: base, membership }]);
    this.log.scan(isKnown ? config.applied : base, (entry) => this.configurations.append(entry));
    this.durability = new Durability({
      index: reader.lastIndex(),
      term: hardState.term,
      vote: hardState.vote,
    });
    this.promisedAtBoot = config.readMode === "lease" && hardState.term > 0;
    this.drawElectionTicks();
  }

  /** By which votes and commits count now. */
  get membership(): Membership {
    return this.configurations.latest;
  }

  /**
   * May this member lead? Learners, strangers and members without a state, or with a part of it lost,
   * may not. One whose removal
   * is not known to be committed may: the others could need its longer log (thesis 4.2.2).
   */
  get promotable(): boolean {
    const { configurations, log, id } = this;
    if (log.pendingSnapshot !== undefined || this.refill !== undefined) return false;
    const committed = configurations.at(log.commit);
    return isVoter(configurations.latest, id) || (!!committed && isVoter(committed, id));
  }

  /**
   * The disk has been silent for an election timeout: this member can neither vote nor acknowledge,
   * so it should not lead.
   */
  get diskStalls(): boolean {
    return this.durability.waitedTicks(this.now) >= this.config.electionTicksMin;
  }

  drawElectionTicks(): void {
    const min = this.config.electionTicksMin;
    this.electionTicks = min + this.#random.integer(min);
  }

  /** Leaves whatever role there was, for `term`, which is never below the present one. */
  becomeFollower(term: Term, leader: MemberId): void {
    // A follower keeps its patience: candidates whose logs are old must not hold back the others.
    if (this.role !== "follower") {
      this.electionElapsed = 0;
      this.drawElectionTicks();
    }
    this.enterTerm(term);
    this.leaveLeadership();
    this.role = "follower";
    this.setLeader(leader);
  }

  /** A new term begins without a vote. */
  enterTerm(term: Term): void {
    if (term === this.term) return;
    this.term = term;
    this.vote = noMember;
    this.acceptedIndex = LogIndex(0);
  }

  setLeader(leader: MemberId): void {
    if (leader === this.leader) return;
    this.leader = leader;
    this.acceptedIndex = LogIndex(0);
    for (const id of this.forwarded.abandon()) this.outbox.readsLost.push(id);
  }

  leaveLeadership(): void {
    this.leadership = undefined;
    for (const { from, requestId } of this.rounds.abandon()) {
      if (from === this.id) this.outbox.readsLost.push(requestId);
    }
  }

  /** Leaves at once; promises nothing about the disk. */
  send(message: Message): void {
    this.outbox.messages.push(message);
  }

  /** Leaves when everything up to now is on disk. */
  sendAfterPersist(message: Message): void {
    this.outbox.afterPersist.push(message);
  }
}
