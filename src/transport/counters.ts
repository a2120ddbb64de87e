// One flat msgpack array of counters: the header of a frame. The bytes are checked whole before
// msgpackr sees them, so that nothing they claim is ever believed: no maps, no extensions, no
// nesting, no records, no length beyond the bytes at hand.
import { Packr, Unpackr } from "msgpackr";

/** Bytes that one counter takes at most. */
export const counterBytesMax = 9;
/** Bytes that the array takes beside its counters at most. */
export const arrayHeadBytesMax = 5;

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false });

/**
 * @param counters safe integers from 0.
 * @returns a view into msgpackr's buffer: copy it.
 */
export function packCounters(counters: readonly number[]): Uint8Array {
  return packr.pack(counters);
}

/** @returns the counters, each a safe integer from 0, or why the bytes are none. */
export function unpackCounters(bytes: Uint8Array, countMax: number): readonly number[] | string {
  const fault = findFault(bytes, countMax);
  if (fault !== undefined) return fault;
  // The one cast: what was checked above can only be an array of numbers.
  return unpackr.unpack(bytes) as number[];
}

function findFault(bytes: Uint8Array, countMax: number): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headBytes = arrayHeadBytes(bytes[0]);
  if (headBytes === 0) return "the header is not an array";
  if (bytes.length < headBytes) return "the header is cut off";
  const count = arrayCount(view, headBytes);
  if (count > countMax) return "the header claims too many numbers";
  let offset = headBytes;
  for (let i = 0; i < count; i++) {
    const tag = bytes[offset];
    if (tag === undefined) return "the header is cut off";
    const tailBytes = counterTailBytes(tag);
    if (tailBytes < 0) return `the header holds a value of type 0x${tag.toString(16)}`;
    if (offset + 1 + tailBytes > bytes.length) return "the header is cut off";
    if (tailBytes === 8 && !isLargeCounter(view.getFloat64(offset + 1))) {
      return "the header holds a number that is no counter";
    }
    offset += 1 + tailBytes;
  }
  return offset === bytes.length ? undefined : "the header has bytes after its end";
}

/** 0: not an array. */
function arrayHeadBytes(tag: number | undefined): number {
  if (tag === undefined) return 0;
  if (tag >= 0x90 && tag <= 0x9f) return 1;
  if (tag === 0xdc) return 3;
  return tag === 0xdd ? 5 : 0;
}

function arrayCount(view: DataView, headBytes: number): number {
  if (headBytes === 1) return view.getUint8(0) & 0x0f;
  return headBytes === 3 ? view.getUint16(1) : view.getUint32(1);
}

/** Bytes after the tag; -1: not a counter. */
function counterTailBytes(tag: number): number {
  if (tag <= 0x7f) return 0;
  if (tag === 0xcc) return 1;
  if (tag === 0xcd) return 2;
  if (tag === 0xce) return 4;
  return tag === 0xcb ? 8 : -1;
}

// msgpackr writes numbers of 2^32 and above as doubles, smaller ones never.
function isLargeCounter(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0x1_0000_0000;
}
