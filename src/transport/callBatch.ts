// Calls of embedded clients, and their answers: all of a turn in one message between two threads.
// A batch is records end to end; integers are little endian.
//
//   client to member                                member to client
//   | 1 | method u16 | length u16 | path    |       | 4 | id u32 | length u32 | message        |
//   | 2 | id u32 | method u16 | timeoutMs u32 | length u32 | message |
//   | 3 | id u32 |  cancel                   |       | 5 | id u32 | code u8 | length u32 | text |
//                                                   | 6 | leader u64 |
//
// The client numbers the paths that it uses (1) before the first call of each. Kinds from 16 are
// kept for streams.
import type { StatusCode } from "../base/errors.ts";

const Kind = { define: 1, call: 2, cancel: 3, answer: 4, failure: 5, leader: 6 } as const;

const capacityBytesMin = 16_384;
/** A larger buffer is given up after its batch: one huge message pins no memory. */
const keptBytesMax = 1_048_576;

export interface CallHead {
  /** u32, unique among the calls in flight. */
  readonly id: number;
  readonly method: number;
  readonly timeoutMs: number;
}

/** Collects the records of a turn; all bytes are copied at once. */
export class BatchWriter {
  #buffer = Buffer.allocUnsafeSlow(capacityBytesMin);
  #offset = 0;

  get isEmpty(): boolean {
    return this.#offset === 0;
  }

  define(method: number, path: string): void {
    const bytes = Buffer.from(path, "utf8");
    const at = this.#begin(Kind.define, 5 + bytes.length);
    this.#buffer.writeUInt16LE(method, at);
    this.#buffer.writeUInt16LE(bytes.length, at + 2);
    this.#buffer.set(bytes, at + 4);
  }

  call(head: CallHead, message: Uint8Array): void {
    const at = this.#begin(Kind.call, 15 + message.length);
    this.#buffer.writeUInt32LE(head.id, at);
    this.#buffer.writeUInt16LE(head.method, at + 4);
    this.#buffer.writeUInt32LE(head.timeoutMs, at + 6);
    this.#buffer.writeUInt32LE(message.length, at + 10);
    this.#buffer.set(message, at + 14);
  }

  cancel(id: number): void {
    this.#buffer.writeUInt32LE(id, this.#begin(Kind.cancel, 5));
  }

  answer(id: number, message: Uint8Array): void {
    const at = this.#begin(Kind.answer, 9 + message.length);
    this.#buffer.writeUInt32LE(id, at);
    this.#buffer.writeUInt32LE(message.length, at + 4);
    this.#buffer.set(message, at + 8);
  }

  failure(id: number, error: { readonly code: StatusCode; readonly message: string }): void {
    const text = Buffer.from(error.message, "utf8");
    const at = this.#begin(Kind.failure, 10 + text.length);
    this.#buffer.writeUInt32LE(id, at);
    this.#buffer.writeUInt8(error.code, at + 4);
    this.#buffer.writeUInt32LE(text.length, at + 5);
    this.#buffer.set(text, at + 9);
  }

  /** @param leader 0: unknown. */
  leader(leader: bigint): void {
    this.#buffer.writeBigUInt64LE(leader, this.#begin(Kind.leader, 9));
  }

  /** @returns an array that owns its memory; the writer is empty again. */
  finish(): Uint8Array {
    const batch = Buffer.allocUnsafeSlow(this.#offset);
    this.#buffer.copy(batch, 0, 0, this.#offset);
    if (this.#buffer.length > keptBytesMax) this.#buffer = Buffer.allocUnsafeSlow(capacityBytesMin);
    this.#offset = 0;
    return batch;
  }

  /** @returns where the record goes on after its kind. */
  #begin(kind: number, recordBytes: number): number {
    const at = this.#offset;
    const end = at + recordBytes;
    if (end > this.#buffer.length) this.#grow(end);
    this.#buffer[at] = kind;
    this.#offset = end;
    return at + 1;
  }

  #grow(neededBytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(neededBytes, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, this.#offset);
    this.#buffer = larger;
  }
}

/** What a member hears. Messages are views into the batch. */
export interface CallVisitor {
  onDefine(method: number, path: string): void;
  onCall(head: CallHead, message: Uint8Array): void;
  onCancel(id: number): void;
}

/** What a client hears. Messages are views into the batch. */
export interface AnswerVisitor {
  onAnswer(id: number, message: Uint8Array): void;
  onFailure(id: number, error: { readonly code: StatusCode; readonly message: string }): void;
  onLeader(leader: bigint): void;
}

/** @returns false when the bytes are no batch of calls; records before the fault were visited. */
export function readCalls(batch: Uint8Array, visitor: CallVisitor): boolean {
  const reader = new BatchReader(batch);
  for (let kind = reader.kind(); kind !== 0; kind = reader.kind()) {
    if (kind === Kind.call) {
      const head = { id: reader.u32(), method: reader.u16(), timeoutMs: reader.u32() };
      const message = reader.bytes(reader.u32());
      if (!reader.failed) visitor.onCall(head, message);
    } else if (kind === Kind.cancel) {
      const id = reader.u32();
      if (!reader.failed) visitor.onCancel(id);
    } else if (kind === Kind.define) {
      const method = reader.u16();
      const path = reader.text(reader.u16());
      if (!reader.failed) visitor.onDefine(method, path);
    } else return false;
  }
  return !reader.failed;
}

/** @returns false when the bytes are no batch of answers; records before the fault were visited. */
export function readAnswers(batch: Uint8Array, visitor: AnswerVisitor): boolean {
  const reader = new BatchReader(batch);
  for (let kind = reader.kind(); kind !== 0; kind = reader.kind()) {
    if (kind === Kind.answer) {
      const id = reader.u32();
      const message = reader.bytes(reader.u32());
      if (!reader.failed) visitor.onAnswer(id, message);
    } else if (kind === Kind.failure) {
      const id = reader.u32();
      const code = reader.u8() as StatusCode;
      const message = reader.text(reader.u32());
      if (!reader.failed) visitor.onFailure(id, { code, message });
    } else if (kind === Kind.leader) {
      const leader = reader.u64();
      if (!reader.failed) visitor.onLeader(leader);
    } else return false;
  }
  return !reader.failed;
}

/** Never reads past the end: the first fault is kept, everything after it is zero. */
class BatchReader {
  readonly #bytes: Buffer;
  #offset = 0;
  failed = false;

  constructor(batch: Uint8Array) {
    this.#bytes = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength);
  }

  /** Kind of the next record; 0 at the end. */
  kind(): number {
    return this.failed || this.#offset === this.#bytes.length ? 0 : this.u8() || 0xff;
  }

  u8(): number {
    return this.#step(1) ? this.#bytes.readUInt8(this.#offset - 1) : 0;
  }

  u16(): number {
    return this.#step(2) ? this.#bytes.readUInt16LE(this.#offset - 2) : 0;
  }

  u32(): number {
    return this.#step(4) ? this.#bytes.readUInt32LE(this.#offset - 4) : 0;
  }

  u64(): bigint {
    return this.#step(8) ? this.#bytes.readBigUInt64LE(this.#offset - 8) : 0n;
  }

  bytes(lengthBytes: number): Uint8Array {
    const from = this.#offset;
    return this.#bytes.subarray(from, this.#step(lengthBytes) ? this.#offset : from);
  }

  text(lengthBytes: number): string {
    const from = this.#offset;
    return this.#step(lengthBytes) ? this.#bytes.toString("utf8", from, this.#offset) : "";
  }

  #step(lengthBytes: number): boolean {
    if (this.failed || lengthBytes > this.#bytes.length - this.#offset) {
      this.failed = true;
      return false;
    }
    this.#offset += lengthBytes;
    return true;
  }
}
