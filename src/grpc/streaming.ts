// One stream call: messages in both directions, with a bounded backlog towards the client.
import { type EtcdError, StatusCode } from "../base/errors.ts";
import { ErrorCode } from "../http2/frames.ts";
import type { Http2Stream, StreamReceiver } from "../http2/stream.ts";
import type { StreamCall, StreamHandler, StreamMethod } from "./call.ts";
import type { Deadline, Expiring } from "./deadlines.ts";
import { type CallHead, messagePrefix, metadataOf, refusalIn } from "./exchange.ts";
import { MessageReader, type MessageSink } from "./messageReader.ts";
import { errAnswerBacklog, errDeadlineExceeded, errTruncatedMessage } from "./refusals.ts";

export class StreamExchange implements StreamCall, StreamReceiver, MessageSink, Expiring {
  readonly #call: CallHead;
  readonly #stream: Http2Stream;
  readonly #reader: MessageReader;
  #handler: StreamHandler | undefined;
  #deadline: Deadline | undefined;
  #backlogged = false;
  // The answer side was closed, by the method or for it.
  #ended = false;
  #cancelled = false;

  constructor(call: CallHead, stream: Http2Stream) {
    this.#call = call;
    this.#stream = stream;
    this.#reader = new MessageReader(call.context.limits, call.isGzip);
    const { timeoutMs, context, stats, client } = call;
    stats.started++;
    client.calls++;
    if (timeoutMs !== undefined) this.#deadline = context.deadlines.add(timeoutMs, this);
  }

  /** Runs the method; `halfClosed` when the client has nothing to say. */
  start(method: StreamMethod, halfClosed: boolean): void {
    this.#guard(() => {
      this.#handler = method(this);
      if (halfClosed && !this.#ended) this.#handler.onHalfClose();
    });
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  get backlogBytes(): number {
    return this.#stream.backlogBytes;
  }

  metadata(name: string): string | undefined {
    return metadataOf(this.#call.head, name);
  }

  write(message: Uint8Array): boolean {
    if (this.#ended) return false;
    if (!this.#stream.write(messagePrefix(this.#call.context, message.length), message)) {
      this.#breakOff(errAnswerBacklog);
      return false;
    }
    const { context, stats } = this.#call;
    stats.sent++;
    context.stats.sentBytes += message.length;
    const limitBytes = this.#call.context.limits.streamBacklogBytesMax;
    if (this.#stream.backlogBytes <= limitBytes) return true;
    this.#backlogged = true;
    this.#stream.notifyBelow(limitBytes / 2);
    return false;
  }

  end(): void {
    if (!this.#claimEnd()) return;
    this.#call.stats.finish(StatusCode.ok);
    this.#stream.end();
    this.#boundReading();
  }

  fail(error: EtcdError): void {
    if (!this.#claimEnd()) return;
    this.#endWith(error);
    this.#boundReading();
  }

  onData(bytes: Buffer, from: number, to: number, ended: boolean): void {
    const refusal = this.#reader.push(bytes, from, to, { stream: this.#stream, sink: this });
    if (this.#ended) return;
    if (refusal !== undefined) this.#breakOff(refusal);
    else if (!ended) this.#admitMore();
    else if (!this.#reader.idle) this.#breakOff(errTruncatedMessage);
    else this.#guard(() => this.#handler?.onHalfClose());
  }

  onMessage(message: Buffer): boolean {
    const { context, stats } = this.#call;
    stats.received++;
    context.stats.receivedBytes += message.length;
    try {
      this.#handler?.onMessage(message);
    } catch (thrown) {
      this.#onThrown(thrown);
    }
    return !this.#ended;
  }

  onDrain(): void {
    this.#backlogged = false;
    this.#guard(() => this.#handler?.onDrain());
    this.#admitMore();
  }

  onAborted(): void {
    // An ending that still waited for the backlog needs no word: the method is done with it.
    if (this.#ended) return;
    this.#call.stats.finish(StatusCode.canceled);
    this.#cancel();
    this.#guard(() => this.#handler?.onCancel());
  }

  onDeadline(): void {
    this.#deadline = undefined;
    this.#stream.discardBacklog();
    this.#breakOff(errDeadlineExceeded);
  }

  // A client that does not take its answers gets no window for more requests.
  #admitMore(): void {
    if (this.#ended || this.#backlogged) return;
    const { haveBytes, missingBytes } = this.#reader;
    this.#stream.expect({ haveBytes, missingBytes });
  }

  // Ends the call for the method, which hears of it after the current call into or out of it.
  #breakOff(error: EtcdError): void {
    if (this.#ended) return;
    this.#cancel();
    this.#stream.discardBacklog();
    this.#endWith(error);
    queueMicrotask(() => this.#guard(() => this.#handler?.onCancel()));
  }

  #cancel(): void {
    this.#ended = true;
    this.#cancelled = true;
    this.#disarm();
  }

  #claimEnd(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.#disarm();
    return true;
  }

  #endWith(error: EtcdError): void {
    this.#call.stats.finish(error.code);
    this.#stream.endWith(this.#call.context.status.of(error), 200);
  }

  #guard(run: () => void): void {
    try {
      run();
    } catch (thrown) {
      this.#onThrown(thrown);
    }
  }

  #onThrown(thrown: unknown): void {
    const refusal = refusalIn(thrown);
    if (refusal !== undefined && !this.#ended) {
      this.#breakOff(refusal);
      return;
    }
    this.#cancel();
    this.#stream.reset(ErrorCode.internalError);
    this.#call.context.onMistake(thrown);
  }

  // What waits for its reader, who is gone by the deadline.
  #boundReading(): void {
    if (this.#stream.closed || this.#deadline === undefined) return;
    this.#stream.readByMs = this.#call.context.deadlines.dueMs(this.#deadline);
  }

  #disarm(): void {
    if (this.#deadline !== undefined) this.#call.context.deadlines.remove(this.#deadline);
  }
}
