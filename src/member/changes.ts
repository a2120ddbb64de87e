// Changes of membership on their way. A member hands its callers' requests to the leader, one after the
// other, under numbers that only grow; the change carries the number, so it is made once, however often
// it was asked for. The leader judges and proposes them one at a time.
import type { BatchOrigin } from "../apply/command.ts";
import { encodeContext } from "../apply/memberRecord.ts";
import { type MemberId, noMember } from "../base/brand.ts";
import {
  type EtcdError,
  errImpossibleChange,
  errTimeout,
  errTimeoutLeaderFail,
  errTooManyRequests,
  errUnhealthy,
} from "../base/errors.ts";
import type { MembershipChange } from "../raft/membership.ts";
import type { RaftNode } from "../raft/node.ts";
import { type ChangeNumber, decodeChangeFrame, encodeAsk, encodeRefusal } from "./changeFrames.ts";
import {
  attributesOf,
  type ChangePolicy,
  type ChangeRequest,
  type ClusterView,
  refusalOf,
  shapeRefusal,
} from "./changeRequest.ts";
import type { MemberTiming } from "./events.ts";
import type { Roster } from "./roster.ts";
import type { ChangeCompletion } from "./service.ts";

/** Requests of this member's callers that wait; one more is refused. */
export const changesWaitingMax = 64;
/** etcd's: a learner that holds so much of the leader's log is in sync. */
const inSyncShare = 0.9;
/** A change that was not answered is asked for again after this time. */
const repeatMs = 500;

interface Waiting {
  readonly request: ChangeRequest;
  readonly completion: ChangeCompletion;
  readonly bornTick: number;
}

interface Asked {
  readonly number: ChangeNumber;
  readonly request: ChangeRequest;
}

export interface ChangesParts {
  readonly self: MemberId;
  readonly incarnation: number;
  readonly timing: MemberTiming;
  readonly waitTicksMax: number;
  readonly policy: ChangePolicy;
  readonly raft: RaftNode;
  readonly roster: Roster;
  readonly send: (to: MemberId, frame: Uint8Array) => void;
  /** The leader counts why it refused to make a voter of a learner. */
  readonly tally: { readonly promoteFailures: Map<string, number> };
}

export class Changes {
  readonly #parts: ChangesParts;
  readonly #repeatTicks: number;
  #waiting: Waiting[] = [];
  /** The first of `#waiting` once it has a number. */
  #sequence = 0;
  #isAsked = false;
  /** When the first is to be asked for again. */
  #dueTick = 0;
  /** The leader's: the newest request of each member. */
  readonly #inbox = new Map<MemberId, Asked>();
  #tick = 0;
  #mayPromote = false;
  /** When the leader changed last. */
  #ledSinceTick = 0;
  #electionTick = Number.NEGATIVE_INFINITY;

  constructor(parts: ChangesParts) {
    this.#parts = parts;
    this.#repeatTicks = Math.max(1, Math.ceil(repeatMs / parts.timing.tickMs));
  }

  /** Refuses within the call what cannot be, and what finds no room. */
  add(request: ChangeRequest, completion: ChangeCompletion): void {
    const refusal = shapeRefusal(request);
    if (refusal !== undefined) completion.onRefused(refusal);
    else if (this.#waiting.length >= changesWaitingMax) completion.onRefused(errTooManyRequests);
    else this.#waiting.push({ request, completion, bornTick: this.#tick });
  }

  /** Asks what is due, and, if this member leads, carries out what it may. */
  turn(): void {
    const { raft, roster, self } = this.#parts;
    const isLeader = raft.role === "leader";
    if (!isLeader) this.#inbox.clear();
    this.#ask(isLeader ? self : raft.leader);
    if (!isLeader || !raft.mayChangeMembership || !roster.isKnown) return;
    if (this.#inbox.size > 0) this.#work();
    else if (this.#mayPromote) this.#promote();
  }

  tick(): void {
    this.#tick++;
    const { waitTicksMax } = this.#parts;
    const late = this.#waiting.filter(({ bornTick }) => this.#tick - bornTick >= waitTicksMax);
    if (late.length > 0) {
      // The oldest are first, and only the first of all was asked for.
      this.#waiting = this.#waiting.slice(late.length);
      this.#isAsked = false;
      for (const one of late) one.completion.onRefused(this.#timeoutError(one));
    }
    this.#mayPromote = this.#parts.policy.promoteLearners;
    // Whoever got its state in one piece did not see the entry.
    const { self, incarnation } = this.#parts;
    if (this.#isAsked && this.#isDone(self, { incarnation, sequence: this.#sequence })) {
      this.#onDone();
    }
  }

  /** A new leader, or none: it knows nothing of what the old one was asked for. */
  onLeader(): void {
    this.#electionTick = this.#tick;
    this.#ledSinceTick = this.#tick;
    this.#dueTick = this.#tick;
    this.#inbox.clear();
  }

  /** @returns false for bytes that make no sense. */
  onFrame(from: MemberId, bytes: Uint8Array): boolean {
    const frame = decodeChangeFrame(bytes);
    if (frame === undefined) return false;
    const { roster, raft, incarnation } = this.#parts;
    if (frame.kind === "ask") {
      const isMember = roster.get(from) !== undefined;
      if (isMember && raft.role === "leader") this.#inbox.set(from, frame);
    } else if (frame.number.incarnation === incarnation) {
      this.#onRefused(frame.number.sequence, frame.error);
    }
    return true;
  }

  /** A change was applied that `origin` had asked for; is it the one that waits here? */
  onApplied(origin: BatchOrigin): void {
    const { self, incarnation } = this.#parts;
    const isOwn = origin.member === self && origin.incarnation === incarnation;
    if (this.#isAsked && isOwn && origin.sequence === this.#sequence) this.#onDone();
  }

  refuseAll(error: EtcdError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#isAsked = false;
    for (const { completion } of waiting) completion.onRefused(error);
  }

  #ask(leader: MemberId): void {
    const first = this.#waiting[0];
    if (first === undefined || leader === noMember) return;
    const { self, incarnation, send } = this.#parts;
    if (!this.#isAsked) {
      this.#isAsked = true;
      this.#sequence++;
    } else if (this.#tick < this.#dueTick) return;
    this.#dueTick = this.#tick + this.#repeatTicks;
    const asked = { number: { incarnation, sequence: this.#sequence }, request: first.request };
    if (leader === self) this.#inbox.set(self, asked);
    else send(leader, encodeAsk(asked.number, asked.request));
  }

  /** One change at most: the next may come when that is applied. */
  #work(): void {
    for (const [from, asked] of this.#inbox) {
      if (this.#isDone(from, asked.number)) this.#inbox.delete(from);
      else if (this.#carryOut(from, asked)) return;
    }
  }

  /** @returns true when something was proposed. */
  #carryOut(from: MemberId, { number, request }: Asked): boolean {
    const { raft, timing } = this.#parts;
    const refusal = refusalOf(request, this.#view());
    // Who has just begun to lead has not heard from everybody yet.
    const isFresh = this.#tick - this.#ledSinceTick < timing.electionTicks;
    if (refusal === errUnhealthy && isFresh) return false;
    const origin = { member: from, ...number };
    const result =
      refusal === undefined
        ? raft.proposeMembership(changeOf(request), contextOf({ request, origin }))
        : "refused";
    if (result === "accepted") {
      this.#inbox.delete(from);
      return true;
    }
    if (result === "busy" || result === "transferring" || result === "notLeader") return false;
    this.#inbox.delete(from);
    const error = refusal ?? errImpossibleChange("too many members");
    if (request.kind === "promote") this.#count(error);
    this.#refuse(from, number, error);
    return false;
  }

  #count({ message }: EtcdError): void {
    const { promoteFailures } = this.#parts.tally;
    promoteFailures.set(message, (promoteFailures.get(message) ?? 0) + 1);
  }

  #refuse(to: MemberId, number: ChangeNumber, error: EtcdError): void {
    const { self, send } = this.#parts;
    if (to === self) this.#onRefused(number.sequence, error);
    else send(to, encodeRefusal(number, error));
  }

  #onRefused(sequence: number, error: EtcdError): void {
    if (!this.#isAsked || sequence !== this.#sequence) return;
    this.#takeFirst()?.completion.onRefused(error);
  }

  #onDone(): void {
    this.#takeFirst()?.completion.onChanged(this.#parts.roster.list());
  }

  /** Learners that hold what the leader holds become voters, one after the other. */
  #promote(): void {
    this.#mayPromote = false;
    const view = this.#view();
    for (const { id, name, isLearner } of view.members) {
      const isReady = isLearner && name !== "" && view.isActive(id);
      if (!isReady || refusalOf({ kind: "promote", id }, view) !== undefined) continue;
      this.#parts.raft.proposeMembership({ kind: "promote", id }, contextOf(undefined));
      return;
    }
  }

  #takeFirst(): Waiting | undefined {
    this.#isAsked = false;
    return this.#waiting.shift();
  }

  #isDone(member: MemberId, { incarnation, sequence }: ChangeNumber): boolean {
    const last = this.#parts.roster.lastChange(member);
    if (last === undefined) return false;
    if (last.incarnation !== incarnation) return last.incarnation > incarnation;
    return last.sequence >= sequence;
  }

  #view(): ClusterView {
    const { self, policy, raft, roster, timing } = this.#parts;
    const peers = new Map(raft.peers().map((peer) => [peer.id, peer]));
    const { lastIndex } = raft.status();
    return {
      self,
      policy,
      members: roster.list(),
      isRemoved: (id) => roster.isRemoved(id),
      isActive: (id) =>
        id === self ||
        (peers.get(id)?.silentTicks ?? Number.POSITIVE_INFINITY) < timing.electionTicks,
      isInSync: (id) => id === self || (peers.get(id)?.match ?? 0) >= inSyncShare * lastIndex,
    };
  }

  #timeoutError({ bornTick }: Waiting): EtcdError {
    return bornTick <= this.#electionTick ? errTimeoutLeaderFail : errTimeout;
  }
}

function changeOf(request: ChangeRequest): MembershipChange {
  return { kind: request.kind, id: request.id };
}

/** Without a request: nobody asked. */
function contextOf(
  asked: { readonly request: ChangeRequest; readonly origin: BatchOrigin } | undefined,
): Uint8Array {
  const isTold = asked !== undefined && "peerUrls" in asked.request;
  const members = isTold ? [attributesOf(asked.request)] : [];
  return encodeContext({ origin: asked?.origin, members });
}
