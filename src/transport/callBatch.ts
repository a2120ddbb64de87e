// Calls and streams of clients in other threads or behind a WebSocket, and what a member answers: all of
// a turn in one batch. A batch is records end to end, each a msgpack array (decision 0010):
//
//   client to member                          member to client
//   [1, method, path]                         [4, id, message]       a call is answered
//   [2, id, method, timeoutMs, message]       [5, id, code, text]    a call or stream failed
//   [3, id]             cancel                [6, leader, term, self]  whom to ask; 0: nobody knows
//   [7, name, value]    header of all calls   [8, id, bytes]         of a long answer; 4 brings its end
//                                             [17, id, message]      of a stream
//   [16, id, method, creditBytes, flags]      [18, id]               a stream ended well
//   [17, id, message]   to a stream
//   [18, id]            half-close
//   [19, id, bytes]     more credit
//
// The client numbers the paths that it uses (1) before the first call of each. A call or stream is over
// with 3, 4, 5 or the member's 18. Messages and nothing else are `bin`, texts `str`, the rest unsigned.
import { allocateBytes, utf8Bytes, utf8Text } from "../base/bytes.ts";
import type { StatusCode } from "../base/errors.ts";

const Kind = {
  define: 1,
  call: 2,
  cancel: 3,
  answer: 4,
  failure: 5,
  leader: 6,
  header: 7,
  part: 8,
  open: 16,
  message: 17,
  end: 18,
  credit: 19,
} as const;

/** A member lets a client behind a socket hear from it at least this often. */
export const beatMs = 10_000;

/** Bits of the flags of an opening. */
export const StreamFlag = { requiresLeader: 1 } as const;

const capacityBytesMin = 16_384;
/** A larger buffer is given up after its batch: one huge message pins no memory. */
const keptBytesMax = 1_048_576;
/** Longest record without its message or text. */
const headBytesMax = 32;
const u32Max = 0xffff_ffff;

export interface CallHead {
  /** u32, unique among the calls and streams in flight. */
  readonly id: number;
  readonly method: number;
  readonly timeoutMs: number;
}

export interface OpenHead {
  readonly id: number;
  readonly method: number;
  /** Bytes of answers that may be under way; see `messageCostBytes`. */
  readonly creditBytes: number;
  readonly flags: number;
}

export interface LeaderNews {
  /** 0: unknown. */
  readonly leader: bigint;
  /** The later one is right. */
  readonly term: number;
  /** The member that says so; 0: it is known anyway. */
  readonly self: bigint;
}

export interface Failure {
  readonly code: StatusCode;
  readonly message: string;
}

/** What a message of a stream takes of its credit: its bytes, and so that small ones count as well. */
export const messageCostBytes = (message: Uint8Array): number => message.length + 64;

/** Collects the records of a turn; all bytes are copied at once. */
export class BatchWriter {
  #buffer = allocateBytes(capacityBytesMin);
  #offset = 0;

  get isEmpty(): boolean {
    return this.#offset === 0;
  }

  get bytes(): number {
    return this.#offset;
  }

  define(method: number, path: string): void {
    const bytes = utf8Bytes(path);
    this.#begin(3, Kind.define, bytes.length);
    this.#number(method);
    this.#text(bytes);
  }

  call(head: CallHead, message: Uint8Array): void {
    this.#begin(5, Kind.call, message.length);
    this.#number(head.id);
    this.#number(head.method);
    this.#number(head.timeoutMs);
    this.#binary(message);
  }

  cancel(id: number): void {
    this.#begin(2, Kind.cancel, 0);
    this.#number(id);
  }

  answer(id: number, message: Uint8Array): void {
    this.#begin(3, Kind.answer, message.length);
    this.#number(id);
    this.#binary(message);
  }

  /** Of an answer; behind the last comes `answer`, with the rest. */
  part(id: number, bytes: Uint8Array): void {
    this.#begin(3, Kind.part, bytes.length);
    this.#number(id);
    this.#binary(bytes);
  }

  failure(id: number, error: Failure): void {
    const text = utf8Bytes(error.message);
    this.#begin(4, Kind.failure, text.length);
    this.#number(id);
    this.#number(error.code);
    this.#text(text);
  }

  leader({ leader, term, self }: LeaderNews): void {
    this.#begin(4, Kind.leader, 0);
    this.#number64(leader);
    this.#number64(BigInt(term));
    this.#number64(self);
  }

  header(name: string, value: string): void {
    const bytes = [utf8Bytes(name), utf8Bytes(value)];
    this.#begin(3, Kind.header, (bytes[0]?.length ?? 0) + (bytes[1]?.length ?? 0));
    for (const part of bytes) this.#text(part);
  }

  open(head: OpenHead): void {
    this.#begin(5, Kind.open, 0);
    this.#number(head.id);
    this.#number(head.method);
    this.#number(head.creditBytes);
    this.#number(head.flags);
  }

  message(id: number, message: Uint8Array): void {
    this.#begin(3, Kind.message, message.length);
    this.#number(id);
    this.#binary(message);
  }

  /** Of a client: nothing more from this side. Of a member: the stream ended well. */
  end(id: number): void {
    this.#begin(2, Kind.end, 0);
    this.#number(id);
  }

  credit(id: number, bytes: number): void {
    this.#begin(3, Kind.credit, 0);
    this.#number(id);
    this.#number(bytes);
  }

  /** @returns an array that owns its memory; the writer is empty again. */
  finish(): Uint8Array {
    const batch = allocateBytes(this.#offset);
    batch.set(new Uint8Array(this.#buffer.buffer, 0, this.#offset));
    if (this.#buffer.length > keptBytesMax) this.#buffer = allocateBytes(capacityBytesMin);
    this.#offset = 0;
    return batch;
  }

  /** @param fields with the kind. @param bodyBytes of messages and texts. */
  #begin(fields: number, kind: number, bodyBytes: number): void {
    const needed = this.#offset + headBytesMax + bodyBytes;
    if (needed > this.#buffer.length) this.#grow(needed);
    this.#buffer[this.#offset++] = 0x90 | fields;
    this.#buffer[this.#offset++] = kind;
  }

  /** @param value u32. */
  #number(value: number): void {
    if (value < 0x80) this.#buffer[this.#offset++] = value;
    else this.#sized(0xce, value);
  }

  #number64(value: bigint): void {
    this.#sized(0xcf, Number(value >> 32n));
    this.#word(Number(value & 0xffff_ffffn));
  }

  #text(bytes: Uint8Array): void {
    this.#sized(0xdb, bytes.length);
    this.#body(bytes);
  }

  #binary(bytes: Uint8Array): void {
    this.#sized(0xc6, bytes.length);
    this.#body(bytes);
  }

  #sized(type: number, value: number): void {
    this.#buffer[this.#offset++] = type;
    this.#word(value);
  }

  #word(value: number): void {
    const buffer = this.#buffer;
    const at = this.#offset;
    buffer[at] = value >>> 24;
    buffer[at + 1] = value >>> 16;
    buffer[at + 2] = value >>> 8;
    buffer[at + 3] = value;
    this.#offset = at + 4;
  }

  #body(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#offset);
    this.#offset += bytes.length;
  }

  #grow(neededBytes: number): void {
    const larger = allocateBytes(Math.max(neededBytes, 2 * this.#buffer.length));
    larger.set(new Uint8Array(this.#buffer.buffer, 0, this.#offset));
    this.#buffer = larger;
  }
}

/** What a member hears. Messages are views into the batch. */
export interface CallVisitor {
  onDefine(method: number, path: string): void;
  onCall(head: CallHead, message: Uint8Array): void;
  onCancel(id: number): void;
  onHeader(name: string, value: string): void;
  onOpen(head: OpenHead): void;
  onMessage(id: number, message: Uint8Array): void;
  onHalfClose(id: number): void;
  onCredit(id: number, bytes: number): void;
}

/** What a client hears. Messages are views into the batch. */
export interface AnswerVisitor {
  /** Bytes of an answer: the first, or those that follow. */
  onPart(id: number, bytes: Uint8Array): void;
  /** The answer, or what is left of it behind its parts. */
  onAnswer(id: number, message: Uint8Array): void;
  onFailure(id: number, error: Failure): void;
  onLeader(news: LeaderNews): void;
  onMessage(id: number, message: Uint8Array): void;
  onEnd(id: number): void;
}

/** @returns false when the bytes are no batch of calls; records before the fault were visited. */
export function readCalls(batch: Uint8Array, visitor: CallVisitor): boolean {
  const reader = new BatchReader(batch);
  for (let shape = reader.record(); shape !== 0; shape = reader.record()) {
    readCall(reader, shape, visitor);
  }
  return !reader.failed;
}

function readCall(reader: BatchReader, shape: number, visitor: CallVisitor): void {
  switch (shape) {
    case shapeOf(5, Kind.call): {
      const head = { id: reader.u32(), method: reader.u32(), timeoutMs: reader.u32() };
      const message = reader.binary();
      if (!reader.failed) visitor.onCall(head, message);
      break;
    }
    case shapeOf(2, Kind.cancel): {
      const id = reader.u32();
      if (!reader.failed) visitor.onCancel(id);
      break;
    }
    case shapeOf(3, Kind.message): {
      const id = reader.u32();
      const message = reader.binary();
      if (!reader.failed) visitor.onMessage(id, message);
      break;
    }
    case shapeOf(3, Kind.credit): {
      const id = reader.u32();
      const bytes = reader.u32();
      if (!reader.failed) visitor.onCredit(id, bytes);
      break;
    }
    default:
      readRareCall(reader, shape, visitor);
  }
}

function readRareCall(reader: BatchReader, shape: number, visitor: CallVisitor): void {
  switch (shape) {
    case shapeOf(3, Kind.define): {
      const method = reader.u32();
      const path = reader.text();
      if (!reader.failed) visitor.onDefine(method, path);
      break;
    }
    case shapeOf(3, Kind.header): {
      const name = reader.text();
      const value = reader.text();
      if (!reader.failed) visitor.onHeader(name, value);
      break;
    }
    case shapeOf(5, Kind.open): {
      const [id, method] = [reader.u32(), reader.u32()];
      const [creditBytes, flags] = [reader.u32(), reader.u32()];
      if (!reader.failed) visitor.onOpen({ id, method, creditBytes, flags });
      break;
    }
    case shapeOf(2, Kind.end): {
      const id = reader.u32();
      if (!reader.failed) visitor.onHalfClose(id);
      break;
    }
    default:
      reader.failed = true;
  }
}

/** @returns false when the bytes are no batch of answers; records before the fault were visited. */
export function readAnswers(batch: Uint8Array, visitor: AnswerVisitor): boolean {
  const reader = new BatchReader(batch);
  for (let shape = reader.record(); shape !== 0; shape = reader.record()) {
    readAnswer(reader, shape, visitor);
  }
  return !reader.failed;
}

function readAnswer(reader: BatchReader, shape: number, visitor: AnswerVisitor): void {
  switch (shape) {
    case shapeOf(3, Kind.answer): {
      const id = reader.u32();
      const message = reader.binary();
      if (!reader.failed) visitor.onAnswer(id, message);
      break;
    }
    case shapeOf(3, Kind.part): {
      const id = reader.u32();
      const bytes = reader.binary();
      if (!reader.failed) visitor.onPart(id, bytes);
      break;
    }
    case shapeOf(3, Kind.message): {
      const id = reader.u32();
      const message = reader.binary();
      if (!reader.failed) visitor.onMessage(id, message);
      break;
    }
    case shapeOf(4, Kind.failure): {
      const id = reader.u32();
      const code = reader.u32() as StatusCode;
      const message = reader.text();
      if (!reader.failed) visitor.onFailure(id, { code, message });
      break;
    }
    case shapeOf(4, Kind.leader): {
      const news = { leader: reader.u64(), term: Number(reader.u64()), self: reader.u64() };
      if (!reader.failed) visitor.onLeader(news);
      break;
    }
    case shapeOf(2, Kind.end): {
      const id = reader.u32();
      if (!reader.failed) visitor.onEnd(id);
      break;
    }
    default:
      reader.failed = true;
  }
}

/** Length and kind of a record as one number, so that one `switch` judges both. */
const shapeOf = (fields: number, kind: number): number => (fields << 8) | kind;

/** The part of msgpack that batches use. Never reads past the end: after the first fault all is zero. */
class BatchReader {
  readonly #bytes: Uint8Array;
  #offset = 0;
  failed = false;

  constructor(batch: Uint8Array) {
    this.#bytes = batch;
  }

  /** Shape of the next record; 0 at the end. Only short arrays that begin with a number are one. */
  record(): number {
    if (this.failed || this.#offset === this.#bytes.length) return 0;
    const array = this.#u8();
    if (array >>> 4 !== 0x9) return this.#fail() || 0xffff;
    return shapeOf(array & 0x0f, this.u32());
  }

  /** An unsigned number of any width, as long as it fits. */
  u32(): number {
    const type = this.#u8();
    if (type < 0x80) return type;
    if (type === 0xce) return this.#word();
    if (type === 0xcc) return this.#u8();
    if (type === 0xcd) return this.#u16();
    if (type !== 0xcf) return this.#fail();
    return this.#word() === 0 ? this.#word() : this.#fail();
  }

  /** Some libraries write large ids as signed numbers: the same bits. */
  u64(): bigint {
    const type = this.#bytes[this.#offset];
    if (type !== 0xcf && type !== 0xd3) return BigInt(this.u32());
    this.#offset++;
    const high = BigInt(this.#word());
    return (high << 32n) | BigInt(this.#word());
  }

  binary(): Uint8Array {
    const type = this.#u8();
    if (type === 0xc6) return this.#body(this.#word());
    if (type === 0xc4) return this.#body(this.#u8());
    return this.#body(type === 0xc5 ? this.#u16() : this.#fail());
  }

  text(): string {
    const type = this.#u8();
    if (type === 0xdb) return utf8Text(this.#body(this.#word()));
    if (type >>> 5 === 0x5) return utf8Text(this.#body(type & 0x1f));
    if (type === 0xd9) return utf8Text(this.#body(this.#u8()));
    return utf8Text(this.#body(type === 0xda ? this.#u16() : this.#fail()));
  }

  /** A view; a plain Uint8Array is made quicker than a Buffer. */
  #body(lengthBytes: number): Uint8Array {
    const length = this.#step(lengthBytes) ? lengthBytes : 0;
    const { buffer, byteOffset } = this.#bytes;
    return new Uint8Array(buffer, byteOffset + this.#offset - length, length);
  }

  #u8(): number {
    return this.#step(1) ? (this.#bytes[this.#offset - 1] ?? 0) : 0;
  }

  #u16(): number {
    return this.#u8() * 0x100 + this.#u8();
  }

  #word(): number {
    if (!this.#step(4)) return 0;
    const bytes = this.#bytes;
    const at = this.#offset - 4;
    const high = ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16);
    return (high | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0;
  }

  #step(lengthBytes: number): boolean {
    if (this.failed || lengthBytes > this.#bytes.length - this.#offset) {
      this.failed = true;
      return false;
    }
    this.#offset += lengthBytes;
    return true;
  }

  #fail(): 0 {
    this.failed = true;
    return 0;
  }
}

/** Ids come round after this one. */
export const idMax = u32Max;
