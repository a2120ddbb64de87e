// Requests about leases that wait: of this member's clients, or of a peer's on whose behalf that asks.
import type { LeaseId, MemberId, Revision } from "../base/brand.ts";
import type { EtcdError } from "../base/errors.ts";
import { LeaseAsk } from "./leaseFrames.ts";
import type { RenewSink, TimeToLiveCompletion } from "./leaseRequests.ts";

interface Question {
  readonly id: LeaseId;
  readonly what: LeaseAsk;
  readonly bornTick: number;
}

export interface RenewQuestion extends Question {
  readonly kind: "renew";
  readonly revision: Revision;
  readonly sink: RenewSink;
}

export interface TimeToLiveQuestion extends Question {
  readonly kind: "timeToLive";
  readonly completion: TimeToLiveCompletion;
}

export interface PeerQuestion extends Question {
  readonly kind: "peer";
  readonly peer: MemberId;
  readonly request: number;
}

export type OwnQuestion = RenewQuestion | TimeToLiveQuestion;
export type LeaseQuestion = OwnQuestion | PeerQuestion;

/** Both numbers are those of a `LeaseReply`. */
export interface LeaseTimes {
  readonly ttlSec: number;
  readonly grantedTtlSec: number;
}

export function answerOwn(question: OwnQuestion, { ttlSec, grantedTtlSec }: LeaseTimes): void {
  if (question.kind === "renew") {
    question.sink.onRenewed(question.id, { ttlSec, revision: question.revision });
  } else question.completion.onAnswer({ ttlSec, grantedTtlSec, keys: [] });
}

export function refuseOwn(question: OwnQuestion, error: EtcdError): void {
  if (question.kind === "renew") question.sink.onRefused(error);
  else question.completion.onRefused(error);
}

export const isRenewal = ({ what }: Question): boolean => what === LeaseAsk.renew;
