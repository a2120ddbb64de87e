// The KV service: decode, check, then ask the member. A write enters the log as the client's own
// bytes; a read waits for a quorum round unless it is serializable. One small object per call.

import { CommandKind } from "../apply/command.ts";
import { type Outcome, type RefusedResult, rowBytesOf } from "../apply/outcome.ts";
import { unreachable } from "../base/assert.ts";
import {
  type EtcdError,
  errAnswerTooLarge,
  errCompacted,
  errLearnerRefuses,
  errMalformed,
  errTooManyOps,
} from "../base/errors.ts";
import type { UnaryCall, UnaryMethod } from "../grpc/call.ts";
import type { MemberService, ProposalCompletion } from "../member/service.ts";
import {
  decodeCompactionRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRangeRequest,
  decodeTxnRequest,
} from "../proto/decodeRequests.ts";
import {
  encodeCompactionResponse,
  encodeDeleteRangeResponse,
  encodePutResponse,
  encodeTxnResponse,
} from "../proto/encodeResponses.ts";
import type { RequestOp, TxnRequest } from "../proto/kv.ts";
import { Malformed, nestedTooDeep } from "../proto/reader.ts";
import type { Writer } from "../proto/writer.ts";
import type { Headers } from "./header.ts";
import { RangeRead, type Reading, refusalOf, TxnRead } from "./kvReads.ts";
import { checkDeleteRange, checkPut, checkRange, checkSize, checkTxn } from "./validate.ts";

export class KvService {
  readonly #member: MemberService;
  readonly #answers: Answers;
  readonly #reading: Reading;

  constructor(member: MemberService, headers: Headers, writer: Writer) {
    this.#member = member;
    this.#reading = { member, headers, writer };
    this.#answers = new Answers(headers, writer);
  }

  readonly range: UnaryMethod = (call, message) => {
    // A copy, as the request may have to outlive this call of us.
    const request = decodeRangeRequest(Buffer.from(message));
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    const refusal = checkRange(request);
    if (refusal !== undefined) return call.fail(refusal);
    const read = new RangeRead(this.#reading, call, request);
    if (request.serializable) this.#readNow(read);
    else if (this.#member.isLearner) call.fail(errLearnerRefuses);
    else this.#member.readIndex(read);
  };

  #readNow(read: RangeRead): void {
    read.onReady();
    if (read.hasMore) this.#member.readOn(read);
  }

  readonly put: UnaryMethod = (call, message) => {
    const request = decodePutRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    this.#propose(call, CommandKind.put, message, checkPut(request));
  };

  readonly deleteRange: UnaryMethod = (call, message) => {
    const request = decodeDeleteRangeRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    this.#propose(call, CommandKind.deleteRange, message, checkDeleteRange(request));
  };

  readonly txn: UnaryMethod = (call, message) => {
    const request = decodeTxnRequest(message);
    // Whatever is nested that deep has used up its ops on the way: etcd says so.
    if (request === nestedTooDeep) return call.fail(errTooManyOps);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    const refusal = checkTxn(request);
    if (refusal !== undefined || !isReadOnly(request)) {
      this.#propose(call, CommandKind.txn, message, refusal);
    } else if (isSerializable(request)) {
      new TxnRead(this.#reading, call, message).onReady();
    } else {
      this.#member.readIndex(new TxnRead(this.#reading, call, Buffer.from(message)));
    }
  };

  readonly compact: UnaryMethod = (call, message) => {
    const request = decodeCompactionRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    const refusal = checkSize(message);
    if (refusal !== undefined) return call.fail(refusal);
    const completion = request.physical
      ? new PhysicalCompaction(this.#member, this.#answers, call)
      : new Proposal(this.#answers, call);
    this.#member.propose(CommandKind.compact, message, completion);
  };

  #propose(
    call: UnaryCall,
    kind: CommandKind,
    message: Uint8Array,
    refusal: EtcdError | undefined,
  ): void {
    const first = refusal ?? checkSize(message);
    if (first !== undefined) call.fail(first);
    else this.#member.propose(kind, message, new Proposal(this.#answers, call));
  }
}

class Proposal implements ProposalCompletion {
  readonly #answers: Answers;
  readonly #call: UnaryCall;

  constructor(answers: Answers, call: UnaryCall) {
    this.#answers = answers;
    this.#call = call;
  }

  onOutcome(outcome: Outcome): void {
    this.#answers.outcome(this.#call, outcome);
  }

  onRefused(error: EtcdError): void {
    this.#call.fail(error);
  }
}

/** Answers when the store has dropped what was compacted; also when that had happened before. */
class PhysicalCompaction implements ProposalCompletion {
  readonly #member: MemberService;
  readonly #answers: Answers;
  readonly #call: UnaryCall;

  constructor(member: MemberService, answers: Answers, call: UnaryCall) {
    this.#member = member;
    this.#answers = answers;
    this.#call = call;
  }

  onOutcome(outcome: Outcome): void {
    const settled = () => this.#answers.outcome(this.#call, outcome);
    if (outcome.kind === "refused" && outcome.error !== errCompacted) settled();
    else this.#member.compactionSettled(settled);
  }

  onRefused(error: EtcdError): void {
    this.#call.fail(error);
  }
}

/** Turns what the state machine said into the bytes of an answer. */
class Answers {
  readonly #headers: Headers;
  readonly #writer: Writer;

  constructor(headers: Headers, writer: Writer) {
    this.#headers = headers;
    this.#writer = writer;
  }

  outcome(call: UnaryCall, outcome: Outcome): void {
    try {
      if (outcome.kind === "refused") {
        call.fail(outcome.error);
        return;
      }
      // The log knows no door: it was executed whatever it has to tell.
      const rowBytes = outcome.kind === "txn" ? rowBytesOf(outcome) : 0;
      const { answerBytesMax } = call;
      if (rowBytes > answerBytesMax) call.fail(errAnswerTooLarge(rowBytes, answerBytesMax));
      else call.respond(this.#encode(outcome));
    } catch (error) {
      call.fail(refusalOf(error));
    }
  }

  #encode(outcome: Exclude<Outcome, RefusedResult>): Uint8Array {
    const writer = this.#writer;
    switch (outcome.kind) {
      case "put":
        return encodePutResponse(writer, this.#headers.at(outcome.revision), outcome);
      case "deleteRange":
        return encodeDeleteRangeResponse(writer, this.#headers.at(outcome.revision), outcome);
      case "txn":
        return encodeTxnResponse(writer, this.#headers.at(outcome.revision), outcome);
      case "compact":
        // The store may have moved on while old history was removed: etcd tells the latest.
        return encodeCompactionResponse(writer, this.#headers.current());
      default:
        return unreachable(`${outcome.kind} is no answer of the KV service`);
    }
  }
}

function isReadOnly(request: TxnRequest): boolean {
  return request.success.every(isRange) && request.failure.every(isRange);
}

/** Also true for a txn that reads nothing but what its compares look at. */
function isSerializable(request: TxnRequest): boolean {
  return request.success.every(isSerializableRange) && request.failure.every(isSerializableRange);
}

const isRange = (op: RequestOp): boolean => op.kind === "range";
const isSerializableRange = (op: RequestOp): boolean =>
  op.kind === "range" && op.request.serializable;
