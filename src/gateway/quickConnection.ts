// One connection whose requests are plain: short calls, one after the other. The first request that is
// not plain goes to node:http, and so does all that follows it on the connection.
//
//   socket ──▶ rest ──▶ head, body ──▶ gateway.handle ──▶ QuickReply ──▶ output ──▶ one write a turn
//               │ not plain
//               └─────────▶ onLeave: socket and rest
import type { Socket } from "node:net";
import { unreachable } from "../base/assert.ts";
import type { ByteBudget } from "../http2/limits.ts";
import type { AnswerHeads } from "./answerHead.ts";
import type { Fields, HttpReply } from "./exchange.ts";
import { isSameHead, type QuickHead, quickHeadBytesMax, readQuickHead } from "./quickHead.ts";
import type { Gateway } from "./server.ts";

/** A longer body is not plain. */
export const quickBodyBytesMax = 65_536;
/** Whoever sends a request in more pieces trickles: node:http has the means for that. */
export const quickPiecesMax = 8;
/** What is pipelined behind a request under way; above it nothing is read. */
export const quickAheadBytesMax = 65_536;
/** What a client has not taken; above it no request of it is looked at. */
export const quickBehindBytesMax = 1_048_576;

/** What all connections share. */
export interface QuickHost {
  readonly gateway: Gateway;
  readonly heads: AnswerHeads;
  /** Bytes of requests that have begun. */
  readonly held: ByteBudget;
  /** Counts the looks at deadlines. */
  readonly beat: number;
  /** Connections end behind their answer. */
  readonly isClosing: boolean;
  /** There is output: `flush` is due at the end of the turn. */
  onOutput(connection: QuickConnection): void;
  /** The socket is paused, and nobody's. */
  onLeave(connection: QuickConnection, rest: Buffer): void;
}

/** What a connection waits for. */
export type QuickWait = "request" | "head" | "body" | "answer" | "client";

const noBytes = Buffer.alloc(0);

export class QuickConnection {
  readonly socket: Socket;
  /** The beat at which it began to wait. */
  sinceBeat: number;
  readonly #host: QuickHost;
  readonly #headRules: { readonly isSecure: boolean; readonly bytesMax: number };
  readonly #onData = (chunk: Buffer): void => this.#onChunk(chunk);
  readonly #onClose = (): void => this.#closed();
  readonly #onDrain = (): void => this.#unblock();
  /** Read and not answered. */
  #rest: Buffer = noBytes;
  #heldBytes = 0;
  #pieces = 0;
  /** Of a request that has begun. */
  #begun: "no" | "head" | "body" = "no";
  /** Of the last request: most clients send the same again and again. */
  #head: QuickHead | undefined;
  /** Of the request under way. */
  #reply: QuickReply | undefined;
  #output = "";
  #isBlocked = false;
  #isReading = false;
  #isOurs = true;

  constructor(socket: Socket, host: QuickHost) {
    this.socket = socket;
    this.sinceBeat = host.beat;
    this.#host = host;
    // Node counts the bytes of a head in another way: what is near its bound is left to it.
    const bytesMax = Math.min(quickHeadBytesMax, host.gateway.limits.headerBytesMax / 2);
    this.#headRules = { isSecure: "encrypted" in socket, bytesMax };
  }

  get wait(): QuickWait {
    if (this.#reply !== undefined) return "answer";
    if (this.#isBlocked) return "client";
    return this.#begun === "no" ? "request" : this.#begun;
  }

  /** Takes over the paused socket, of which `first` was read. */
  start(first: Buffer): void {
    this.socket.on("data", this.#onData);
    this.socket.on("close", this.#onClose);
    this.#onChunk(first);
    if (this.#isOurs && !this.#isBlocked) this.socket.resume();
  }

  /** Writes the answers of the turn. */
  flush(): void {
    const { socket } = this;
    if (this.#output === "" || !socket.writable) return;
    socket.write(this.#output, "latin1");
    this.#output = "";
    if (this.#host.isClosing && this.#reply === undefined) socket.end(() => socket.destroy());
    else if (socket.writableLength > quickBehindBytesMax) this.#block();
    else this.#reply?.onRoom();
  }

  /** For `QuickReply`: the answer, one char per byte. */
  onAnswer(text: string): void {
    if (this.#output === "") this.#host.onOutput(this);
    this.#output += text;
    this.#reply = undefined;
    this.sinceBeat = this.#host.beat;
    if (this.#isReading || this.#isBlocked || this.#host.isClosing) return;
    if (this.#rest.length > 0) this.#read();
    if (this.#isOurs && !this.#isBlocked && this.socket.isPaused()) this.socket.resume();
  }

  /** For `QuickReply`: a piece of the answer, likewise. @returns false when much of it waits. */
  onPiece(text: string): boolean {
    if (this.#output === "") this.#host.onOutput(this);
    this.#output += text;
    return this.backlogBytes <= quickBehindBytesMax;
  }

  /** Written, and not taken by the client. */
  get backlogBytes(): number {
    return this.#output.length + this.socket.writableLength;
  }

  #onChunk(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#pieces++;
    if (this.#reply === undefined && !this.#isBlocked) this.#read();
    else if (!this.#hold(this.#rest.length)) this.socket.destroy();
    else if (this.#rest.length > quickAheadBytesMax) this.socket.pause();
  }

  // Takes requests from the rest for as long as each is answered at once.
  #read(): void {
    const rest = this.#rest;
    let at = 0;
    let taken = 0;
    this.#isReading = true;
    while (taken >= 0 && at < rest.length && this.#reply === undefined && !this.#isBlocked) {
      taken = this.#take(at);
      if (taken > 0) at += taken;
      if (this.#output.length > quickBehindBytesMax) this.flush();
    }
    this.#isReading = false;
    this.#rest = at === rest.length ? noBytes : rest.subarray(at);
    if (at > 0) this.#pieces = this.#rest.length === 0 ? 0 : 1;
    const mayStay = taken >= 0 || (this.#begun !== "no" && this.#pieces < quickPiecesMax);
    if (!mayStay || !this.#hold(this.#rest.length)) this.#leave();
  }

  /** @returns the bytes of the request at `at`; -1 when it is not complete, or not plain. */
  #take(at: number): number {
    const head = this.#headAt(at);
    const bodyAt = typeof head === "object" ? at + head.bytes.length : 0;
    if (typeof head !== "object" || bodyAt + head.bodyBytes > this.#rest.length) {
      if (this.#begun === "no") this.sinceBeat = this.#host.beat;
      this.#begun = typeof head === "object" ? "body" : (head ?? "no");
      return -1;
    }
    this.#head = head;
    this.#begun = "no";
    const { gateway } = this.#host;
    const reply = new QuickReply(this, this.#host, gateway.commonFields(head));
    this.#reply = reply;
    const wanted = gateway.handle(head, reply);
    if (wanted.kind === "whole")
      wanted.onBody(this.#rest.subarray(bodyAt, bodyAt + head.bodyBytes));
    else if (wanted.kind === "parts") unreachable("a stream on the quick way");
    return bodyAt + head.bodyBytes - at;
  }

  #headAt(at: number): QuickHead | "head" | undefined {
    const known = this.#head;
    if (known !== undefined && isSameHead(known, this.#rest, at)) return known;
    const head = readQuickHead(this.#rest, at, this.#headRules);
    if (head === undefined) return undefined;
    if (head === "cut") return "head";
    const { gateway } = this.#host;
    const bodyBytesMax = Math.min(quickBodyBytesMax, gateway.limits.bodyBytesMax);
    return gateway.isUnary(head.path) && head.bodyBytes <= bodyBytesMax ? head : undefined;
  }

  #leave(): void {
    this.flush();
    this.#hold(0);
    this.#isOurs = false;
    this.socket.off("data", this.#onData);
    this.socket.off("close", this.#onClose);
    // What is left is the next owner's: it must not be read here once the client has taken the answer.
    this.socket.off("drain", this.#onDrain);
    this.socket.pause();
    this.#host.onLeave(this, this.#rest);
  }

  // Until the client has taken what there is for it.
  #block(): void {
    this.#isBlocked = true;
    this.socket.pause();
    this.socket.once("drain", this.#onDrain);
  }

  #unblock(): void {
    this.#isBlocked = false;
    this.sinceBeat = this.#host.beat;
    this.#reply?.onRoom();
    if (this.#reply !== undefined) return;
    if (this.#rest.length > 0) this.#read();
    if (this.#isOurs && !this.#isBlocked) this.socket.resume();
  }

  /** @returns false when there is no room for that many bytes, with none held. */
  #hold(bytes: number): boolean {
    const { held } = this.#host;
    held.give(this.#heldBytes);
    this.#heldBytes = held.take(bytes) ? bytes : 0;
    return this.#heldBytes === bytes;
  }

  #closed(): void {
    this.#isOurs = false;
    this.#hold(0);
    this.#reply?.onGone();
  }
}

/** The answer to one request; what its call says later goes nowhere. */
class QuickReply implements HttpReply {
  readonly #connection: QuickConnection;
  readonly #host: QuickHost;
  readonly #common: Fields;
  #isOver = false;
  #isFull = false;
  #events: Parameters<HttpReply["listen"]>[0] | undefined;

  constructor(connection: QuickConnection, host: QuickHost, common: Fields) {
    this.#connection = connection;
    this.#host = host;
    this.#common = common;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  whole(status: number, fields: Fields, body: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const text = oneCharAByte(body);
    const head = this.#host.heads.text(status, fields, this.#common, text.length);
    this.#connection.onAnswer(head + text);
  }

  abort(): void {
    this.#isOver = true;
    this.#connection.socket.destroy();
  }

  listen(events: Parameters<HttpReply["listen"]>[0]): void {
    this.#events = events;
  }

  onGone(): void {
    this.#isOver = true;
    this.#events?.onClose();
  }

  /** The connection takes more. */
  onRoom(): void {
    if (!this.#isFull) return;
    this.#isFull = false;
    this.#events?.onDrain();
  }

  begin(status: number, fields: Fields): void {
    if (!this.#isOver)
      this.#connection.onPiece(this.#host.heads.chunked(status, fields, this.#common));
  }

  write(part: string): boolean {
    // An empty chunk would be the last one.
    if (this.#isOver || part === "") return !this.#isOver;
    const text = oneCharAByte(part);
    const piece = `${text.length.toString(16)}\r\n${text}\r\n`;
    this.#isFull = !this.#connection.onPiece(piece);
    return !this.#isFull;
  }

  get backlogBytes(): number {
    return this.#connection.backlogBytes;
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connection.onAnswer(lastChunk);
  }
}

const lastChunk = "0\r\n\r\n";

/** Of UTF-8, to be written as latin1. */
function oneCharAByte(text: string): string {
  return Buffer.byteLength(text) === text.length ? text : Buffer.from(text).toString("latin1");
}
