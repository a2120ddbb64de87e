// One unary call: a single message in, a single answer out.
import { assert } from "../base/assert.ts";
import { totalBytes } from "../base/bytes.ts";
import { type EtcdError, StatusCode } from "../base/errors.ts";
import { ErrorCode } from "../http2/frames.ts";
import type { Http2Stream, StreamReceiver } from "../http2/stream.ts";
import type { UnaryCall, UnaryMethod } from "./call.ts";
import type { Deadline, Expiring } from "./deadlines.ts";
import { type CallHead, messagePrefix, metadataOf, refusalIn } from "./exchange.ts";
import {
  MessageReader,
  type MessageSink,
  messagePrefixBytes,
  prefixRefusal,
} from "./messageReader.ts";
import {
  errAnswerBacklog,
  errDeadlineExceeded,
  errManyRequestMessages,
  errNoRequestMessage,
  errRequestBacklog,
  errTruncatedMessage,
} from "./refusals.ts";

export class UnaryExchange implements UnaryCall, StreamReceiver, MessageSink, Expiring {
  readonly #call: CallHead;
  readonly #method: UnaryMethod;
  readonly #stream: Http2Stream;
  #reader: MessageReader | undefined;
  // A whole message whose END_STREAM is still to come.
  #waiting: Buffer | undefined;
  #deadline: Deadline | undefined;
  #answered = false;
  #cancelled = false;
  #onCancel: (() => void) | undefined;
  readonly #startMs: number;

  constructor(call: CallHead, method: UnaryMethod, stream: Http2Stream) {
    this.#call = call;
    this.#method = method;
    this.#stream = stream;
    const { timeoutMs, context, stats, client } = call;
    stats.started++;
    client.calls++;
    this.#startMs = context.stats.isTimed ? context.clock.nowMs() : 0;
    if (timeoutMs !== undefined) this.#deadline = context.deadlines.add(timeoutMs, this);
  }

  get answerBytesMax(): number {
    return this.#stream.answerBytesMax;
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  onCancel(listener: () => void): void {
    if (!this.#answered && !this.#cancelled) this.#onCancel = listener;
  }

  metadata(name: string): string | undefined {
    return metadataOf(this.#call.head, name);
  }

  respond(message: Uint8Array): void {
    if (!this.#claimAnswer()) return;
    const prefix = messagePrefix(this.#call.context, message.length);
    this.#countAnswer(this.#stream.respond(prefix, message), message.length);
  }

  respondInParts(parts: readonly Uint8Array[]): void {
    if (!this.#claimAnswer()) return;
    const length = totalBytes(parts);
    const prefix = messagePrefix(this.#call.context, length);
    this.#countAnswer(this.#stream.respondInParts(prefix, parts), length);
  }

  fail(error: EtcdError): void {
    if (this.#claimAnswer()) this.#endWith(error);
  }

  onData(bytes: Buffer, from: number, to: number, ended: boolean): void {
    // The usual request is one frame. It needs no reader.
    const length = to - from - messagePrefixBytes;
    if (ended && this.#reader === undefined && length >= 0) {
      const announced = bytes.readUInt32BE(from + 1);
      const flag = bytes[from] ?? 0;
      const { messageBytesMax } = this.#call.context.limits;
      if (announced === length && prefixRefusal(flag, length, messageBytesMax) === undefined) {
        this.#dispatch(bytes.subarray(from + messagePrefixBytes, to));
        return;
      }
    }
    this.#onPart(bytes, from, to, ended);
  }

  onMessage(message: Buffer): boolean {
    if (this.#waiting !== undefined) {
      this.fail(errManyRequestMessages);
    } else if (this.#stream.hold(message.length)) {
      this.#waiting = Buffer.from(message);
    } else {
      this.fail(errRequestBacklog);
    }
    return !this.#answered;
  }

  onDrain(): void {
    // A single answer never asks for this.
  }

  onAborted(): void {
    if (!this.#answered) this.#count(StatusCode.canceled);
    this.#cancelled = true;
    this.#disarm();
    if (!this.#answered) this.#onCancel?.();
  }

  onDeadline(): void {
    this.#deadline = undefined;
    if (this.#answered || this.#cancelled) return;
    this.#cancelled = true;
    this.#endWith(errDeadlineExceeded);
    this.#onCancel?.();
  }

  #onPart(bytes: Buffer, from: number, to: number, ended: boolean): void {
    this.#reader ??= new MessageReader(this.#call.context.limits, this.#call.isGzip);
    const refusal = this.#reader.push(bytes, from, to, { stream: this.#stream, sink: this });
    if (this.#answered) return;
    if (refusal !== undefined) {
      this.fail(refusal);
    } else if (ended) {
      this.#onLast(this.#reader.idle);
    } else {
      const haveBytes = this.#reader.haveBytes + (this.#waiting?.length ?? 0);
      this.#stream.expect({ haveBytes, missingBytes: this.#reader.missingBytes });
    }
  }

  #onLast(complete: boolean): void {
    const message = this.#waiting;
    this.#waiting = undefined;
    this.#stream.settle();
    if (!complete) this.fail(errTruncatedMessage);
    else if (message === undefined) this.fail(errNoRequestMessage);
    else this.#dispatch(message);
  }

  #dispatch(message: Buffer): void {
    const { context, stats } = this.#call;
    stats.received++;
    context.stats.receivedBytes += message.length;
    try {
      this.#method(this, message);
    } catch (thrown) {
      this.#onThrown(thrown);
    }
  }

  #onThrown(thrown: unknown): void {
    const refusal = refusalIn(thrown);
    if (refusal !== undefined && !this.#answered) {
      this.fail(refusal);
      return;
    }
    this.#answered = true;
    this.#disarm();
    this.#stream.reset(ErrorCode.internalError);
    this.#call.context.onMistake(thrown);
  }

  // False on a call that is over from outside.
  #claimAnswer(): boolean {
    if (this.#cancelled) return false;
    assert(!this.#answered, "a unary call is answered once");
    this.#answered = true;
    this.#disarm();
    return true;
  }

  #countAnswer(isTaken: boolean, length: number): void {
    const { context, stats } = this.#call;
    if (!isTaken) {
      this.#endWith(errAnswerBacklog);
      return;
    }
    stats.sent++;
    context.stats.sentBytes += length;
    this.#count(StatusCode.ok);
    // Some of it waits for its reader, who is gone by the deadline.
    if (!this.#stream.closed && this.#deadline !== undefined)
      this.#stream.readByMs = context.deadlines.dueMs(this.#deadline);
  }

  #count(code: StatusCode): void {
    const { context, stats } = this.#call;
    stats.finish(code);
    if (!context.stats.isTimed) return;
    stats.handling.observe((context.clock.nowMs() - this.#startMs) / 1000);
  }

  #endWith(error: EtcdError): void {
    this.#count(error.code);
    this.#stream.endWith(this.#call.context.status.of(error), 200);
  }

  #disarm(): void {
    if (this.#deadline !== undefined) this.#call.context.deadlines.remove(this.#deadline);
  }
}
