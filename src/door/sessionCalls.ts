// One call or stream of a client that talks in batches, as its method sees it.
import type { EtcdError } from "../base/errors.ts";
import type { StreamCall, StreamHandler, StreamMethod, UnaryCall } from "../grpc/call.ts";
import { errAnswerBacklog } from "../grpc/refusals.ts";
import { messageCostBytes, type OpenHead, StreamFlag } from "../transport/callBatch.ts";

/** What calls and streams need of their session. */
export interface CallOwner {
  readonly answerBytesMax: number;
  nowMs(): number;
  header(name: string): string | undefined;
  onAnswered(id: number, message: Uint8Array): void;
  onAnsweredInParts(id: number, parts: readonly Uint8Array[]): void;
  onFailed(id: number, error: EtcdError): void;
  onStreamMessage(id: number, message: Uint8Array): void;
  onStreamEnded(id: number): void;
  /** Runs a method's code; what it throws ends the stream or is a mistake. */
  guard(stream: SessionStream | undefined, run: () => void): void;
}

export class SessionCall implements UnaryCall {
  readonly #owner: CallOwner;
  readonly #id: number;
  readonly #deadlineMs: number;
  #ended = false;
  #onCancel: (() => void) | undefined;

  constructor(owner: CallOwner, { id, deadlineMs }: { id: number; deadlineMs: number }) {
    this.#owner = owner;
    this.#id = id;
    this.#deadlineMs = deadlineMs;
  }

  get answerBytesMax(): number {
    return this.#owner.answerBytesMax;
  }

  get cancelled(): boolean {
    return this.#ended || this.#owner.nowMs() >= this.#deadlineMs;
  }

  /** A deadline alone is kept by the client, which cancels. */
  onCancel(listener: () => void): void {
    if (!this.cancelled) this.#onCancel = listener;
  }

  metadata(name: string): string | undefined {
    return this.#owner.header(name);
  }

  respond(message: Uint8Array): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#owner.onAnswered(this.#id, message);
  }

  respondInParts(parts: readonly Uint8Array[]): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#owner.onAnsweredInParts(this.#id, parts);
  }

  fail(error: EtcdError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#owner.onFailed(this.#id, error);
  }

  cancel(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onCancel?.();
  }
}

/**
 * A stream lives on credit: each message takes its cost, the client gives more as it reads. Without
 * credit the method is told to stop; what it says nevertheless is sent, down to a bound.
 */
export class SessionStream implements StreamCall {
  readonly id: number;
  readonly #owner: CallOwner;
  readonly #requiresLeader: boolean;
  readonly #overdraftBytesMax: number;
  readonly #creditBytesMax: number;
  #handler: StreamHandler | undefined;
  #creditBytes: number;
  #stalled = false;
  #ended = false;

  constructor(
    owner: CallOwner,
    head: OpenHead,
    limits: { readonly overdraftBytesMax: number; readonly creditBytesMax: number },
  ) {
    this.id = head.id;
    this.#owner = owner;
    this.#requiresLeader = (head.flags & StreamFlag.requiresLeader) !== 0;
    this.#creditBytes = head.creditBytes;
    this.#creditBytesMax = limits.creditBytesMax;
    this.#overdraftBytesMax = limits.overdraftBytesMax;
  }

  start(method: StreamMethod): void {
    this.#handler = method(this);
  }

  get cancelled(): boolean {
    return this.#ended;
  }

  get backlogBytes(): number {
    return Math.max(0, -this.#creditBytes);
  }

  metadata(name: string): string | undefined {
    if (name === "hasleader" && this.#requiresLeader) return "true";
    return this.#owner.header(name);
  }

  write(message: Uint8Array): boolean {
    if (this.#ended) return false;
    this.#creditBytes -= messageCostBytes(message);
    if (-this.#creditBytes > this.#overdraftBytesMax) {
      this.breakOff(errAnswerBacklog);
      return false;
    }
    this.#owner.onStreamMessage(this.id, message);
    if (this.#creditBytes > 0) return true;
    this.#stalled = true;
    return false;
  }

  end(): void {
    if (this.#finish()) this.#owner.onStreamEnded(this.id);
  }

  fail(error: EtcdError): void {
    if (this.#finish()) this.#owner.onFailed(this.id, error);
  }

  /** Ends the stream for a method that is in the middle of something: it hears of it after. */
  breakOff(error: EtcdError): void {
    if (!this.#finish()) return;
    this.#owner.onFailed(this.id, error);
    queueMicrotask(() => this.#run((handler) => handler.onCancel()));
  }

  onMessage(message: Uint8Array): void {
    if (!this.#ended) this.#run((handler) => handler.onMessage(message));
  }

  onHalfClose(): void {
    if (!this.#ended) this.#run((handler) => handler.onHalfClose());
  }

  /** @returns false for more than a client may give. */
  onCredit(bytes: number): boolean {
    this.#creditBytes += bytes;
    if (this.#creditBytes > this.#creditBytesMax) return false;
    if (this.#stalled && this.#creditBytes > 0) {
      this.#stalled = false;
      this.#run((handler) => handler.onDrain());
    }
    return true;
  }

  /** Ended from outside. */
  cancel(): void {
    if (this.#finish()) this.#run((handler) => handler.onCancel());
  }

  #run(call: (handler: StreamHandler) => void): void {
    const handler = this.#handler;
    if (handler !== undefined) this.#owner.guard(this, () => call(handler));
  }

  #finish(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    return true;
  }
}
