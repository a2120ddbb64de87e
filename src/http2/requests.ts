// The receiving half of a connection: streams open, carry a body, get window, close.

import { ConnectionWindow, WindowLender } from "./flow.ts";
import {
  ConnectionFault,
  ErrorCode,
  Flag,
  type Frame,
  FrameType,
  initialWindowBytes,
  windowBytesMax,
} from "./frames.ts";
import { type Fragment, HeaderAssembly, stripPadding } from "./headerAssembly.ts";
import { HpackDecoder } from "./hpack.ts";
import { Allowance, type ByteBudget, type Http2Limits } from "./limits.ts";
import type { Output } from "./output.ts";
import { RequestHead, trailersFault } from "./requestHead.ts";
import type { Sender } from "./sender.ts";
import {
  type Ending,
  Http2Stream,
  type RequestHandler,
  type Route,
  type StreamHost,
  type Unfinished,
} from "./stream.ts";
import { ClosedBy, StreamTable } from "./streamTable.ts";

export interface RequestsParts {
  readonly out: Output;
  readonly sender: Sender;
  readonly handler: RequestHandler;
  readonly limits: Http2Limits;
  readonly held: ByteBudget;
  readonly idleFrames: Allowance;
  readonly onOutput: () => void;
}

/** Idle-frame tokens that one request buys: a client may ping and update windows as it works. */
const tokensPerRequest = 8;
const recentRequestsMax = 4;

interface RoutedRequest {
  readonly head: RequestHead;
  readonly route: Route;
}

const noRoute: Route = { open: () => undefined };

export class Requests implements StreamHost {
  readonly #parts: RequestsParts;
  readonly #streams = new StreamTable();
  readonly #decoder: HpackDecoder;
  readonly #assembly: HeaderAssembly;
  readonly #window: ConnectionWindow;
  readonly #lender: WindowLender;
  readonly #fragment: Fragment = { from: 0, to: 0 };
  /** Streams that end before their answer by the peer's doing. */
  readonly resets: Allowance;
  readonly #recent: RoutedRequest[] = [];
  #recentNext = 0;
  #request: RoutedRequest = { head: new RequestHead([]), route: noRoute };
  #refusing = false;

  constructor(parts: RequestsParts) {
    const { limits } = parts;
    this.#parts = parts;
    this.#decoder = new HpackDecoder({ listBytesMax: limits.headerListBytesMax });
    this.#assembly = new HeaderAssembly(limits);
    this.#window = new ConnectionWindow(limits.connectionWindowBytes);
    this.#lender = new WindowLender(limits.lentBytesPerConnectionMax, (stream, bytes) =>
      this.#announce(stream.id, bytes),
    );
    this.resets = new Allowance({
      burstMax: limits.resetsBurstMax,
      perSecMax: limits.resetsPerSecMax,
    });
  }

  get answerBytesMax(): number {
    return this.#parts.limits.queuedBytesPerConnectionMax;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** For GOAWAY. */
  get lastId(): number {
    return this.#streams.lastId;
  }

  openWindow(): void {
    const bytes = this.#window.openingBytes;
    if (bytes > 0) this.#announce(0, bytes);
  }

  /** From here on new streams are refused. */
  refuseNew(): void {
    this.#refusing = true;
  }

  /** Between HEADERS and END_HEADERS nothing but CONTINUATION of that stream may come. */
  checkAssembly(frame: Frame): void {
    const openId = this.#assembly.streamId;
    const continues = frame.type === FrameType.continuation;
    if (openId === 0 ? continues : !continues || frame.streamId !== openId) {
      throw new ConnectionFault(ErrorCode.protocolError, "CONTINUATION expected, or not expected");
    }
  }

  onHeaders(frame: Frame): void {
    if (frame.streamId % 2 === 0) throw idFault("HEADERS on a stream that is not the client's");
    stripPadding(frame, this.#fragment, true);
    const { from, to } = this.#fragment;
    if (!(frame.flags & Flag.endHeaders)) {
      this.#assembly.start(frame, this.#fragment);
      return;
    }
    if (to - from > this.#parts.limits.headerBlockBytesMax) {
      throw new ConnectionFault(ErrorCode.enhanceYourCalm, "header block too large");
    }
    const inList = this.#decoder.decode(frame.bytes, from, to);
    this.#onBlock(frame.streamId, inList, (frame.flags & Flag.endStream) !== 0);
  }

  onContinuation(frame: Frame): void {
    const id = this.#assembly.streamId;
    const block = this.#assembly.append(frame);
    if (block === undefined) return;
    const inList = this.#decoder.decode(block, 0, block.length);
    this.#onBlock(id, inList, this.#assembly.ended);
  }

  onData(frame: Frame): void {
    const { streamId } = frame;
    if (streamId === 0) throw idFault("DATA on the connection");
    const length = frame.to - frame.from;
    if (!this.#window.take(length)) {
      throw new ConnectionFault(ErrorCode.flowControlError, "DATA beyond the connection window");
    }
    stripPadding(frame, this.#fragment, false);
    const ended = (frame.flags & Flag.endStream) !== 0;
    if (this.#fragment.from === this.#fragment.to && !ended) this.#countIdle(1);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) this.#onLateFrame(streamId, "DATA");
    else this.#onBody(stream, frame, length, ended);
    if (this.#window.isLow) this.#parts.onOutput();
  }

  /** Once per turn: the connection's window is given back in one piece. */
  giveWindow(): void {
    const increment = this.#window.giveBack();
    if (increment > 0) this.#parts.out.windowUpdate(0, increment);
  }

  onWindowUpdate(frame: Frame): void {
    if (frame.to - frame.from !== 4) throw sizeFault("WINDOW_UPDATE is not 4 bytes long");
    this.#countIdle(1);
    const increment = frame.bytes.readUInt32BE(frame.from) & windowBytesMax;
    const { streamId } = frame;
    if (streamId === 0) {
      if (increment === 0) throw idFault("WINDOW_UPDATE of 0");
      this.#parts.sender.onConnectionWindow(increment);
      return;
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) this.#requireUsed(streamId, "WINDOW_UPDATE");
    else if (increment === 0) this.#breach(stream, ErrorCode.protocolError);
    else if (!this.#parts.sender.onStreamWindow(stream, increment)) {
      this.#breach(stream, ErrorCode.flowControlError);
    }
  }

  onReset(frame: Frame): void {
    if (frame.to - frame.from !== 4) throw sizeFault("RST_STREAM is not 4 bytes long");
    if (frame.streamId === 0) throw idFault("RST_STREAM on the connection");
    const stream = this.#streams.get(frame.streamId);
    if (stream === undefined) {
      this.#requireUsed(frame.streamId, "RST_STREAM");
      this.#countIdle(1);
      return;
    }
    this.#countReset();
    this.#abort(stream, ClosedBy.peerReset);
  }

  onPriority(frame: Frame): void {
    if (frame.streamId === 0) throw idFault("PRIORITY on the connection");
    this.#countIdle(1);
    if (frame.to - frame.from === 5) return;
    const stream = this.#streams.get(frame.streamId);
    if (stream === undefined) throw sizeFault("PRIORITY is not 5 bytes long");
    this.#breach(stream, ErrorCode.frameSizeError);
  }

  onInitialWindow(bytes: number): void {
    this.#parts.sender.onInitialWindow(bytes, this.#streams.all());
  }

  /** The answer is complete. A request that is still being sent is stopped, without blame. */
  onAnswered(stream: Http2Stream): void {
    if (stream.remoteEnded) {
      this.#close(stream, ClosedBy.ends);
    } else {
      this.#parts.out.rstStream(stream.id, ErrorCode.noError);
      this.#close(stream, ClosedBy.ourReset);
    }
  }

  /** About once per second: what nobody reads does not keep its memory. */
  dropUnread(nowMs: number, elapsedMs: number): void {
    for (const { stream, code } of this.#parts.sender.unread(nowMs, elapsedMs)) {
      this.#sendReset(stream.id, code);
      this.#abort(stream, ClosedBy.ourReset);
    }
  }

  abortAll(): void {
    for (const stream of [...this.#streams.all()]) this.#abort(stream, ClosedBy.ourReset);
  }

  respond(stream: Http2Stream, prefix: Uint8Array, body: Uint8Array): boolean {
    return this.#parts.sender.respond(stream, prefix, body);
  }

  respondInParts(stream: Http2Stream, prefix: Uint8Array, parts: readonly Uint8Array[]): boolean {
    return this.#parts.sender.respondInParts(stream, prefix, parts);
  }

  write(stream: Http2Stream, prefix: Uint8Array, body: Uint8Array): boolean {
    return this.#parts.sender.write(stream, prefix, body);
  }

  begin(stream: Http2Stream, fields: Uint8Array): void {
    this.#parts.sender.begin(stream, fields);
  }

  end(stream: Http2Stream, ending: Ending): void {
    this.#parts.sender.end(stream, ending);
  }

  reset(stream: Http2Stream, code: ErrorCode): void {
    this.#sendReset(stream.id, code);
    this.#close(stream, ClosedBy.ourReset);
  }

  discardBacklog(stream: Http2Stream): void {
    this.#parts.sender.discard(stream);
  }

  expect(stream: Http2Stream, { haveBytes, missingBytes }: Unfinished): void {
    if (stream.remoteEnded) return;
    // Without a loan, what is kept and what may come stay within the initial window.
    const increment = Math.max(0, initialWindowBytes - haveBytes) - stream.receiveWindow;
    if (increment * 2 >= initialWindowBytes) {
      stream.receiveWindow += increment;
      this.#announce(stream.id, increment);
    }
    const lacking = missingBytes - stream.receiveWindow;
    if (lacking > 0 && !stream.waitsForLoan) this.#lender.request(stream, lacking);
  }

  settle(stream: Http2Stream): void {
    if (stream.lentBytes > 0) this.#lender.release(stream);
    if (stream.heldBytes === 0) return;
    this.#parts.held.give(stream.heldBytes);
    stream.heldBytes = 0;
  }

  hold(stream: Http2Stream, bytes: number): boolean {
    if (!this.#parts.held.take(bytes)) return false;
    stream.heldBytes += bytes;
    return true;
  }

  #onBlock(id: number, inList: boolean, ended: boolean): void {
    const stream = this.#streams.get(id);
    if (stream !== undefined) this.#onTrailers(stream, inList, ended);
    else if (id <= this.#streams.lastId) this.#onLateFrame(id, "HEADERS");
    else this.#onRequest(id, inList, ended);
  }

  #onRequest(id: number, inList: boolean, ended: boolean): void {
    this.#streams.lastId = id;
    const refusal = this.#refusalOf(inList);
    if (refusal !== undefined) {
      this.#countReset();
      this.#sendReset(id, refusal);
      this.#streams.close(id, ClosedBy.ourReset);
      return;
    }
    this.#parts.idleFrames.earn(tokensPerRequest);
    const stream = new Http2Stream(id, this, ended);
    this.#streams.add(stream);
    const receiver = this.#request.route.open(stream, ended);
    if (!stream.closed) stream.receiver = receiver;
  }

  // Makes `#request` that of the block just decoded, unless refused.
  #refusalOf(inList: boolean): ErrorCode | undefined {
    const full = this.#streams.size >= this.#parts.limits.streamsPerConnectionMax;
    if (full || this.#refusing) return ErrorCode.refusedStream;
    if (!inList) return ErrorCode.enhanceYourCalm;
    this.#request = this.#knownRequest() ?? this.#newRequest();
    return this.#request.head.fault === undefined ? undefined : ErrorCode.protocolError;
  }

  // A client repeats few header lists: those of the last requests keep their head and route.
  #knownRequest(): RoutedRequest | undefined {
    const { fields, count } = this.#decoder;
    if (this.#request.head.isOf(fields, count)) return this.#request;
    return this.#recent.find(({ head }) => head.isOf(fields, count));
  }

  #newRequest(): RoutedRequest {
    const { fields, count } = this.#decoder;
    const head = new RequestHead(fields.slice(0, count));
    const route = head.fault === undefined ? this.#parts.handler.route(head) : noRoute;
    const request = { head, route };
    if (this.#recent.length < recentRequestsMax) this.#recent.push(request);
    else this.#recent[this.#recentNext] = request;
    this.#recentNext = (this.#recentNext + 1) % recentRequestsMax;
    return request;
  }

  #onTrailers(stream: Http2Stream, inList: boolean, ended: boolean): void {
    const breach = this.#trailersBreach(stream, inList, ended);
    if (breach !== undefined) {
      this.#breach(stream, breach);
      return;
    }
    stream.remoteEnded = true;
    stream.receiver?.onData(noBytes, 0, 0, true);
  }

  #trailersBreach(stream: Http2Stream, inList: boolean, ended: boolean): ErrorCode | undefined {
    if (stream.remoteEnded) return ErrorCode.streamClosed;
    if (!inList) return ErrorCode.enhanceYourCalm;
    const fault = trailersFault(this.#decoder.fields, this.#decoder.count);
    return ended && fault === undefined ? undefined : ErrorCode.protocolError;
  }

  #onBody(stream: Http2Stream, frame: Frame, length: number, ended: boolean): void {
    stream.receiveWindow -= length;
    if (stream.remoteEnded || stream.receiveWindow < 0) {
      const { streamClosed, flowControlError } = ErrorCode;
      this.#breach(stream, stream.remoteEnded ? streamClosed : flowControlError);
      return;
    }
    if (ended) stream.remoteEnded = true;
    stream.receiver?.onData(frame.bytes, this.#fragment.from, this.#fragment.to, ended);
  }

  // RFC 9113, 5.1: what a frame for a closed stream means depends on how it was closed.
  #onLateFrame(id: number, name: string): void {
    this.#requireUsed(id, name);
    const by = this.#streams.closedBy(id);
    if (by === ClosedBy.ourReset) {
      this.#countIdle(1);
    } else if (by === ClosedBy.peerReset || name === "DATA") {
      this.#countReset();
      this.#sendReset(id, ErrorCode.streamClosed);
    } else if (by === ClosedBy.ends) {
      throw new ConnectionFault(ErrorCode.streamClosed, `${name} on closed stream ${id}`);
    } else {
      throw idFault(`${name} on stream ${id}, which is not open`);
    }
  }

  #requireUsed(id: number, name: string): void {
    if (id % 2 === 1 && id <= this.#streams.lastId) return;
    throw idFault(`${name} on idle stream ${id}`);
  }

  // The peer broke a rule on one stream: only that stream pays.
  #breach(stream: Http2Stream, code: ErrorCode): void {
    this.#countReset();
    this.#sendReset(stream.id, code);
    this.#abort(stream, ClosedBy.ourReset);
  }

  #abort(stream: Http2Stream, by: ClosedBy): void {
    const { receiver } = stream;
    this.#close(stream, by);
    receiver?.onAborted();
  }

  #close(stream: Http2Stream, by: ClosedBy): void {
    stream.closed = true;
    stream.receiver = undefined;
    this.#streams.close(stream.id, by);
    this.settle(stream);
    if (stream.waitsForLoan) this.#lender.release(stream);
    this.#parts.sender.discard(stream);
    // The last stream of a draining connection closes it, by the flush that this asks for.
    if (this.#refusing) this.#parts.onOutput();
  }

  #sendReset(id: number, code: ErrorCode): void {
    this.#parts.out.rstStream(id, code);
    this.#parts.onOutput();
  }

  #announce(id: number, increment: number): void {
    this.#parts.out.windowUpdate(id, increment);
    this.#parts.onOutput();
  }

  #countIdle(cost: number): void {
    if (this.#parts.idleFrames.take(cost)) return;
    throw new ConnectionFault(ErrorCode.enhanceYourCalm, "too many frames without work");
  }

  #countReset(): void {
    if (this.resets.take(1)) return;
    throw new ConnectionFault(ErrorCode.enhanceYourCalm, "too many streams reset");
  }
}

const noBytes = Buffer.alloc(0);

const idFault = (reason: string): ConnectionFault =>
  new ConnectionFault(ErrorCode.protocolError, reason);

const sizeFault = (reason: string): ConnectionFault =>
  new ConnectionFault(ErrorCode.frameSizeError, reason);
