// One HTTP/2 stream as the layer above sees it: an answer to write, windows to ask for.
// Fields without a doc comment belong to connection.ts and sender.ts.
import type { ByteQueue } from "./byteQueue.ts";
import { type ErrorCode, initialWindowBytes } from "./frames.ts";
import type { RequestHead } from "./requestHead.ts";

/** The layer above: judges a request by its head, once for many requests with the same head. */
export interface RequestHandler {
  route(head: RequestHead): Route;
}

export interface Route {
  /**
   * Starts one request. `ended`: no body follows.
   * @returns undefined only for a stream that it has answered.
   */
  open(stream: Http2Stream, ended: boolean): StreamReceiver | undefined;
}

/** The layer above, per stream. Nothing is called once the answer is complete. */
export interface StreamReceiver {
  /**
   * Body bytes `bytes[from, to)`, possibly none, valid only within the call.
   * With `ended` the request is complete. Otherwise `stream.expect` is to be called before return.
   */
  onData(bytes: Buffer, from: number, to: number, ended: boolean): void;
  /** The backlog fell to what `notifyBelow` asked for. */
  onDrain(): void;
  /** Reset by the peer, connection lost or shut down: nothing can be sent any more. */
  onAborted(): void;
}

/** A message of which a part has arrived; both are 0 between messages. */
export interface Unfinished {
  /** Kept in memory. */
  readonly haveBytes: number;
  /** Still to come. */
  readonly missingBytes: number;
}

/** What a stream needs of its connection. */
export interface StreamHost {
  /** Of an answer that waits. */
  readonly answerBytesMax: number;
  respond(stream: Http2Stream, prefix: Uint8Array, body: Uint8Array): boolean;
  respondInParts(stream: Http2Stream, prefix: Uint8Array, parts: readonly Uint8Array[]): boolean;
  write(stream: Http2Stream, prefix: Uint8Array, body: Uint8Array): boolean;
  begin(stream: Http2Stream, fields: Uint8Array): void;
  end(stream: Http2Stream, ending: Ending): void;
  reset(stream: Http2Stream, code: ErrorCode): void;
  discardBacklog(stream: Http2Stream): void;
  expect(stream: Http2Stream, unfinished: Unfinished): void;
  hold(stream: Http2Stream, bytes: number): boolean;
  settle(stream: Http2Stream): void;
}

/**
 * How an answer ends: the usual trailer, or literal fields, with `status` if no head was sent; plain:
 * nothing follows the body.
 */
export type Ending =
  | { readonly kind: "usual" }
  | { readonly kind: "plain" }
  | { readonly kind: "fields"; readonly status: number; readonly fields: Uint8Array };

export const usualEnding: Ending = { kind: "usual" };
export const plainEnding: Ending = { kind: "plain" };

export const Schedule = { none: 0, ready: 1, parked: 2 } as const;
export type Schedule = (typeof Schedule)[keyof typeof Schedule];

export class Http2Stream {
  readonly id: number;
  readonly #host: StreamHost;

  receiver: StreamReceiver | undefined;
  remoteEnded: boolean;
  receiveWindow = initialWindowBytes;
  lentBytes = 0;
  heldBytes = 0;
  waitsForLoan = false;

  /** Window relative to the peer's initial window, which may change under an open stream. */
  sendCredit = 0;
  headSent = false;
  queue: ByteQueue | undefined;
  ending: Ending | undefined;
  schedule: Schedule = Schedule.none;
  notifyAtBytes = -1;
  closed = false;
  /** Of a whole answer: for so long it got no window, and so much was left of it. */
  starvedMs = 0;
  starvedBytes = 0;
  /** By the server's clock: who has not read the whole answer by then will not. */
  readByMs = Number.POSITIVE_INFINITY;

  constructor(id: number, host: StreamHost, remoteEnded: boolean) {
    this.id = id;
    this.#host = host;
    this.remoteEnded = remoteEnded;
  }

  get answerBytesMax(): number {
    return this.#host.answerBytesMax;
  }

  /** Bytes written and not yet framed. */
  get backlogBytes(): number {
    return this.queue === undefined ? 0 : this.queue.length;
  }

  /**
   * The whole answer: status 200, one body of `prefix` and `body`, the usual trailer. Bytes are
   * copied. @returns false, with nothing sent, when the bound on queued bytes is reached.
   */
  respond(prefix: Uint8Array, body: Uint8Array): boolean {
    return this.closed || this.#host.respond(this, prefix, body);
  }

  /** As `respond`; `prefix` is copied, the parts of the body are kept until they are sent. */
  respondInParts(prefix: Uint8Array, parts: readonly Uint8Array[]): boolean {
    return this.closed || this.#host.respondInParts(this, prefix, parts);
  }

  /** A part of the answer; copies. @returns false as `respond` does. */
  write(prefix: Uint8Array, body: Uint8Array): boolean {
    return this.closed || this.#host.write(this, prefix, body);
  }

  /** A head of one's own, in place of the usual one; `fields` (see `literalFields`) begin with :status. */
  begin(fields: Uint8Array): void {
    if (!this.closed) this.#host.begin(this, fields);
  }

  /** Ends an answer with a head of its own, behind what is queued: no trailers. */
  finish(): void {
    if (!this.closed) this.#host.end(this, plainEnding);
  }

  /** Ends with the usual trailer, behind what is queued. */
  end(): void {
    if (!this.closed) this.#host.end(this, usualEnding);
  }

  /** Ends with `fields` (see `literalFields`); `status` counts only if nothing was sent before. */
  endWith(fields: Uint8Array, status: number): void {
    if (!this.closed) this.#host.end(this, { kind: "fields", status, fields });
  }

  /** Drops what waits, so that an ending goes out at once. */
  discardBacklog(): void {
    if (!this.closed) this.#host.discardBacklog(this);
  }

  reset(code: ErrorCode): void {
    if (!this.closed) this.#host.reset(this, code);
  }

  /** Asks for one `onDrain`, once no more than `bytes` wait. */
  notifyBelow(bytes: number): void {
    this.notifyAtBytes = bytes;
  }

  /** Opens the window as far as the message now being received needs it. */
  expect(unfinished: Unfinished): void {
    if (!this.closed) this.#host.expect(this, unfinished);
  }

  /** Counts bytes kept of an unfinished message. @returns false when the bound is reached. */
  hold(bytes: number): boolean {
    return this.closed || this.#host.hold(this, bytes);
  }

  /** The message is finished: what was held and lent for it is free again. */
  settle(): void {
    if (!this.closed) this.#host.settle(this);
  }
}
