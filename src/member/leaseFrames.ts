// What members ask a leader about leases, and its answers: everything of a turn for one peer in a frame
// of its own kind. Integers and floats are little endian.
//
//   0        1        2       4          8
//   | u8 = 1 | u8 = 3 | lane  | count    | count × record
//                     | u16   | u32      |
//
//   asking (lane 1):    | request u48 | what u8 | lease i64                       |
//   answering (lane 2): | request u48 | led u8  | TTL s f64   | granted TTL s f64 |
import { LeaseId } from "../base/brand.ts";
import { FrameKind } from "../transport/frame.ts";

/** Records of one frame; more of a turn go into the next. */
export const leaseRecordsMax = 4_096;

export const LeaseAsk = { renew: 1, timeToLive: 2 } as const;
export type LeaseAsk = (typeof LeaseAsk)[keyof typeof LeaseAsk];

export interface LeaseRecord {
  /** Fresh for every try; below 2^48. */
  readonly request: number;
  readonly what: LeaseAsk;
  readonly id: LeaseId;
}

export interface LeaseReply {
  readonly request: number;
  /** False: whoever was asked does not lead, and the other fields say nothing. */
  readonly led: boolean;
  /** Renewed: the granted TTL, 0 for an unknown lease. Time to live: whole seconds left, -1 for unknown. */
  readonly ttlSec: number;
  readonly grantedTtlSec: number;
}

export type LeaseFrame =
  | { readonly kind: "ask"; readonly questions: readonly LeaseRecord[] }
  | { readonly kind: "answer"; readonly replies: readonly LeaseReply[] };

const formatVersion = 1;
const Lane = { ask: 1, answer: 2 } as const;
const headBytes = 8;
const questionBytes = 15;
const replyBytes = 23;

/** @param questions at most `leaseRecordsMax`. @returns an array that owns its memory. */
export function encodeLeaseQuestions(questions: readonly LeaseRecord[]): Uint8Array {
  const frame = frameOf(Lane.ask, questions.length, questionBytes);
  let at = headBytes;
  for (const { request, what, id } of questions) {
    frame.writeUIntLE(request, at, 6);
    frame[at + 6] = what;
    frame.writeBigInt64LE(id, at + 7);
    at += questionBytes;
  }
  return frame;
}

/** @param replies at most `leaseRecordsMax`. @returns an array that owns its memory. */
export function encodeLeaseReplies(replies: readonly LeaseReply[]): Uint8Array {
  const frame = frameOf(Lane.answer, replies.length, replyBytes);
  let at = headBytes;
  for (const { request, led, ttlSec, grantedTtlSec } of replies) {
    frame.writeUIntLE(request, at, 6);
    frame[at + 6] = led ? 1 : 0;
    frame.writeDoubleLE(ttlSec, at + 7);
    frame.writeDoubleLE(grantedTtlSec, at + 15);
    at += replyBytes;
  }
  return frame;
}

/** @returns undefined for bytes that no member of ours sends. */
export function decodeLeaseFrame(bytes: Uint8Array): LeaseFrame | undefined {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (frame.length < headBytes || frame[0] !== formatVersion) return undefined;
  if (frame[1] !== FrameKind.lease) return undefined;
  const lane = frame.readUInt16LE(2);
  const count = frame.readUInt32LE(4);
  const recordBytes = lane === Lane.ask ? questionBytes : replyBytes;
  if (count > leaseRecordsMax || frame.length !== headBytes + count * recordBytes) return undefined;
  const offsets = Array.from({ length: count }, (_, i) => headBytes + i * recordBytes);
  if (lane === Lane.answer) {
    return { kind: "answer", replies: offsets.map((at) => readReply(frame, at)) };
  }
  const questions = offsets.map((at) => readQuestion(frame, at));
  return lane === Lane.ask && questions.every(isKnown) ? { kind: "ask", questions } : undefined;
}

function frameOf(lane: number, count: number, recordBytes: number): Buffer {
  const frame = Buffer.allocUnsafeSlow(headBytes + count * recordBytes);
  frame[0] = formatVersion;
  frame[1] = FrameKind.lease;
  frame.writeUInt16LE(lane, 2);
  frame.writeUInt32LE(count, 4);
  return frame;
}

function readQuestion(frame: Buffer, at: number): LeaseRecord {
  return {
    request: frame.readUIntLE(at, 6),
    what: frame.readUInt8(at + 6) as LeaseAsk,
    id: LeaseId(frame.readBigInt64LE(at + 7)),
  };
}

const isKnown = ({ what }: LeaseRecord): boolean =>
  what === LeaseAsk.renew || what === LeaseAsk.timeToLive;

function readReply(frame: Buffer, at: number): LeaseReply {
  return {
    request: frame.readUIntLE(at, 6),
    led: frame[at + 6] === 1,
    ttlSec: frame.readDoubleLE(at + 7),
    grantedTtlSec: frame.readDoubleLE(at + 15),
  };
}
