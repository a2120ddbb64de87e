// One flat msgpack array of counters: the header of a frame. Read by hand, in one pass, so that nothing
// the bytes claim is ever believed: no maps, no extensions, no nesting, no records, no length beyond
// the bytes at hand.
import { Packr } from "msgpackr";

/** Bytes that one counter takes at most. */
export const counterBytesMax = 9;
/** Bytes that the array takes beside its counters at most. */
export const arrayHeadBytesMax = 5;

const packr = new Packr({ useRecords: false });

/**
 * @param counters safe integers from 0.
 * @returns a view into msgpackr's buffer: copy it.
 */
export function packCounters(counters: readonly number[]): Uint8Array {
  return packr.pack(counters);
}

/** @returns the counters at [from, to), each a safe integer from 0, or why the bytes are none. */
export function unpackCounters(
  bytes: Uint8Array,
  { from, to, countMax }: { from: number; to: number; countMax: number },
): readonly number[] | string {
  const headBytes = arrayHeadBytes(from < to ? bytes[from] : undefined);
  if (headBytes === 0) return "the header is not an array";
  if (to - from < headBytes) return "the header is cut off";
  const count = arrayCount(bytes, from, headBytes);
  if (count > countMax) return "the header claims too many numbers";
  const counters: number[] = [];
  let offset = from + headBytes;
  for (let i = 0; i < count; i++) {
    const tag = offset < to ? bytes[offset++] : undefined;
    if (tag === undefined) return "the header is cut off";
    const tailBytes = counterTailBytes(tag);
    if (tailBytes < 0) return `the header holds a value of type 0x${tag.toString(16)}`;
    if (offset + tailBytes > to) return "the header is cut off";
    const value = tailBytes === 0 ? tag : readTail(bytes, offset, tailBytes);
    if (tailBytes === 8 && !isLargeCounter(value)) {
      return "the header holds a number that is no counter";
    }
    counters.push(value);
    offset += tailBytes;
  }
  return offset === to ? counters : "the header has bytes after its end";
}

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

/** Bytes after the tag; -1: not a counter. */
function counterTailBytes(tag: number): number {
  if (tag <= 0x7f) return 0;
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
