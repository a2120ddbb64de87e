// Requests about leases: those of a turn go to the leader together, in one frame or, on the leader
// itself, in one quorum round. An answer that comes too late to promise time is asked for again.
import type { CommandKind } from "../apply/command.ts";
import { LeaseId, type MemberId, noLease, noMember, type Term } from "../base/brand.ts";
import { fromLatin1 } from "../base/bytes.ts";
import {
  type EtcdError,
  errLeaderChanged,
  errNoLeader,
  errTimeout,
  errTooManyRequests,
} from "../base/errors.ts";
import type { Clock, Random } from "../base/ports.ts";
import type { Lessor } from "../lease/lessor.ts";
import { type MemberTiming, requestTicksMax } from "./events.ts";
import { LeaseDuty } from "./leaseDuty.ts";
import {
  decodeLeaseFrame,
  encodeLeaseQuestions,
  encodeLeaseReplies,
  LeaseAsk,
  type LeaseQuestion,
  type LeaseReply,
  leaseRecordsMax,
} from "./leaseFrames.ts";
import type { LeaseCompletion, LeaseRequests, ProposalCompletion, ReadCompletion } from "./service.ts";

/** Requests without an answer, of this member's clients and of its peers, each. */
export const leaseRequestsMax = 100_000;
/** So many election timeouts without a leader, and a request is refused: etcd's patience. */
const leaderlessElectionsMax = 5;
/** As for linearizable reads: a silent leader is asked again. */
const retryMs = 500;
/** Ids of one life of a member; an answer to an earlier life names none of this one. */
const idsPerLife = 2 ** 32;
const livesApart = 2 ** 15;

/** What became of one try of a request. */
interface Try {
  readonly what: LeaseAsk;
  readonly id: LeaseId;
  readonly bornTick: number;
  onAnswer(ttlSec: number, grantedTtlSec: number): void;
  onRefused(error: EtcdError): void;
  /** Who asks: a peer asks again by itself. */
  readonly peer: boolean;
}

interface Forwarded {
  readonly request: Try;
  readonly sentMs: number;
}

export interface LeasesParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly timing: MemberTiming;
  readonly incarnation: number;
  readonly self: MemberId;
  readonly checkpointPeriodSec?: number;
  readonly lessor: () => Lessor;
  readonly ledTerm: () => Term | undefined;
  /** Known leader and raft's term. */
  readonly leader: () => { readonly leader: MemberId; readonly term: Term };
  readonly propose: (kind: CommandKind, body: Uint8Array, done: ProposalCompletion) => void;
  /** Joins this turn's quorum round. */
  readonly confirm: (completion: ReadCompletion) => void;
  readonly send: (to: MemberId, frame: Uint8Array) => void;
  readonly wake: () => void;
}

export class Leases implements LeaseRequests {
  readonly ttlSecMin: number;
  readonly #parts: LeasesParts;
  readonly #duty: LeaseDuty;
  readonly #waitTicksMax: number;
  readonly #leaderlessTicksMax: number;
  /** For the next turn. */
  #collected: Try[] = [];
  /** Renewals of leases that expire, or whose checkpoint must go first. */
  #parked: Try[] = [];
  readonly #forwarded = new Map<number, Forwarded>();
  readonly #replies = new Map<MemberId, LeaseReply[]>();
  #lastRequest: number;
  #own = 0;
  #peers = 0;
  #tick = 0;
  #leader: MemberId = noMember;
  #leaderTerm = -1;

  constructor(parts: LeasesParts) {
    const { timing, incarnation } = parts;
    this.#parts = parts;
    this.ttlSecMin = leaseTtlSecMinOf(timing);
    this.#waitTicksMax = requestTicksMax(timing);
    this.#leaderlessTicksMax = leaderlessElectionsMax * timing.electionTicks;
    this.#lastRequest = (incarnation % livesApart) * idsPerLife;
    this.#duty = new LeaseDuty({ ...parts, onSettled: () => this.#unpark() });
  }

  /** Requests of this member's clients without an answer. */
  get count(): number {
    return this.#own;
  }

  renew(id: LeaseId, completion: LeaseCompletion): void {
    this.#add(LeaseAsk.renew, id, completion);
  }

  /** The keys come from the applied state here, once it is as new as the leader's answer. */
  timeToLive(id: LeaseId, keys: boolean, completion: LeaseCompletion): void {
    this.#add(LeaseAsk.timeToLive, id, keys ? this.#withKeys(id, completion) : completion);
  }

  list(): readonly LeaseId[] {
    return this.#duty.list();
  }

  pickId(): LeaseId {
    const { random, lessor } = this.#parts;
    for (;;) {
      const bits = (BigInt(random.integer(2 ** 31)) << 32n) | BigInt(random.integer(2 ** 32));
      const id = LeaseId(bits);
      if (id !== noLease && !lessor().exists(id)) return id;
    }
  }

  /** Before the quorum round of the turn is asked for. */
  turn(): void {
    this.#duty.primaryTerm();
    this.#noticeLeader();
    this.#duty.turn();
    if (this.#collected.length === 0 || this.#leader === noMember) return;
    const requests = this.#collected;
    this.#collected = [];
    if (this.#leader === this.#parts.self) this.#confirm(requests);
    else this.#forward(requests);
  }

  /** After the reads of the turn: answers to peers leave. */
  flush(): void {
    for (const [peer, replies] of this.#replies) {
      for (let from = 0; from < replies.length; from += leaseRecordsMax) {
        const piece = replies.slice(from, from + leaseRecordsMax);
        this.#parts.send(peer, encodeLeaseReplies(piece));
      }
    }
    this.#replies.clear();
  }

  /** @returns false for bytes that no member of ours sends. */
  onFrame(from: MemberId, bytes: Uint8Array): boolean {
    const frame = decodeLeaseFrame(bytes);
    if (frame === undefined) return false;
    if (frame.kind === "ask") for (const question of frame.questions) this.#onAsk(from, question);
    else for (const reply of frame.replies) this.#onReply(reply);
    return true;
  }

  tick(): void {
    this.#tick++;
    this.#duty.tick();
    const nowMs = this.#parts.clock.nowMs();
    for (const [request, { request: item, sentMs }] of this.#forwarded) {
      if (nowMs - sentMs < retryMs) continue;
      this.#forwarded.delete(request);
      this.#collected.push(item);
    }
    this.#collected = this.#withoutLate(this.#collected);
    this.#parked = this.#withoutLate(this.#parked);
  }

  refuseAll(error: EtcdError): void {
    const forwarded = [...this.#forwarded.values()].map(({ request }) => request);
    const waiting = [...this.#collected, ...this.#parked, ...forwarded];
    this.#collected = [];
    this.#parked = [];
    this.#forwarded.clear();
    for (const request of waiting) request.onRefused(error);
  }

  #add(what: LeaseAsk, id: LeaseId, completion: LeaseCompletion): void {
    if (this.#own >= leaseRequestsMax) {
      completion.onRefused(errTooManyRequests);
      return;
    }
    this.#own++;
    this.#collected.push({
      ...{ what, id, bornTick: this.#tick, peer: false },
      onAnswer: (ttlSec, grantedTtlSec) => {
        this.#own--;
        completion.onAnswer({ ttlSec, grantedTtlSec, keys: [] });
      },
      onRefused: (error) => {
        this.#own--;
        completion.onRefused(error);
      },
    });
    this.#parts.wake();
  }

  #withKeys(id: LeaseId, completion: LeaseCompletion): LeaseCompletion {
    const onRefused = (error: EtcdError): void => completion.onRefused(error);
    return {
      onRefused,
      onAnswer: (answer) => {
        if (answer.ttlSec < 0) {
          completion.onAnswer(answer);
          return;
        }
        const onReady = (): void => {
          const keys = this.#parts.lessor().keysOf(id).map(fromLatin1);
          completion.onAnswer({ ...answer, keys });
        };
        this.#parts.confirm({ onReady, onRefused });
        this.#parts.wake();
      },
    };
  }

  #confirm(requests: readonly Try[]): void {
    const askedIn = this.#leaderTerm;
    const askedMs = this.#parts.clock.nowMs();
    this.#parts.confirm({
      onReady: () => {
        const isCurrent = this.#duty.primaryTerm() === askedIn;
        const ageMs = this.#parts.clock.nowMs() - askedMs;
        for (const request of requests) {
          if (!isCurrent) this.#onLeadershipLost(request);
          // Confirmed too long ago: another leader may be in office since.
          else if (ageMs > this.#duty.graceMs) this.#collectAgain(request);
          else this.#answer(request);
        }
        this.#parts.wake();
      },
      onRefused: (error) => {
        for (const request of requests) request.onRefused(error);
      },
    });
  }

  #answer(request: Try): void {
    if (request.what === LeaseAsk.timeToLive) {
      const { ttlSec, grantedTtlSec } = this.#duty.timeToLive(request.id);
      request.onAnswer(ttlSec, grantedTtlSec);
      return;
    }
    const ttlSec = this.#duty.renew(request.id);
    if (ttlSec === "wait") this.#parked.push(request);
    else request.onAnswer(ttlSec, ttlSec);
  }

  /** A renewal asks the next leader; what is left of a lease, the client may ask again itself. */
  #onLeadershipLost(request: Try): void {
    if (request.peer || request.what === LeaseAsk.timeToLive) request.onRefused(errLeaderChanged);
    else this.#collectAgain(request);
  }

  #collectAgain(request: Try): void {
    this.#collected.push(request);
  }

  #unpark(): void {
    if (this.#parked.length === 0) return;
    const parked = this.#parked;
    this.#parked = [];
    for (const request of parked) this.#collectAgain(request);
    this.#parts.wake();
  }

  #forward(requests: readonly Try[]): void {
    const sentMs = this.#parts.clock.nowMs();
    const questions = requests.map((request): LeaseQuestion => {
      this.#lastRequest++;
      this.#forwarded.set(this.#lastRequest, { request, sentMs });
      return { request: this.#lastRequest, what: request.what, id: request.id };
    });
    for (let from = 0; from < questions.length; from += leaseRecordsMax) {
      const piece = questions.slice(from, from + leaseRecordsMax);
      this.#parts.send(this.#leader, encodeLeaseQuestions(piece));
    }
  }

  /** Above the bound a question is dropped: whoever asked will ask again. */
  #onAsk(peer: MemberId, { request, what, id }: LeaseQuestion): void {
    if (this.#parts.ledTerm() === undefined) {
      this.#reply(peer, { request, led: false, ttlSec: 0, grantedTtlSec: 0 });
      return;
    }
    if (this.#peers >= leaseRequestsMax) return;
    this.#peers++;
    this.#collected.push({
      ...{ what, id, bornTick: this.#tick, peer: true },
      onAnswer: (ttlSec, grantedTtlSec) => {
        this.#peers--;
        this.#reply(peer, { request, led: true, ttlSec, grantedTtlSec });
      },
      onRefused: () => {
        this.#peers--;
        this.#reply(peer, { request, led: false, ttlSec: 0, grantedTtlSec: 0 });
      },
    });
  }

  #reply(peer: MemberId, reply: LeaseReply): void {
    const replies = this.#replies.get(peer);
    if (replies === undefined) this.#replies.set(peer, [reply]);
    else replies.push(reply);
  }

  #onReply({ request, led, ttlSec, grantedTtlSec }: LeaseReply): void {
    const forwarded = this.#forwarded.get(request);
    // Without a leader there, the next tick or the next leader is asked: at once it would go in circles.
    if (forwarded === undefined || !led) return;
    this.#forwarded.delete(request);
    const ageMs = this.#parts.clock.nowMs() - forwarded.sentMs;
    if (ageMs > this.#duty.graceMs && forwarded.request.what === LeaseAsk.renew) {
      this.#collectAgain(forwarded.request);
    } else forwarded.request.onAnswer(ttlSec, grantedTtlSec);
  }

  #noticeLeader(): void {
    const { leader, term } = this.#parts.leader();
    if (leader === this.#leader && term === this.#leaderTerm) return;
    this.#leader = leader;
    this.#leaderTerm = term;
    for (const { request } of this.#forwarded.values()) this.#collectAgain(request);
    this.#forwarded.clear();
    this.#unpark();
    if (leader === this.#parts.self) return;
    // Peers ask whoever leads now.
    const asked = this.#collected.filter((request) => request.peer);
    this.#collected = this.#collected.filter((request) => !request.peer);
    for (const request of asked) request.onRefused(errLeaderChanged);
  }

  #withoutLate(requests: readonly Try[]): Try[] {
    const led = this.#leader !== noMember;
    const kept: Try[] = [];
    for (const request of requests) {
      const age = this.#tick - request.bornTick;
      if (!led && age >= this.#leaderlessTicksMax) request.onRefused(errNoLeader);
      else if (age >= this.#waitTicksMax) request.onRefused(errTimeout);
      else kept.push(request);
    }
    return kept;
  }
}

/** Shorter TTLs are raised to this: one and a half election timeouts, whole seconds. */
export function leaseTtlSecMinOf({ electionTicks, tickMs }: MemberTiming): number {
  return Math.ceil((Math.floor((3 * electionTicks) / 2) * tickMs) / 1_000);
}
