// The sending half of a connection: answers become frames as far as the peer's windows and the
// socket allow; what must wait is queued by stream and sent in turns.
import { totalBytes } from "../base/bytes.ts";
import { ByteQueue } from "./byteQueue.ts";
import { Fifo } from "./fifo.ts";
import {
  ConnectionFault,
  ErrorCode,
  Flag,
  FrameType,
  frameHeaderBytes,
  framePayloadBytesMax,
  initialWindowBytes,
  windowBytesMax,
} from "./frames.ts";
import type { Allowance, ByteBudget, Http2Limits } from "./limits.ts";
import { type Output, writeFrameHeader } from "./output.ts";
import type { ResponseBlocks } from "./responseBlocks.ts";
import { type Ending, type Http2Stream, Schedule } from "./stream.ts";

/** Idle-frame tokens for each DATA frame: its receiver may answer by window updates and a ping. */
const tokensPerDataFrame = 4;

export interface SenderHost {
  /** The last frame of the answer is in the output. */
  onAnswered(stream: Http2Stream): void;
  /** There is output, or data that may now become output. */
  onOutput(): void;
}

/** Why the rest of an answer is dropped, which nobody reads. */
export interface Unread {
  readonly stream: Http2Stream;
  readonly code: ErrorCode;
}

export class Sender {
  readonly #out: Output;
  readonly #blocks: ResponseBlocks;
  readonly #host: SenderHost;
  readonly #limits: Http2Limits;
  readonly #queued: ByteBudget;
  readonly #idleFrames: Allowance;
  readonly #ready = new Fifo<Http2Stream>();
  readonly #parked = new Set<Http2Stream>();
  #drained: Http2Stream[] = [];
  #window = initialWindowBytes;
  #initialWindow = initialWindowBytes;
  // Upper bound of the credit of any open stream.
  #creditPeak = 0;
  /** Bytes the socket has not taken yet; set by the connection. */
  unsentBytes = 0;

  constructor(parts: {
    readonly out: Output;
    readonly blocks: ResponseBlocks;
    readonly host: SenderHost;
    readonly limits: Http2Limits;
    readonly queued: ByteBudget;
    readonly idleFrames: Allowance;
  }) {
    this.#out = parts.out;
    this.#blocks = parts.blocks;
    this.#host = parts.host;
    this.#limits = parts.limits;
    this.#queued = parts.queued;
    this.#idleFrames = parts.idleFrames;
  }

  /** True when `pump` could frame more at once. */
  get hasWork(): boolean {
    return this.#ready.length > 0 && this.#window > 0;
  }

  respond(stream: Http2Stream, prefix: Uint8Array, body: Uint8Array): boolean {
    if (!stream.headSent && this.#mayGoAtOnce(stream, prefix.length + body.length)) {
      this.#respondAtOnce(stream, prefix, body);
      return true;
    }
    if (!this.write(stream, prefix, body)) return false;
    this.end(stream, { kind: "usual" });
    return true;
  }

  /** Never at once: that much is for the turns to come. */
  respondInParts(stream: Http2Stream, prefix: Uint8Array, parts: readonly Uint8Array[]): boolean {
    const length = prefix.length + totalBytes(parts);
    if (!this.#queued.take(length)) return false;
    this.#sendHead(stream);
    const queue = this.#queueOf(stream);
    queue.push(prefix);
    for (const part of parts) queue.pushOwned(part);
    if (stream.schedule === Schedule.none) this.#schedule(stream);
    this.end(stream, { kind: "usual" });
    return true;
  }

  write(stream: Http2Stream, prefix: Uint8Array, body: Uint8Array): boolean {
    const length = prefix.length + body.length;
    if (this.#mayGoAtOnce(stream, length)) {
      this.#sendHead(stream);
      const at = this.#out.begin(FrameType.data, 0, stream.id, length);
      this.#out.chunk.set(prefix, at);
      this.#out.chunk.set(body, at + prefix.length);
      this.#spend(stream, length);
    } else {
      if (!this.#queued.take(length)) return false;
      this.#sendHead(stream);
      this.#enqueue(stream, prefix, body);
    }
    this.#host.onOutput();
    return true;
  }

  /** Sends a head that is not the usual one. */
  begin(stream: Http2Stream, fields: Uint8Array): void {
    stream.headSent = true;
    const block = this.#blocks.trailersWith(fields);
    this.#out.frame(FrameType.headers, Flag.endHeaders, stream.id, block);
    this.#host.onOutput();
  }

  end(stream: Http2Stream, ending: Ending): void {
    stream.ending = ending;
    if (stream.backlogBytes === 0) this.#finish(stream, ending);
    this.#host.onOutput();
  }

  /** Drops the queue of a stream; it must end or be closed now. */
  discard(stream: Http2Stream): void {
    if (stream.queue === undefined) return;
    this.#queued.give(stream.queue.length);
    stream.queue.clear();
    this.#parked.delete(stream);
  }

  /** @throws {ConnectionFault} beyond 2^31-1. */
  onConnectionWindow(increment: number): void {
    this.#window += increment;
    if (this.#window > windowBytesMax) {
      throw new ConnectionFault(ErrorCode.flowControlError, "connection window beyond 2^31-1");
    }
    if (this.#ready.length > 0) this.#host.onOutput();
  }

  /** @returns false beyond 2^31-1: the stream is to be reset. */
  onStreamWindow(stream: Http2Stream, increment: number): boolean {
    stream.sendCredit += increment;
    if (this.#initialWindow + stream.sendCredit > windowBytesMax) return false;
    if (stream.sendCredit > this.#creditPeak) this.#creditPeak = stream.sendCredit;
    if (stream.schedule === Schedule.parked) this.#unpark(stream);
    return true;
  }

  /**
   * The peer's initial window moves the window of every open stream, possibly below zero.
   * @throws {ConnectionFault} when one would pass 2^31-1 (RFC 9113, 6.9.2).
   */
  onInitialWindow(bytes: number, open: Iterable<Http2Stream>): void {
    const grown = bytes > this.#initialWindow;
    this.#initialWindow = bytes;
    if (bytes + this.#creditPeak > windowBytesMax) this.#measureCredit(open);
    if (grown) for (const stream of [...this.#parked]) this.#unpark(stream);
  }

  onTableSize(bytes: number): void {
    this.#blocks.onTableSize(bytes);
  }

  /** Frames what waits, a frame per stream and turn, up to the bound of the output. */
  pump(): void {
    while (this.#window > 0 && this.#out.bytes + this.unsentBytes < this.#limits.outputBytesHigh) {
      const stream = this.#ready.shift();
      if (stream === undefined) break;
      if (!stream.closed) this.#sendPart(stream);
    }
    if (this.#drained.length > 0) this.#tellDrained();
  }

  /** Whole answers that were not read in time, or for whose rest there was no window for too long. */
  unread(nowMs: number, elapsedMs: number): readonly Unread[] {
    const unread: Unread[] = [];
    const look = (stream: Http2Stream, isStarved: boolean): void => {
      if (stream.closed || stream.ending === undefined) return;
      const hasMoved = !isStarved || stream.backlogBytes !== stream.starvedBytes;
      stream.starvedMs = hasMoved ? 0 : stream.starvedMs + elapsedMs;
      stream.starvedBytes = stream.backlogBytes;
      if (nowMs >= stream.readByMs) unread.push({ stream, code: ErrorCode.cancel });
      else if (stream.starvedMs > this.#limits.answerStallMsMax)
        unread.push({ stream, code: ErrorCode.enhanceYourCalm });
    };
    for (const stream of this.#parked) look(stream, true);
    // A socket that takes nothing has a bound of its own.
    this.#ready.visit((stream) => look(stream, this.#window <= 0));
    return unread;
  }

  #mayGoAtOnce(stream: Http2Stream, length: number): boolean {
    return (
      length <= framePayloadBytesMax &&
      length <= this.#window &&
      length <= this.#initialWindow + stream.sendCredit &&
      // Queued data of other streams is not overtaken for ever: all take turns once any waits.
      this.#ready.length === 0 &&
      stream.backlogBytes === 0 &&
      this.#out.bytes + this.unsentBytes < this.#limits.outputBytesHigh
    );
  }

  // The common answer: three frames by one reservation.
  #respondAtOnce(stream: Http2Stream, prefix: Uint8Array, body: Uint8Array): void {
    const { id } = stream;
    const head = this.#blocks.head();
    const trailers = this.#blocks.trailers();
    const length = prefix.length + body.length;
    const total = 3 * frameHeaderBytes + head.length + length + trailers.length;
    let at = this.#out.reserve(total);
    const chunk = this.#out.chunk;
    at = writeFrameHeader(chunk, at, FrameType.headers, Flag.endHeaders, id, head.length);
    chunk.set(head, at);
    at = writeFrameHeader(chunk, at + head.length, FrameType.data, 0, id, length);
    chunk.set(prefix, at);
    chunk.set(body, at + prefix.length);
    at = writeFrameHeader(chunk, at + length, FrameType.headers, lastFlags, id, trailers.length);
    chunk.set(trailers, at);
    this.#spend(stream, length);
    this.#host.onAnswered(stream);
    this.#host.onOutput();
  }

  #sendHead(stream: Http2Stream): void {
    if (stream.headSent) return;
    stream.headSent = true;
    this.#out.frame(FrameType.headers, Flag.endHeaders, stream.id, this.#blocks.head());
  }

  #spend(stream: Http2Stream, length: number): void {
    this.#window -= length;
    stream.sendCredit -= length;
    this.#idleFrames.earn(tokensPerDataFrame);
  }

  #enqueue(stream: Http2Stream, prefix: Uint8Array, body: Uint8Array): void {
    const queue = this.#queueOf(stream);
    queue.push(prefix);
    queue.push(body);
    if (stream.schedule === Schedule.none) this.#schedule(stream);
  }

  #queueOf(stream: Http2Stream): ByteQueue {
    stream.queue ??= new ByteQueue();
    return stream.queue;
  }

  #schedule(stream: Http2Stream): void {
    if (this.#initialWindow + stream.sendCredit > 0) {
      stream.schedule = Schedule.ready;
      this.#ready.push(stream);
    } else {
      stream.schedule = Schedule.parked;
      this.#parked.add(stream);
    }
  }

  #unpark(stream: Http2Stream): void {
    if (this.#initialWindow + stream.sendCredit <= 0) return;
    this.#parked.delete(stream);
    this.#schedule(stream);
    this.#host.onOutput();
  }

  #sendPart(stream: Http2Stream): void {
    const queue = stream.queue;
    stream.schedule = Schedule.none;
    if (queue === undefined) return;
    const streamWindow = this.#initialWindow + stream.sendCredit;
    const length = Math.min(queue.length, framePayloadBytesMax, this.#window, streamWindow);
    if (length > 0) {
      const at = this.#out.begin(FrameType.data, 0, stream.id, length);
      queue.moveTo(this.#out.chunk, at, length);
      this.#queued.give(length);
      this.#spend(stream, length);
    }
    if (queue.length <= stream.notifyAtBytes) this.#drained.push(stream);
    if (queue.length > 0) this.#schedule(stream);
    else if (stream.ending !== undefined) this.#finish(stream, stream.ending);
  }

  #finish(stream: Http2Stream, ending: Ending): void {
    if (ending.kind === "plain") {
      this.#out.begin(FrameType.data, Flag.endStream, stream.id, 0);
      this.#host.onAnswered(stream);
      return;
    }
    const usual = ending.kind === "usual";
    if (usual) this.#sendHead(stream);
    const block = usual ? this.#blocks.trailers() : this.#lastBlock(stream, ending);
    this.#out.frame(FrameType.headers, lastFlags, stream.id, block);
    this.#host.onAnswered(stream);
  }

  #lastBlock(stream: Http2Stream, ending: Ending & { readonly kind: "fields" }): Uint8Array {
    return stream.headSent
      ? this.#blocks.trailersWith(ending.fields)
      : this.#blocks.headWith(ending.status, ending.fields);
  }

  // Told after the turn, as the receiver may write again.
  #tellDrained(): void {
    const drained = this.#drained;
    this.#drained = [];
    for (const stream of drained) {
      if (stream.closed || stream.ending !== undefined || stream.notifyAtBytes < 0) continue;
      stream.notifyAtBytes = -1;
      stream.receiver?.onDrain();
    }
  }

  #measureCredit(open: Iterable<Http2Stream>): void {
    let peak = 0;
    for (const stream of open) peak = Math.max(peak, stream.sendCredit);
    this.#creditPeak = peak;
    if (this.#initialWindow + peak > windowBytesMax) {
      throw new ConnectionFault(ErrorCode.flowControlError, "initial window beyond 2^31-1");
    }
  }
}

const lastFlags = Flag.endHeaders | Flag.endStream;
