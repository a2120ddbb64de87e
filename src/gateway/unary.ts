// One unary call that came as JSON: decoded to the message that gRPC would have carried, answered by
// the same method.
import { totalBytes } from "../base/bytes.ts";
import { EtcdError, errAnswerTooLarge, errMessageTooLarge, StatusCode } from "../base/errors.ts";
import { type UnaryCall, type UnaryMethod, wholeBytesMax } from "../grpc/call.ts";
import type { Deadline, Expiring } from "../grpc/deadlines.ts";
import type { MethodStats } from "../grpc/stats.ts";
import type { MessageDescriptor, MethodDescriptor } from "../proto/descriptors.ts";
import type { CallEnvironment } from "./environment.ts";
import { answerFields, GatewayMetadata, type HttpReply, type HttpRequest } from "./exchange.ts";
import { JsonParts, jsonMessageBytesMax, writeJson } from "./jsonWriter.ts";
import { PartsAnswer } from "./partsAnswer.ts";
import { errDeadlineExceeded, refuse } from "./refusals.ts";

/** What one call needs of its request. */
export interface CallParts {
  readonly request: HttpRequest;
  readonly reply: HttpReply;
  readonly messages: MethodDescriptor;
  readonly environment: CallEnvironment;
  readonly stats: MethodStats;
  /** Undefined: none. */
  readonly timeoutMs: number | undefined;
  readonly utf8: boolean;
}

const noBytes = new Uint8Array(0);

export function callUnary(method: UnaryMethod, parts: CallParts, body: Buffer): void {
  const { environment, reply, messages, stats, utf8 } = parts;
  let message: Uint8Array;
  try {
    message = environment.reader(utf8).read(body, messages.request)?.bytes ?? noBytes;
  } catch (refusal) {
    if (!(refusal instanceof EtcdError)) throw refusal;
    stats.finish(refusal.code);
    refuse(reply, refusal);
    return;
  }
  const { messageBytesMax } = environment.limits;
  if (message.length > messageBytesMax) {
    const refusal = errMessageTooLarge(message.length, messageBytesMax);
    stats.finish(refusal.code);
    refuse(reply, refusal);
    return;
  }
  stats.received++;
  environment.stats.receivedBytes += message.length;
  new JsonUnaryCall(parts).run(method, message);
}

class JsonUnaryCall extends GatewayMetadata implements UnaryCall, Expiring {
  readonly #reply: HttpReply;
  readonly #response: MessageDescriptor;
  readonly #environment: CallEnvironment;
  readonly #stats: MethodStats;
  readonly #utf8: boolean;
  #deadline: Deadline | undefined;
  #onCancel: (() => void) | undefined;

  constructor({ request, reply, messages, environment, stats, timeoutMs, utf8 }: CallParts) {
    super(request);
    this.#reply = reply;
    this.#response = messages.response;
    this.#environment = environment;
    this.#stats = stats;
    this.#utf8 = utf8;
    if (timeoutMs !== undefined) this.#deadline = environment.deadlines.add(timeoutMs, this);
  }

  get answerBytesMax(): number {
    return this.#environment.limits.answerBytesMax;
  }

  get cancelled(): boolean {
    return this.#reply.isOver;
  }

  onCancel(listener: () => void): void {
    if (this.#reply.isOver) return;
    this.#onCancel = listener;
    this.#reply.listen({ onDrain: () => {}, onClose: () => this.#onClose() });
  }

  run(method: UnaryMethod, message: Uint8Array): void {
    try {
      method(this, message);
    } catch (thrown) {
      if (thrown instanceof EtcdError) this.fail(thrown);
      else {
        this.#reply.abort();
        this.#environment.onMistake(thrown);
      }
    }
  }

  respond(message: Uint8Array): void {
    this.#disarm();
    if (this.#reply.isOver) return;
    if (message.length > jsonMessageBytesMax) {
      this.#refuse(errAnswerTooLarge(message.length, jsonMessageBytesMax));
      return;
    }
    this.#countAnswer(message.length);
    this.#reply.whole(200, answerFields, writeJson(message, this.#response, { utf8: this.#utf8 }));
  }

  respondInParts(parts: readonly Uint8Array[]): void {
    const length = totalBytes(parts);
    if (length < wholeBytesMax) {
      this.respond(Buffer.concat(parts));
      return;
    }
    this.#disarm();
    if (this.#reply.isOver) return;
    this.#countAnswer(length);
    const { deadlines, limits } = this.#environment;
    const json = new JsonParts(this.#response, { utf8: this.#utf8 });
    const stallMsMax = limits.answerStallMsMax;
    new PartsAnswer({ reply: this.#reply, json, message: parts, deadlines, stallMsMax }).start();
  }

  fail(error: EtcdError): void {
    this.#disarm();
    this.#refuse(error);
  }

  onDeadline(): void {
    const listener = this.#onCancel;
    this.#disarm();
    this.#refuse(errDeadlineExceeded);
    listener?.();
  }

  #countAnswer(bytes: number): void {
    this.#stats.sent++;
    this.#stats.finish(StatusCode.ok);
    this.#environment.stats.sentBytes += bytes;
  }

  #onClose(): void {
    const listener = this.#onCancel;
    if (listener === undefined) return;
    this.#disarm();
    this.#stats.finish(StatusCode.canceled);
    listener();
  }

  #refuse(error: EtcdError): void {
    if (this.#reply.isOver) return;
    this.#stats.finish(error.code);
    refuse(this.#reply, error);
  }

  /** Nothing from outside ends the call any more. */
  #disarm(): void {
    this.#onCancel = undefined;
    if (this.#deadline === undefined) return;
    this.#environment.deadlines.remove(this.#deadline);
    this.#deadline = undefined;
  }
}
