// The Lease service: grants and revokes enter the log; renewals and questions about time go to the leader,
// which alone counts it.
import { CommandKind } from "../apply/command.ts";
import type { Outcome } from "../apply/outcome.ts";
import { unreachable } from "../base/assert.ts";
import { type LeaseId, noLease, type Revision } from "../base/brand.ts";
import { EtcdError, errLearnerRefuses, errMalformed } from "../base/errors.ts";
import type {
  StreamCall,
  StreamHandler,
  StreamMethod,
  UnaryCall,
  UnaryMethod,
} from "../grpc/call.ts";
import type { RenewSink } from "../member/leaseRequests.ts";
import type { MemberService } from "../member/service.ts";
import { encodeCompactionResponse as encodeHeaderOnly } from "../proto/encodeResponses.ts";
import {
  decodeLeaseGrantRequest,
  decodeLeaseIdRequest,
  decodeLeaseTimeToLiveRequest,
  encodeLeaseGrantRequest,
  encodeLeaseIdRequest,
  encodeLeaseLeasesResponse,
  encodeLeaseTimeToLiveResponse,
  encodeLeaseTtlResponse,
} from "../proto/leaseCodec.ts";
import { decodeEmptyRequest } from "../proto/maintenanceCodec.ts";
import { Malformed } from "../proto/reader.ts";
import type { Writer } from "../proto/writer.ts";
import type { Headers } from "./header.ts";

export class LeaseService {
  readonly #member: MemberService;
  readonly #headers: Headers;
  readonly #writer: Writer;

  constructor(member: MemberService, headers: Headers, writer: Writer) {
    this.#member = member;
    this.#headers = headers;
    this.#writer = writer;
  }

  readonly grant: UnaryMethod = (call, message) => {
    const request = decodeLeaseGrantRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    const { leases } = this.#member;
    // The log holds what counts: the id that was chosen here, the TTL that it is raised to.
    const id = request.id === noLease ? leases.pickId() : request.id;
    const ttlSec = Math.max(request.ttlSec, leases.ttlSecMin);
    const body = encodeLeaseGrantRequest(this.#writer, { id, ttlSec });
    this.#propose(call, CommandKind.leaseGrant, body);
  };

  readonly revoke: UnaryMethod = (call, message) => {
    const request = decodeLeaseIdRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    this.#propose(call, CommandKind.leaseRevoke, encodeLeaseIdRequest(this.#writer, request));
  };

  readonly timeToLive: UnaryMethod = (call, message) => {
    const request = decodeLeaseTimeToLiveRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    const { id, keys } = request;
    const onRefused = (error: EtcdError): void => call.fail(error);
    const onAnswer = (times: Omit<TimeToLiveAnswer, "id">): void =>
      respond(call, () =>
        encodeLeaseTimeToLiveResponse(this.#writer, this.#headers.current(), { id, ...times }),
      );
    this.#member.leases.timeToLive(id, { keys }, { onAnswer, onRefused });
  };

  /** From this member's own state, with or without a leader, as etcd does. */
  readonly leases: UnaryMethod = (call, message) => {
    const fault = decodeEmptyRequest(message);
    if (fault !== undefined) return call.fail(errMalformed(fault.why));
    respond(call, () => {
      const ids = this.#member.leases.list();
      return encodeLeaseLeasesResponse(this.#writer, this.#headers.current(), ids);
    });
  };

  readonly keepAlive: StreamMethod = (call) => {
    if (!this.#member.isLearner) return new KeepAliveCall(call, this.#member, this.#answerRenewal);
    call.fail(errLearnerRefuses);
    return deaf;
  };

  readonly #answerRenewal: EncodeRenewal = (id, { ttlSec, revision }) =>
    encodeLeaseTtlResponse(this.#writer, this.#headers.at(revision), { id, ttlSec });

  #propose(call: UnaryCall, kind: CommandKind, body: Uint8Array): void {
    this.#member.propose(kind, body, {
      onOutcome: (outcome) => {
        if (outcome.kind === "refused") call.fail(outcome.error);
        else call.respond(this.#encode(outcome));
      },
      onRefused: (error) => call.fail(error),
    });
  }

  #encode(outcome: Outcome): Uint8Array {
    if (outcome.kind === "leaseRevoke") {
      return encodeHeaderOnly(this.#writer, this.#headers.at(outcome.revision));
    }
    if (outcome.kind !== "leaseGrant") return unreachable("the outcome of another command");
    return encodeLeaseTtlResponse(this.#writer, this.#headers.at(outcome.revision), outcome);
  }
}

type TimeToLiveAnswer = Parameters<typeof encodeLeaseTimeToLiveResponse>[2];
type Renewal = Parameters<RenewSink["onRenewed"]>[1];
/** Valid until the next is made. */
type EncodeRenewal = (id: LeaseId, renewal: Renewal) => Uint8Array;

/** An answer may be above the send limit. */
function respond(call: UnaryCall, encode: () => Uint8Array): void {
  try {
    call.respond(encode());
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    call.fail(error);
  }
}

const deaf: StreamHandler = { onMessage() {}, onHalfClose() {}, onDrain() {}, onCancel() {} };

/** Renewals of one stream. Answers come in order, but for leases that are about to end. */
class KeepAliveCall implements StreamHandler, RenewSink {
  readonly #call: StreamCall;
  readonly #member: MemberService;
  readonly #encode: EncodeRenewal;
  #unanswered = 0;
  #isHalfClosed = false;
  #isOver = false;

  constructor(call: StreamCall, member: MemberService, encode: EncodeRenewal) {
    this.#call = call;
    this.#member = member;
    this.#encode = encode;
  }

  onMessage(message: Uint8Array): void {
    if (this.#isOver) return;
    const request = decodeLeaseIdRequest(message);
    if (request instanceof Malformed) {
      this.#end(errMalformed(request.why));
      return;
    }
    this.#unanswered++;
    this.#member.leases.renew(request.id, this);
  }

  /** Ends after the last answer. */
  onHalfClose(): void {
    this.#isHalfClosed = true;
    this.#endIfDone();
  }

  /** A client that takes no answers is not read from either: there is nothing to hold back here. */
  onDrain(): void {}

  onCancel(): void {
    this.#isOver = true;
  }

  onRenewed(id: LeaseId, renewal: { readonly ttlSec: number; readonly revision: Revision }): void {
    this.#unanswered--;
    if (this.#isOver) return;
    this.#call.write(this.#encode(id, renewal));
    this.#endIfDone();
  }

  onRefused(error: EtcdError): void {
    this.#unanswered--;
    if (!this.#isOver) this.#end(error);
  }

  #endIfDone(): void {
    if (this.#isOver || !this.#isHalfClosed || this.#unanswered > 0) return;
    this.#isOver = true;
    this.#call.end();
  }

  #end(error: EtcdError): void {
    this.#isOver = true;
    this.#call.fail(error);
  }
}
