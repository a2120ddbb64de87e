// Reads of the KV service, from the request to the bytes of the answer. One that took long, waiting
// included, is told of.
import type { OpResult, TxnResult } from "../apply/outcome.ts";
import { EtcdError, errCanceled, errMalformed } from "../base/errors.ts";
import type { UnaryCall } from "../grpc/call.ts";
import type { MemberService, ReadCompletion, RequestFacts } from "../member/service.ts";
import { decodeTxnRequest } from "../proto/decodeRequests.ts";
import { encodeRangeResponse, encodeTxnResponse } from "../proto/encodeResponses.ts";
import type { RangeRequest } from "../proto/kv.ts";
import { Malformed } from "../proto/reader.ts";
import { rangeText, txnText } from "../proto/requestText.ts";
import type { Writer } from "../proto/writer.ts";
import type { Headers } from "./header.ts";

export interface Reading {
  readonly member: MemberService;
  readonly headers: Headers;
  readonly writer: Writer;
}

export class RangeRead implements ReadCompletion {
  readonly #reading: Reading;
  readonly #call: UnaryCall;
  readonly #request: RangeRequest;
  readonly #sinceMs: number;

  constructor(reading: Reading, call: UnaryCall, request: RangeRequest) {
    this.#reading = reading;
    this.#call = call;
    this.#request = request;
    this.#sinceMs = reading.member.times.nowMs();
  }

  onReady(): void {
    // The caller went away while it waited: nothing is read for nobody.
    if (this.#call.cancelled) {
      this.#call.fail(errCanceled);
      return;
    }
    const { member, headers, writer } = this.#reading;
    try {
      const result = member.state.range(this.#request);
      const answer = encodeRangeResponse(writer, headers.at(result.revision), result);
      this.#call.respond(answer);
      const slowMs = member.times.slowMs(this.#sinceMs);
      if (slowMs === undefined) return;
      const size = answer.length;
      this.#tell(slowMs, () => ({ response: `${countText(result)} size:${size}` }));
    } catch (error) {
      this.onRefused(refusalOf(error));
    }
  }

  onRefused(error: EtcdError): void {
    this.#call.fail(error);
    const slowMs = this.#reading.member.times.slowMs(this.#sinceMs);
    if (slowMs !== undefined) this.#tell(slowMs, () => refusedFacts(error));
  }

  #tell(tookMs: number, more: () => Pick<RequestFacts, "response" | "error">): void {
    const request = this.#request;
    this.#reading.member.times.tell(tookMs, () => ({
      ...{ prefix: "read-only range ", request: rangeText(request) },
      ...more(),
    }));
  }
}

export class TxnRead implements ReadCompletion {
  readonly #reading: Reading;
  readonly #call: UnaryCall;
  readonly #message: Uint8Array;
  readonly #sinceMs: number;

  /** @param message the request's bytes, checked; ours alone if the read has to wait. */
  constructor(reading: Reading, call: UnaryCall, message: Uint8Array) {
    this.#reading = reading;
    this.#call = call;
    this.#message = message;
    this.#sinceMs = reading.member.times.nowMs();
  }

  onReady(): void {
    if (this.#call.cancelled) {
      this.#call.fail(errCanceled);
      return;
    }
    const { member, headers, writer } = this.#reading;
    const request = decodeTxnRequest(this.#message);
    if (request instanceof Malformed) {
      this.#call.fail(errMalformed(request.why));
      return;
    }
    try {
      const result = member.state.readTxn(request);
      const answer = encodeTxnResponse(writer, headers.at(result.revision), result);
      this.#call.respond(answer);
      const slowMs = member.times.slowMs(this.#sinceMs);
      if (slowMs === undefined) return;
      const size = answer.length;
      const counts = (): string => txnCounts(result).join(" ");
      this.#tell(slowMs, () => ({ response: `responses:<${counts()}> size:${size}` }));
    } catch (error) {
      this.onRefused(refusalOf(error));
    }
  }

  onRefused(error: EtcdError): void {
    this.#call.fail(error);
    const slowMs = this.#reading.member.times.slowMs(this.#sinceMs);
    if (slowMs !== undefined) this.#tell(slowMs, () => refusedFacts(error));
  }

  #tell(tookMs: number, more: () => Pick<RequestFacts, "response" | "error">): void {
    const request = decodeTxnRequest(this.#message);
    this.#reading.member.times.tell(tookMs, () => ({
      prefix: "read-only txn ",
      request: request instanceof Malformed ? "malformed" : txnText(request),
      ...more(),
    }));
  }
}

/** Reads refuse by throwing, and so does an answer above the size limit; a Mistake goes on its way. */
export function refusalOf(error: unknown): EtcdError {
  if (error instanceof EtcdError) return error;
  throw error;
}

const refusedFacts = (error: EtcdError): Pick<RequestFacts, "response" | "error"> => ({
  response: "",
  error: error.message,
});

const countText = ({ rows }: { readonly rows: readonly Uint8Array[] }): string =>
  `range_response_count:${rows.length}`;

/** At most as many as a transaction may have operations. */
function txnCounts({ results }: TxnResult): readonly string[] {
  return results.filter(isRange).map(countText);
}

const isRange = (result: OpResult): result is Extract<OpResult, { readonly kind: "range" }> =>
  result.kind === "range";
