// Questions about leases on their way to a leader elsewhere, and a leader's replies to its peers: everything
// of a turn for one peer travels in one frame.
import type { MemberId } from "../base/brand.ts";
import {
  encodeLeaseQuestions,
  encodeLeaseReplies,
  type LeaseReply,
  leaseRecordsMax,
} from "./leaseFrames.ts";
import type { OwnQuestion } from "./leaseQuestions.ts";

/** Ids of one life of a member; an answer to an earlier life names none of this one. */
const idsPerLife = 2 ** 32;
const livesApart = 2 ** 15;

export type SendFrame = (to: MemberId, frame: Uint8Array) => void;

export interface Forwarded {
  readonly question: OwnQuestion;
  readonly sentMs: number;
}

export class LeaseForwards {
  readonly #send: SendFrame;
  readonly #waiting = new Map<number, Forwarded>();
  readonly #replies = new Map<MemberId, LeaseReply[]>();
  #lastRequest: number;

  constructor(options: { readonly incarnation: number; readonly send: SendFrame }) {
    this.#send = options.send;
    this.#lastRequest = (options.incarnation % livesApart) * idsPerLife;
  }

  /** Asks `leader`, under ids that are fresh for every try. */
  ask(leader: MemberId, questions: readonly OwnQuestion[], nowMs: number): void {
    const records = questions.map((question) => {
      this.#lastRequest++;
      this.#waiting.set(this.#lastRequest, { question, sentMs: nowMs });
      return { request: this.#lastRequest, what: question.what, id: question.id };
    });
    for (let from = 0; from < records.length; from += leaseRecordsMax) {
      const piece = records.slice(from, from + leaseRecordsMax);
      this.#send(leader, encodeLeaseQuestions(piece));
    }
  }

  /** @returns undefined for a reply that nobody waits for. */
  take(request: number): Forwarded | undefined {
    const forwarded = this.#waiting.get(request);
    this.#waiting.delete(request);
    return forwarded;
  }

  /** Those asked before `beforeMs` wait no longer. */
  takeOlder(beforeMs: number): OwnQuestion[] {
    const old: OwnQuestion[] = [];
    // In order of asking.
    for (const [request, { question, sentMs }] of this.#waiting) {
      if (sentMs > beforeMs) break;
      this.#waiting.delete(request);
      old.push(question);
    }
    return old;
  }

  takeAll(): OwnQuestion[] {
    return this.takeOlder(Number.POSITIVE_INFINITY);
  }

  reply(peer: MemberId, reply: LeaseReply): void {
    const replies = this.#replies.get(peer);
    if (replies === undefined) this.#replies.set(peer, [reply]);
    else replies.push(reply);
  }

  /** The replies of the turn leave. */
  flush(): void {
    if (this.#replies.size === 0) return;
    for (const [peer, replies] of this.#replies) {
      for (let from = 0; from < replies.length; from += leaseRecordsMax) {
        this.#send(peer, encodeLeaseReplies(replies.slice(from, from + leaseRecordsMax)));
      }
    }
    this.#replies.clear();
  }
}
