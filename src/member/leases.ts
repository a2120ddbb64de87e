// Requests about leases. A leader answers a renewal at once while a quorum round that began shortly before
// proves its office; what else it is asked waits for a round of the turn. Elsewhere the requests of a turn
// go to the leader together. An answer that comes too late to promise time is asked for again.
import { LeaseId, type MemberId, noLease, noMember, type Term } from "../base/brand.ts";
import { fromLatin1 } from "../base/bytes.ts";
import {
  type EtcdError,
  errLeaderChanged,
  errNoLeader,
  errStopped,
  errTimeout,
  errTooManyRequests,
} from "../base/errors.ts";
import { checkpointPeriodSec } from "../lease/checkpoint.ts";
import { requestTicksMax } from "./events.ts";
import { graceMsOf, leaseTtlSecMinOf, type Propose } from "./leaseDuty.ts";
import { LeaseForwards } from "./leaseForwards.ts";
import { decodeLeaseFrame, LeaseAsk, type LeaseReply } from "./leaseFrames.ts";
import {
  answerOwn,
  isRenewal,
  type LeaseQuestion,
  type LeaseTimes,
  type OwnQuestion,
  type PeerQuestion,
  refuseOwn,
} from "./leaseQuestions.ts";
import type { LeaseRequests, RenewSink, TimeToLiveCompletion } from "./leaseRequests.ts";
import { LeaseTerm } from "./leaseTerm.ts";
import type { LeaseView } from "./leaseView.ts";
import type { MemberConfig, MemberPorts } from "./memberParts.ts";
import type { ReadCompletion } from "./service.ts";

/** Requests without an answer, of this member's clients and of its peers together. */
export const leaseRequestsMax = 200_000;
/** As for linearizable reads: a silent leader is asked again. */
const retryMs = 500;
const notLed = { led: false, ttlSec: 0, grantedTtlSec: 0 };

type LeasesConfig = Pick<MemberConfig, "id" | "incarnation" | "timing" | "leaseCheckpointSec">;
type LeasesPorts = Pick<MemberPorts, "clock" | "random" | "link" | "requestTurn">;

export interface LeasesParts {
  readonly view: LeaseView;
  readonly propose: Propose;
  /** Joins this turn's quorum round. */
  readonly confirm: (completion: ReadCompletion) => void;
}

export class Leases implements LeaseRequests {
  readonly ttlSecMin: number;
  readonly #config: LeasesConfig;
  readonly #ports: LeasesPorts;
  readonly #parts: LeasesParts;
  readonly #forwards: LeaseForwards;
  readonly #graceMs: number;
  readonly #waitTicksMax: number;
  #ledTerm: LeaseTerm | undefined;
  /** The last confirmed quorum round: its term, and when it began. */
  #provenTerm: Term | undefined;
  #provenMs = 0;
  /** A round is wanted before the proof is too old; one is under way. */
  #proofWanted = false;
  #isProving = false;
  /** For the next turn. */
  #collected: LeaseQuestion[] = [];
  /** Renewals of leases that expire, or whose checkpoint must go first. */
  #parked: LeaseQuestion[] = [];
  #count = 0;
  #tick = 0;
  #leader: MemberId = noMember;
  #leaderTerm = -1;
  #isStopped = false;
  #renewedCount = 0;

  constructor(config: LeasesConfig, ports: LeasesPorts, parts: LeasesParts) {
    const { timing, incarnation } = config;
    this.#config = config;
    this.#ports = ports;
    this.#parts = parts;
    const send = (to: MemberId, frame: Uint8Array): void => ports.link.send(to, frame);
    this.#forwards = new LeaseForwards({ incarnation, send });
    this.ttlSecMin = leaseTtlSecMinOf(timing);
    this.#graceMs = graceMsOf(timing);
    this.#waitTicksMax = requestTicksMax(timing);
  }

  /** Requests without an answer. */
  get count(): number {
    return this.#count;
  }

  /** Leases that this member renewed as leader, again and again. */
  get renewedCount(): number {
    return this.#renewedCount;
  }

  renew(id: LeaseId, sink: RenewSink): void {
    const { revision } = this.#parts.view;
    const ttlSec = this.#renewAtOnce(id);
    if (ttlSec !== undefined) sink.onRenewed(id, { ttlSec, revision });
    else
      this.#addOwn({
        kind: "renew",
        what: LeaseAsk.renew,
        id,
        bornTick: this.#tick,
        revision,
        sink,
      });
  }

  timeToLive(id: LeaseId, { keys }: { keys: boolean }, completion: TimeToLiveCompletion): void {
    const what = LeaseAsk.timeToLive;
    const wanted = keys ? this.#withKeys(id, completion) : completion;
    this.#addOwn({ kind: "timeToLive", what, id, bornTick: this.#tick, completion: wanted });
  }

  list(): readonly LeaseId[] {
    const ids = Array.from(this.#parts.view.lessor.all(), ({ id }) => id);
    const counted = this.#leadership();
    return counted === undefined ? ids : ids.sort((a, b) => counted.endMs(a) - counted.endMs(b));
  }

  pickId(): LeaseId {
    const { random } = this.#ports;
    const { view } = this.#parts;
    for (;;) {
      const high = BigInt(random.integer(2 ** 31));
      const id = LeaseId((high << 32n) | BigInt(random.integer(2 ** 32)));
      if (id !== noLease && !view.lessor.exists(id)) return id;
    }
  }

  /** Before the quorum round of the turn is asked for. */
  turn(): void {
    this.#noticeLeader();
    this.#leadership()?.turn();
    if (this.#leader === this.#config.id) {
      if (this.#collected.length > 0 || (this.#proofWanted && !this.#isProving)) this.#confirm();
    } else if (this.#collected.length > 0 && this.#leader !== noMember) this.#forward();
  }

  /** After the reads of the turn: what peers are told leaves. */
  flush(): void {
    this.#forwards.flush();
  }

  /** @returns false for bytes that no member of ours sends. */
  onFrame(from: MemberId, bytes: Uint8Array): boolean {
    const frame = decodeLeaseFrame(bytes);
    if (frame === undefined) return false;
    if (frame.kind === "ask") {
      for (const { what, id, request } of frame.questions) {
        this.#onAsk({ kind: "peer", what, id, bornTick: this.#tick, peer: from, request });
      }
    } else for (const reply of frame.replies) this.#onReply(reply);
    return true;
  }

  tick(): void {
    this.#tick++;
    this.#leadership()?.tick();
    const silent = this.#forwards.takeOlder(this.#ports.clock.nowMs() - retryMs);
    for (const question of silent) this.#collected.push(question);
    this.#collected = this.#withoutLate(this.#collected);
    this.#parked = this.#withoutLate(this.#parked);
  }

  stop(): void {
    this.#isStopped = true;
    this.#endTerm();
    const waiting = [...this.#collected, ...this.#parked, ...this.#forwards.takeAll()];
    this.#collected = [];
    this.#parked = [];
    for (const question of waiting) this.#refuse(question, errStopped);
  }

  /** Counts time while this member leads; follows raft at once. */
  #leadership(): LeaseTerm | undefined {
    const { view } = this.#parts;
    const term = view.ledTerm;
    const counted = this.#ledTerm;
    if (counted?.term === term && (counted === undefined || counted.lessor === view.lessor)) {
      return counted;
    }
    this.#endTerm();
    if (term === undefined || this.#isStopped) return undefined;
    this.#ledTerm = new LeaseTerm({
      ...{ term, lessor: view.lessor, clock: this.#ports.clock, timing: this.#config.timing },
      checkpointPeriodSec: this.#config.leaseCheckpointSec ?? checkpointPeriodSec,
      applied: () => view.applied,
      propose: this.#parts.propose,
      onSettled: () => this.#unpark(),
    });
    return this.#ledTerm;
  }

  #endTerm(): void {
    this.#ledTerm?.end();
    this.#ledTerm = undefined;
    this.#provenTerm = undefined;
    this.#proofWanted = false;
  }

  /**
   * The everyday renewal. @returns undefined when it has to wait: for a proof of leadership or for the
   * end of the lease.
   */
  #renewAtOnce(id: LeaseId): number | undefined {
    const counted = this.#leadership();
    if (counted === undefined || !this.#isProven(counted.term)) return undefined;
    const ttlSec = this.#counted(counted.renew(id));
    // It may be granted and not applied here yet: only a round that begins now tells.
    return ttlSec === "wait" || ttlSec === 0 ? undefined : ttlSec;
  }

  #counted(ttlSec: number | "wait"): number | "wait" {
    if (ttlSec !== "wait" && ttlSec > 0) this.#renewedCount++;
    return ttlSec;
  }

  #isProven(term: Term): boolean {
    if (this.#provenTerm !== term) return false;
    const ageMs = this.#ports.clock.nowMs() - this.#provenMs;
    if (ageMs > this.#graceMs / 2 && !this.#proofWanted) {
      this.#proofWanted = true;
      this.#ports.requestTurn();
    }
    return ageMs <= this.#graceMs;
  }

  #addOwn(question: OwnQuestion): void {
    if (this.#isStopped) refuseOwn(question, errStopped);
    else if (this.#parts.view.isRefilling) refuseOwn(question, errNoLeader);
    else if (this.#count >= leaseRequestsMax) refuseOwn(question, errTooManyRequests);
    else {
      this.#count++;
      this.#collected.push(question);
      this.#ports.requestTurn();
    }
  }

  #withKeys(id: LeaseId, completion: TimeToLiveCompletion): TimeToLiveCompletion {
    const onRefused = (error: EtcdError): void => completion.onRefused(error);
    return {
      onRefused,
      onAnswer: (answer) => {
        if (answer.ttlSec < 0) return completion.onAnswer(answer);
        // The keys come from the state here, once it is as new as the leader's answer.
        const onReady = (): void => {
          const keys = this.#parts.view.lessor.keysOf(id).map(fromLatin1);
          completion.onAnswer({ ...answer, keys });
        };
        this.#parts.confirm({ onReady, onRefused });
      },
    };
  }

  /** One round for all that was asked since the last turn, which also proves the office anew. */
  #confirm(): void {
    const { clock } = this.#ports;
    const questions = this.#collected;
    const term = this.#leaderTerm;
    const beganMs = clock.nowMs();
    this.#collected = [];
    this.#isProving = true;
    this.#parts.confirm({
      onReady: () => {
        this.#isProving = false;
        if (this.#leadership()?.term === term) this.#onProof(term, beganMs);
        for (const question of questions) this.#onConfirmed(question, term);
      },
      onRefused: (error) => {
        this.#isProving = false;
        for (const question of questions) this.#refuse(question, error);
      },
    });
  }

  #onProof(term: number, beganMs: number): void {
    const counted = this.#leadership();
    if (counted === undefined || counted.term !== term) return;
    this.#provenTerm = counted.term;
    this.#provenMs = beganMs;
    this.#proofWanted = false;
  }

  #onConfirmed(question: LeaseQuestion, term: number): void {
    const counted = this.#leadership();
    if (counted === undefined || counted.term !== term) this.#onLeadershipLost(question);
    else if (!isRenewal(question)) this.#answer(question, counted.timeToLive(question.id));
    // Confirmed too long ago: another leader may be in office since.
    else if (!this.#isProven(counted.term)) this.#collectAgain(question);
    else this.#renew(counted, question);
  }

  #renew(counted: LeaseTerm, question: LeaseQuestion): void {
    const ttlSec = this.#counted(counted.renew(question.id));
    if (ttlSec !== "wait") this.#answer(question, { ttlSec, grantedTtlSec: ttlSec });
    else {
      this.#parked.push(question);
      // It may have to propose something first.
      this.#ports.requestTurn();
    }
  }

  /** A renewal asks the next leader; what is left of a lease, the client may ask again itself. */
  #onLeadershipLost(question: LeaseQuestion): void {
    if (question.kind === "renew") this.#collectAgain(question);
    else this.#refuse(question, errLeaderChanged);
  }

  #collectAgain(question: LeaseQuestion): void {
    this.#collected.push(question);
    this.#ports.requestTurn();
  }

  #unpark(): void {
    const parked = this.#parked;
    this.#parked = [];
    for (const question of parked) this.#collectAgain(question);
  }

  #forward(): void {
    const questions = this.#collected.filter((question) => question.kind !== "peer");
    this.#collected = [];
    this.#forwards.ask(this.#leader, questions, this.#ports.clock.nowMs());
  }

  /** Above the bound a question is dropped: whoever asked will ask again. */
  #onAsk(question: PeerQuestion): void {
    const { peer, request, id } = question;
    if (this.#leadership() === undefined) {
      this.#forwards.reply(peer, { request, ...notLed });
      return;
    }
    const ttlSec = isRenewal(question) ? this.#renewAtOnce(id) : undefined;
    if (ttlSec !== undefined) {
      this.#forwards.reply(peer, { request, led: true, ttlSec, grantedTtlSec: ttlSec });
    } else if (this.#count < leaseRequestsMax) {
      this.#count++;
      this.#collected.push(question);
    }
  }

  #onReply({ request, led, ttlSec, grantedTtlSec }: LeaseReply): void {
    // Without a leader there, the next tick or the next leader is asked: at once it would go in circles.
    if (!led) return;
    const forwarded = this.#forwards.take(request);
    if (forwarded === undefined) return;
    const { question, sentMs } = forwarded;
    const isLate = this.#ports.clock.nowMs() - sentMs > this.#graceMs;
    if (isLate && isRenewal(question)) this.#collectAgain(question);
    else this.#answer(question, { ttlSec, grantedTtlSec });
  }

  #answer(question: LeaseQuestion, times: LeaseTimes): void {
    this.#count--;
    if (question.kind !== "peer") answerOwn(question, times);
    else this.#forwards.reply(question.peer, { request: question.request, led: true, ...times });
  }

  #refuse(question: LeaseQuestion, error: EtcdError): void {
    this.#count--;
    if (question.kind !== "peer") refuseOwn(question, error);
    else this.#forwards.reply(question.peer, { request: question.request, ...notLed });
  }

  #noticeLeader(): void {
    const { leader, term } = this.#parts.view;
    if (leader === this.#leader && term === this.#leaderTerm) return;
    this.#leader = leader;
    this.#leaderTerm = term;
    this.#leadership();
    this.#collected.push(...this.#forwards.takeAll());
    this.#unpark();
    if (leader === this.#config.id) return;
    // Peers ask whoever leads now.
    const asked = this.#collected.filter((question) => question.kind === "peer");
    this.#collected = this.#collected.filter((question) => question.kind !== "peer");
    for (const question of asked) this.#refuse(question, errLeaderChanged);
  }

  #withoutLate(questions: readonly LeaseQuestion[]): LeaseQuestion[] {
    if (questions.length === 0) return [];
    const error = this.#leader === noMember ? errNoLeader : errTimeout;
    const kept: LeaseQuestion[] = [];
    for (const question of questions) {
      if (this.#tick - question.bornTick >= this.#waitTicksMax) this.#refuse(question, error);
      else kept.push(question);
    }
    return kept;
  }
}
