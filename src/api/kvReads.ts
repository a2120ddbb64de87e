// Reads of the KV service, from the request to the bytes of the answer. One that took long, waiting
// included, is told of.
import type { LongRangeResult, OpResult, RangeResult, TxnResult } from "../apply/outcome.ts";
import { unreachable } from "../base/assert.ts";
import { totalBytes } from "../base/bytes.ts";
import { EtcdError, errCanceled } from "../base/errors.ts";
import type { UnaryCall } from "../grpc/call.ts";
import type {
  MemberService,
  ReadCompletion,
  RequestFacts,
  StateReader,
} from "../member/service.ts";
import { decodeTxnRequest } from "../proto/decodeRequests.ts";
import { encodeRangeResponse, encodeTxnResponse } from "../proto/encodeResponses.ts";
import type { RangeRequest, TxnRequest } from "../proto/kv.ts";
import { encodeLongRows, encodeRangeParts } from "../proto/rangeParts.ts";
import { Malformed } from "../proto/reader.ts";
import { rangeText, txnText } from "../proto/requestText.ts";
import type { Writer } from "../proto/writer.ts";
import type { Headers } from "./header.ts";

export interface Reading {
  readonly member: MemberService;
  readonly headers: Headers;
  readonly writer: Writer;
}

/** What differs between reads: how the answer is found, and how the log calls it. */
abstract class Read implements ReadCompletion {
  protected readonly reading: Reading;
  protected readonly call: UnaryCall;
  readonly #sinceMs: number;
  hasMore = false;

  constructor(reading: Reading, call: UnaryCall) {
    this.reading = reading;
    this.call = call;
    this.#sinceMs = reading.member.times.nowMs();
  }

  /** Undefined: not everything is read yet. @throws {EtcdError} */
  protected abstract answer(): Answer | undefined;
  /** What was asked, without values. */
  protected abstract text(): Pick<RequestFacts, "prefix" | "request">;

  onReady(): void {
    this.hasMore = false;
    // The caller went away while it waited: nothing is read for nobody.
    if (this.call.cancelled) {
      this.call.fail(errCanceled);
      return;
    }
    try {
      const answer = this.answer();
      if (answer === undefined) {
        this.hasMore = true;
        return;
      }
      const { parts, counts } = answer;
      const size = parts === undefined ? answer.bytes.length : totalBytes(parts);
      if (parts === undefined) this.call.respond(answer.bytes);
      else this.call.respondInParts(parts);
      this.#tellIfSlow(() => ({ response: `${counts()} size:${size}` }));
    } catch (error) {
      this.onRefused(refusalOf(error));
    }
  }

  onRefused(error: EtcdError): void {
    this.call.fail(error);
    this.#tellIfSlow(() => ({ response: "", error: error.message }));
  }

  #tellIfSlow(more: () => Pick<RequestFacts, "response" | "error">): void {
    const { times } = this.reading.member;
    const tookMs = times.slowMs(this.#sinceMs);
    if (tookMs !== undefined) times.tell(tookMs, () => ({ ...this.text(), ...more() }));
  }
}

/** `counts` is for the log. */
type Answer = { readonly counts: () => string } & (
  | { readonly bytes: Uint8Array; readonly parts?: undefined }
  | { readonly parts: readonly Uint8Array[] }
);

export class RangeRead extends Read {
  readonly #request: RangeRequest;
  #long: Parameters<StateReader["stepRange"]>[0] | undefined;

  constructor(reading: Reading, call: UnaryCall, request: RangeRequest) {
    super(reading, call);
    this.#request = request;
  }

  protected override answer(): Answer | undefined {
    const { headers, writer } = this.reading;
    const result = this.#result();
    if (result === undefined) return undefined;
    const header = headers.at(result.revision);
    if (result.kind === "longRange") {
      const { rowCount } = result;
      this.#long = undefined;
      const parts = encodeRangeParts(writer, header, result);
      return { parts, counts: () => countText(rowCount) };
    }
    const counts = () => countText(result.rows.length);
    // Of the past or sorted: read at once, but not made JSON or frames at once.
    const long = encodeLongRows(result.rows);
    if (long !== undefined)
      return { parts: encodeRangeParts(writer, header, { ...result, parts: long }), counts };
    const bytes = encodeRangeResponse(writer, header, result);
    return { bytes, counts };
  }

  #result(): RangeResult | LongRangeResult | undefined {
    const { state } = this.reading.member;
    if (this.#long !== undefined) return state.stepRange(this.#long);
    const begun = state.beginRange(this.#request, this.call.answerBytesMax);
    if ("kind" in begun) return begun;
    // A long one begins when it is its turn, so that only one is held in parts.
    this.#long = begun;
    return undefined;
  }

  protected override text(): Pick<RequestFacts, "prefix" | "request"> {
    return { prefix: "read-only range ", request: rangeText(this.#request) };
  }
}

export class TxnRead extends Read {
  readonly #message: Uint8Array;

  /** @param message the request's bytes, checked; ours alone if the read has to wait. */
  constructor(reading: Reading, call: UnaryCall, message: Uint8Array) {
    super(reading, call);
    this.#message = message;
  }

  protected override answer(): Answer {
    const { member, headers, writer } = this.reading;
    const result = member.state.readTxn(this.#decoded(), this.call.answerBytesMax);
    const bytes = encodeTxnResponse(writer, headers.at(result.revision), result);
    return { bytes, counts: () => `responses:<${txnCounts(result).join(" ")}>` };
  }

  protected override text(): Pick<RequestFacts, "prefix" | "request"> {
    return { prefix: "read-only txn ", request: txnText(this.#decoded()) };
  }

  #decoded(): TxnRequest {
    const request = decodeTxnRequest(this.#message);
    return request instanceof Malformed ? unreachable("it was checked") : request;
  }
}

/** Reads refuse by throwing, and so does an answer above the size limit; a Mistake goes on its way. */
export function refusalOf(error: unknown): EtcdError {
  if (error instanceof EtcdError) return error;
  throw error;
}

const countText = (rows: number): string => `range_response_count:${rows}`;

/** At most as many as a transaction may have operations. */
function txnCounts({ results }: TxnResult): readonly string[] {
  return results.filter(isRange).map(({ rows }) => countText(rows.length));
}

const isRange = (result: OpResult): result is Extract<OpResult, { readonly kind: "range" }> =>
  result.kind === "range";
