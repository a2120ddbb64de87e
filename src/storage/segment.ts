// Head of a segment file: whose log it is, and the seed of every checksum in it.
//
//    0 8 bytes "QLETLOG\n"        24 u64 cluster id
//    8 u32 format version         32 u64 member id
//   12 u32 checksum of [16, 64)   40 u64 sequence, from 1
//   16 u64 salt, random           48 zeros up to 2048
//                               2048 the first 64 bytes once more, in a sector of their own
//
// Without its head no checksum of a segment can be judged, so that damage to it must not take both.
// The head is durable before the file gets its name, so a named file without one is damaged.
import { crc32c } from "../base/crc.ts";
import { LogFault } from "./log.ts";
import { viewOf } from "./record.ts";

/** Where the first batch of a segment starts; a page, so that the head is never rewritten with it. */
export const segmentHeadBytes = 4096;
export const logFormatVersion = 2;
const fieldsBytes = 64;
const copyOffset = 2048;

/** Who may read a log. */
export interface LogOwner {
  readonly clusterId: bigint;
  readonly memberId: bigint;
}

export interface SegmentHead {
  readonly owner: LogOwner;
  readonly sequence: number;
  /** Unguessable, so that no client can store bytes that look like a batch. */
  readonly salt: bigint;
}

const magic = Buffer.from("QLETLOG\n", "latin1");

export const segmentName = (sequence: number): string =>
  `${sequence.toString().padStart(10, "0")}.log`;

/** Sequence in a segment's name; undefined for other files. */
export function sequenceOf(name: string): number | undefined {
  const match = /^(\d{10,15})\.log$/.exec(name);
  return match ? Number(match[1]) : undefined;
}

export function encodeSegmentHead(head: SegmentHead): Uint8Array {
  const bytes = new Uint8Array(segmentHeadBytes);
  const view = viewOf(bytes);
  bytes.set(magic);
  view.setUint32(8, logFormatVersion, true);
  view.setBigUint64(16, head.salt, true);
  view.setBigUint64(24, head.owner.clusterId, true);
  view.setBigUint64(32, head.owner.memberId, true);
  view.setBigUint64(40, BigInt(head.sequence), true);
  view.setUint32(12, crc32c(bytes, 16, fieldsBytes), true);
  bytes.copyWithin(copyOffset, 0, fieldsBytes);
  return bytes;
}

/** Start value of all checksums in the segment with this head. */
export function segmentSeed(head: Uint8Array): number {
  return crc32c(head, 0, fieldsBytes);
}

/** Puts the copy in the place of damaged fields. @returns true when `head` was changed. */
export function mendSegmentHead(head: Uint8Array): boolean {
  const copy = head.subarray(copyOffset, copyOffset + fieldsBytes);
  if (isWhole(head.subarray(0, fieldsBytes)) || !isWhole(copy)) return false;
  head.set(copy);
  return true;
}

function isWhole(fields: Uint8Array): boolean {
  if (fields.length < fieldsBytes || !magic.equals(fields.subarray(0, 8))) return false;
  const view = viewOf(fields);
  const crc = crc32c(fields, 16, fieldsBytes);
  return view.getUint32(8, true) === logFormatVersion && view.getUint32(12, true) === crc;
}

/** @throws {LogFault} unless `bytes` are the head of this owner's segment with this sequence. */
export function checkSegmentHead(
  bytes: Uint8Array,
  want: { readonly name: string; readonly owner: LogOwner; readonly sequence: number },
): void {
  const file = want.name;
  const view = viewOf(bytes);
  const whole = bytes.length === segmentHeadBytes && magic.equals(bytes.subarray(0, 8));
  if (!whole) throw new LogFault({ kind: "damaged", file, offset: 0 });
  const version = view.getUint32(8, true);
  const passes = view.getUint32(12, true) === crc32c(bytes, 16, fieldsBytes);
  // Another version may keep its checksum elsewhere, so only this one's can be judged by it.
  if (version !== logFormatVersion) throw new LogFault({ kind: "formatVersion", file, version });
  if (!passes) throw new LogFault({ kind: "damaged", file, offset: 12 });
  const { clusterId, memberId } = want.owner;
  if (view.getBigUint64(24, true) !== clusterId)
    throw new LogFault({ kind: "foreignCluster", file });
  if (view.getBigUint64(32, true) !== memberId) throw new LogFault({ kind: "foreignMember", file });
  if (view.getBigUint64(40, true) !== BigInt(want.sequence)) {
    throw new LogFault({ kind: "damaged", file, offset: 40 });
  }
}
