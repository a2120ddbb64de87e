// One flat msgpack array of counters: the header of a frame. Read by hand, in one pass and without an array
// of them, so that nothing the bytes claim is ever believed: no maps, no extensions, no nesting, no records,
// no length beyond the bytes at hand.
import { Packr, RESET_BUFFER_MODE, REUSE_BUFFER_MODE } from "msgpackr";
import type { Span } from "../base/bytes.ts";

/** Bytes that one counter takes at most. */
export const counterBytesMax = 9;
/** Bytes that the array takes beside its counters at most. */
export const arrayHeadBytesMax = 5;

const packr = new Packr({ useRecords: false });
/** One buffer for all headers, and no view of it. */
const packMode = REUSE_BUFFER_MODE | RESET_BUFFER_MODE;

/**
 * @param counters safe integers from 0.
 * @returns a part of msgpackr's buffer: copy it before the next call.
 */
export function packCounters(counters: readonly number[]): Span {
  const bytes = packr.pack(counters, packMode) as Buffer & {
    readonly start: number;
    readonly end: number;
  };
  return { bytes, from: bytes.start, to: bytes.end };
}

/** A frame that no member of ours would send. */
export class FrameFault extends Error {
  override readonly name = "FrameFault";
}

/** Gives the counters of [from, to), each a safe integer from 0, as they are asked for. */
export class CounterReader {
  readonly #bytes: Uint8Array;
  readonly #to: number;
  #offset: number;
  #left: number;

  /** @throws {FrameFault} unless an array of at most `countMax` counters begins there. */
  constructor(
    bytes: Uint8Array,
    { from, to, countMax }: { from: number; to: number; countMax: number },
  ) {
    const headBytes = arrayHeadBytes(from < to ? bytes[from] : undefined);
    if (headBytes === 0) throw new FrameFault("the header is not an array");
    if (to - from < headBytes) throw new FrameFault(cutOff);
    this.#bytes = bytes;
    this.#to = to;
    this.#offset = from + headBytes;
    this.#left = arrayCount(bytes, from, headBytes);
    if (this.#left > countMax) throw new FrameFault("the header claims too many numbers");
  }

  /** Counters that were not asked for yet. */
  get left(): number {
    return this.#left;
  }

  /** @throws {FrameFault} when it is none, or there are no more. */
  next(): number {
    if (this.#left === 0) throw new FrameFault("a message is cut off");
    this.#left--;
    const tag = this.#offset < this.#to ? this.#bytes[this.#offset++] : undefined;
    if (tag === undefined) throw new FrameFault(cutOff);
    return tag <= 0x7f ? tag : this.#tail(tag);
  }

  /** @throws {FrameFault} when there is more behind the array. */
  end(): void {
    if (this.#offset !== this.#to) throw new FrameFault("the header has bytes after its end");
  }

  #tail(tag: number): number {
    const tailBytes = counterTailBytes(tag);
    if (tailBytes < 0)
      throw new FrameFault(`the header holds a value of type 0x${tag.toString(16)}`);
    if (this.#offset + tailBytes > this.#to) throw new FrameFault(cutOff);
    const value = readTail(this.#bytes, this.#offset, tailBytes);
    if (tailBytes === 8 && !isLargeCounter(value)) {
      throw new FrameFault("the header holds a number that is no counter");
    }
    this.#offset += tailBytes;
    return value;
  }
}

const cutOff = "the header is cut off";

/** 0: not an array. */
function arrayHeadBytes(tag: number | undefined): number {
  if (tag === undefined) return 0;
  if (tag >= 0x90 && tag <= 0x9f) return 1;
  if (tag === 0xdc) return 3;
  return tag === 0xdd ? 5 : 0;
}

function arrayCount(bytes: Uint8Array, at: number, headBytes: number): number {
  if (headBytes === 1) return (bytes[at] ?? 0) & 0x0f;
  return readTail(bytes, at + 1, headBytes - 1);
}

/** Bytes after the tag, of those that have some; -1: not a counter. */
function counterTailBytes(tag: number): number {
  if (tag === 0xcc) return 1;
  if (tag === 0xcd) return 2;
  if (tag === 0xce) return 4;
  return tag === 0xcb ? 8 : -1;
}

/** 1, 2 or 4 bytes of an integer, most significant first, or 8 of a double. */
function readTail(bytes: Uint8Array, at: number, tailBytes: number): number {
  if (tailBytes === 8) return new DataView(bytes.buffer, bytes.byteOffset + at, 8).getFloat64(0);
  let value = 0;
  for (let i = at; i < at + tailBytes; i++) value = value * 256 + (bytes[i] ?? 0);
  return value;
}

// msgpackr writes numbers of 2^32 and above as doubles, smaller ones never.
function isLargeCounter(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0x1_0000_0000;
}
