// Protobuf writer that fills its buffer from the back: a nested message is complete, its length
// known, before its tag is written. So nothing is measured beforehand and nothing moves.
//
//   buffer   |  free  | tag length { tag value  tag value } |
//                     ^ #offset, moves to the left
//
// Callers write the fields of a message from the last to the first. Zero values are left out, as
// proto3 does; `…Present` keeps them.
import { allocateBytes, utf8Bytes } from "../base/bytes.ts";
import { errAnswerTooLarge } from "../base/errors.ts";
import { viewOf } from "./reader.ts";

const two32 = 0x1_0000_0000;
/** gRPC's default send limit. */
export const sendBytesMax = 0x7fff_ffff;
const capacityMin = 4096;
/** A buffer larger than this is given up after its message: one huge answer pins no memory. */
const keptBytesMax = 1_048_576;
// Below this, a loop is faster than a call of the engine.
const loopBytesMax = 24;

export class Writer {
  readonly #messageBytesMax: number;
  #buffer: Uint8Array = allocateBytes(capacityMin);
  #offset = capacityMin;

  /** Every write that would make the message longer than the limit throws `errAnswerTooLarge`. */
  constructor(messageBytesMax: number = sendBytesMax) {
    this.#messageBytesMax = messageBytesMax;
  }

  /**
   * The message written since the last `finish`.
   *
   * @returns a view that the next write overwrites: copy it, or be done with it before.
   */
  finish(): Uint8Array {
    const message = viewOf(this.#buffer, this.#offset, this.mark());
    this.#reset();
    return message;
  }

  /** What `finish` would give; the message may go on. */
  view(): Uint8Array {
    return viewOf(this.#buffer, this.#offset, this.mark());
  }

  /** Takes back everything written since `mark`: the same end may get another beginning. */
  rewind(mark: number): void {
    this.#offset = this.#buffer.length - mark;
  }

  /** Where the end of a nested message will be; for `message`. */
  mark(): number {
    return this.#buffer.length - this.#offset;
  }

  /** Closes the nested message whose fields were written since `mark`, also when it is empty. */
  message(tag: number, mark: number): void {
    this.#varint(this.mark() - mark);
    this.#tag(tag);
  }

  bytes(tag: number, value: Uint8Array): void {
    if (value.length > 0) this.bytesPresent(tag, value);
  }

  bytesPresent(tag: number, value: Uint8Array): void {
    this.raw(value);
    this.#varint(value.length);
    this.#tag(tag);
  }

  string(tag: number, value: string): void {
    if (value !== "") this.bytesPresent(tag, utf8Bytes(value));
  }

  stringPresent(tag: number, value: string): void {
    this.bytesPresent(tag, utf8Bytes(value));
  }

  /** A repeated field; its values are given in their own order. */
  strings(tag: number, values: readonly string[]): void {
    for (const value of values.toReversed()) this.stringPresent(tag, value);
  }

  bool(tag: number, value: boolean): void {
    if (!value) return;
    this.#reserve(1);
    this.#buffer[this.#offset] = 1;
    this.#tag(tag);
  }

  /** @param value any safe integer; a negative one takes ten bytes. */
  integer(tag: number, value: number): void {
    if (value !== 0) this.integerPresent(tag, value);
  }

  integerPresent(tag: number, value: number): void {
    this.#varint(value);
    this.#tag(tag);
  }

  /** @param value a signed or unsigned 64-bit number. */
  id(tag: number, value: bigint): void {
    if (value !== 0n) this.idPresent(tag, value);
  }

  idPresent(tag: number, value: bigint): void {
    if (value >= 0n && value <= Number.MAX_SAFE_INTEGER) this.#varint(Number(value));
    else
      this.#varint64(Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n)));
    this.#tag(tag);
  }

  /** Fields that are encoded already. */
  raw(encoded: Uint8Array): void {
    const length = encoded.length;
    this.#reserve(length);
    const buffer = this.#buffer;
    if (length > loopBytesMax) {
      buffer.set(encoded, this.#offset);
      return;
    }
    for (let i = 0, at = this.#offset; i < length; i++, at++) buffer[at] = encoded[i] ?? 0;
  }

  #tag(tag: number): void {
    if (tag >= 0x80) {
      this.#varint(tag);
      return;
    }
    this.#reserve(1);
    this.#buffer[this.#offset] = tag;
  }

  #varint(value: number): void {
    if (value >= 0 && value < 0x80) {
      this.#reserve(1);
      this.#buffer[this.#offset] = value;
      return;
    }
    // `>>> 0` takes the low half in two's complement, for every safe integer.
    this.#varint64(value >>> 0, Math.floor(value / two32) >>> 0);
  }

  #varint64(lowHalf: number, highHalf: number): void {
    let low = lowHalf;
    let high = highHalf;
    this.#reserve(varintBytes(low, high));
    const buffer = this.#buffer;
    let at = this.#offset;
    while (high !== 0 || low > 0x7f) {
      buffer[at++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    buffer[at] = low;
  }

  /** Moves the offset to the left by `count` bytes. */
  #reserve(count: number): void {
    if (this.#offset < count) this.#grow(count);
    this.#offset -= count;
  }

  #grow(count: number): void {
    const used = this.mark();
    const needed = used + count;
    if (needed > this.#messageBytesMax) {
      this.#reset();
      throw errAnswerTooLarge(needed, this.#messageBytesMax);
    }
    const capacity = Math.min(this.#buffer.length * 2, this.#messageBytesMax);
    const larger = allocateBytes(Math.max(capacity, needed));
    larger.set(viewOf(this.#buffer, this.#offset, used), larger.length - used);
    this.#offset = larger.length - used;
    this.#buffer = larger;
  }

  #reset(): void {
    if (this.#buffer.length > keptBytesMax) this.#buffer = allocateBytes(capacityMin);
    this.#offset = this.#buffer.length;
  }
}

/** Bytes of a varint, 1 to 10. */
export function varintBytes(low: number, high: number): number {
  if (high === 0) {
    if (low < 0x80) return 1;
    if (low < 0x4000) return 2;
    if (low < 0x20_0000) return 3;
    if (low < 0x1000_0000) return 4;
    return 5;
  }
  // From the 36th bit on, seven bits a byte.
  return 10 - Math.floor((Math.clz32(high) + 6) / 7);
}
