// Frames with which an image of the state goes from a leader to a peer: the bulk kind of transport/frame.ts.
// Integers are little endian; a u64 is a safe integer unless it is an id.
//
//   0         1          2                        6      7       8           16
//   | version | kind = 2 | CRC32C of what follows | type | zero  | transfer  | sequence | body
//   | u8 = 1  | u8       | u32                    | u8   | u8    | u64       | u32      |
//
//   leader to peer                                      peer to leader
//   offer   0    | index | term | leader's term, u64    ack     next   | got u32 | done u8 |
//                | voters, outgoing, learners: count    refuse  0      | why u8 |
//                | u8 and ids u64 each |
//   chunk   1..n | bytes of rows, see imageRows.ts |
//   end     n+1  | leader's term, rows, bytes u64 | CRC32C of all chunks u32 |
//   abort   0
import { assert } from "../base/assert.ts";
import { LogIndex, MemberId, Term } from "../base/brand.ts";
import { crc32c, joinedCrc32c } from "../base/crc.ts";
import { membersMax } from "../raft/membership.ts";
import type { SnapshotMeta } from "../raft/types.ts";
import { FrameKind } from "../transport/frame.ts";

/** Bytes of rows in one chunk. */
export const chunkBytesMax = 256 << 10;
export const imageHeadBytes = 20;

const formatVersion = 1;
const crcOffset = 2;
const typeOffset = 6;
const transferOffset = 8;
const sequenceOffset = 16;

const Type = { offer: 1, chunk: 2, end: 3, ack: 4, refuse: 5, abort: 6 } as const;

/** Why a peer takes no more of a transfer; on the wire: never reuse a number. */
export const Refusal = {
  /** It knows nothing of this transfer: it was restarted, or gave it up. */
  unknown: 1,
  /** The chunks are whole, but what they say is not what was sent. */
  damaged: 2,
  /** It is taking over another image, or its state machine is not ready for one. */
  busy: 3,
  /** Its disk failed the store that was being built. */
  failed: 4,
  /** It knows of a newer term. */
  stale: 5,
} as const;
export type Refusal = (typeof Refusal)[keyof typeof Refusal];

export interface OfferFrame {
  readonly kind: "offer";
  readonly transfer: number;
  readonly meta: SnapshotMeta;
  readonly leaderTerm: Term;
}

export interface ChunkFrame {
  readonly kind: "chunk";
  readonly transfer: number;
  readonly sequence: number;
  /** A view into the frame. */
  readonly bytes: Uint8Array;
  /** CRC32C of these. */
  readonly checksum: number;
}

export interface EndFrame {
  readonly kind: "end";
  readonly transfer: number;
  readonly sequence: number;
  readonly leaderTerm: Term;
  readonly rows: number;
  readonly bytes: number;
  readonly digest: number;
}

export interface AckFrame {
  readonly kind: "ack";
  readonly transfer: number;
  /** The first sequence that is not in the peer's store yet. */
  readonly next: number;
  /** The first that has not arrived; the leader goes back to there. */
  readonly got: number;
  /** The peer needs nothing more: its state is this image's, or newer. */
  readonly done: boolean;
}

export interface RefuseFrame {
  readonly kind: "refuse";
  readonly transfer: number;
  readonly why: Refusal;
}

export interface AbortFrame {
  readonly kind: "abort";
  readonly transfer: number;
}

export type ImageFrame = OfferFrame | ChunkFrame | EndFrame | AckFrame | RefuseFrame | AbortFrame;

/** @returns an array that owns its memory, so it may be transferred. */
export function encodeImageFrame(frame: Exclude<ImageFrame, ChunkFrame>): Uint8Array {
  switch (frame.kind) {
    case "offer":
      return sealed(Type.offer, { ...frame, sequence: 0 }, offerBody(frame));
    case "end":
      return sealed(Type.end, frame, endBody(frame));
    case "ack": {
      const body = Buffer.allocUnsafe(5);
      body.writeUInt32LE(frame.got, 0);
      body.writeUInt8(frame.done ? 1 : 0, 4);
      return sealed(Type.ack, { ...frame, sequence: frame.next }, body);
    }
    case "refuse":
      return sealed(Type.refuse, { ...frame, sequence: 0 }, Buffer.of(frame.why));
    case "abort":
      return sealed(Type.abort, { ...frame, sequence: 0 }, Buffer.alloc(0));
  }
}

/**
 * Makes a frame of a buffer whose rows begin behind `imageHeadBytes`; nothing is copied.
 *
 * @param chunk.checksum CRC32C of the rows, for whoever knows it.
 */
export function sealChunk(
  frame: Buffer,
  {
    checksum = crc32c(frame, imageHeadBytes),
    ...place
  }: { readonly transfer: number; readonly sequence: number; readonly checksum?: number },
): void {
  writeHead(frame, { type: Type.chunk, ...place }, checksum);
}

/** @returns the frame, or why the bytes are none; nothing they claim is believed before it is checked. */
export function decodeImageFrame(bytes: Uint8Array): ImageFrame | string {
  if (bytes.length < imageHeadBytes) return "the frame is cut off";
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (frame[0] !== formatVersion || frame[1] !== FrameKind.bulk) return "not a bulk frame";
  if (frame.length > imageHeadBytes + chunkBytesMax) return "the frame is too large";
  const checksum = crc32c(frame, imageHeadBytes);
  if (frame.readUInt32LE(crcOffset) !== wholeChecksum(frame, checksum)) {
    return "the checksum is wrong";
  }
  const transfer = readCount(frame, transferOffset);
  if (transfer === undefined || frame[typeOffset + 1] !== 0) return "the head is wrong";
  const sequence = frame.readUInt32LE(sequenceOffset);
  return decodeBody(frame, { transfer, sequence }, checksum) ?? "the body is wrong";
}

interface Place {
  readonly transfer: number;
  readonly sequence: number;
}

function decodeBody(
  frame: Buffer,
  { transfer, sequence }: Place,
  checksum: number,
): ImageFrame | undefined {
  const body = frame.subarray(imageHeadBytes);
  switch (frame[typeOffset]) {
    case Type.offer:
      return sequence === 0 ? decodeOffer(body, transfer) : undefined;
    case Type.chunk:
      if (sequence === 0 || body.length === 0) return undefined;
      return { kind: "chunk", transfer, sequence, bytes: body, checksum };
    case Type.end:
      return sequence === 0 ? undefined : decodeEnd(body, { transfer, sequence });
    case Type.ack:
      return decodeAck(body, { transfer, sequence });
    case Type.refuse:
      return sequence === 0 ? decodeRefusal(body, transfer) : undefined;
    case Type.abort:
      return sequence === 0 && body.length === 0 ? { kind: "abort", transfer } : undefined;
    default:
      return undefined;
  }
}

function offerBody({ meta, leaderTerm }: OfferFrame): Buffer {
  const { voters, outgoing, learners } = meta.membership;
  const lists = [voters, outgoing, learners];
  const body = Buffer.alloc(24 + lists.reduce((sum, ids) => sum + 1 + 8 * ids.length, 0));
  for (const [i, count] of [meta.index, meta.term, leaderTerm].entries()) {
    body.writeBigUInt64LE(BigInt(count), 8 * i);
  }
  let at = 24;
  for (const ids of lists) {
    assert(ids.length <= membersMax, "a membership is bounded");
    body.writeUInt8(ids.length, at++);
    for (const id of ids) at = body.writeBigUInt64LE(id, at);
  }
  return body;
}

function decodeOffer(body: Buffer, transfer: number): OfferFrame | undefined {
  if (body.length < 24) return undefined;
  const [index, term, leaderTerm] = [0, 8, 16].map((at) => readCount(body, at));
  if (index === undefined || term === undefined || leaderTerm === undefined) return undefined;
  const reader = { body, at: 24 };
  const [voters, outgoing, learners] = [readIds(reader), readIds(reader), readIds(reader)];
  if (voters === undefined || outgoing === undefined || learners === undefined) return undefined;
  if (reader.at !== body.length) return undefined;
  if (index === 0 || term === 0 || term > leaderTerm || voters.length === 0) return undefined;
  const membership = { voters, outgoing, learners };
  const meta = { index: LogIndex(index), term: Term(term), membership };
  return { kind: "offer", transfer, meta, leaderTerm: Term(leaderTerm) };
}

function readIds(reader: { readonly body: Buffer; at: number }): MemberId[] | undefined {
  const { body } = reader;
  const count = body[reader.at++];
  if (count === undefined || count > membersMax) return undefined;
  if (body.length - reader.at < 8 * count) return undefined;
  return Array.from({ length: count }, () => {
    reader.at += 8;
    return MemberId(body.readBigUInt64LE(reader.at - 8));
  });
}

function endBody({ leaderTerm, rows, bytes, digest }: EndFrame): Buffer {
  const body = Buffer.alloc(28);
  for (const [i, count] of [leaderTerm, rows, bytes].entries()) {
    body.writeBigUInt64LE(BigInt(count), 8 * i);
  }
  body.writeUInt32LE(digest, 24);
  return body;
}

function decodeEnd(body: Buffer, place: Place): EndFrame | undefined {
  if (body.length !== 28) return undefined;
  const [leaderTerm, rows, bytes] = [0, 8, 16].map((at) => readCount(body, at));
  if (leaderTerm === undefined || rows === undefined || bytes === undefined) return undefined;
  const digest = body.readUInt32LE(24);
  return { kind: "end", ...place, leaderTerm: Term(leaderTerm), rows, bytes, digest };
}

function decodeAck(body: Buffer, { transfer, sequence }: Place): AckFrame | undefined {
  if (body.length !== 5) return undefined;
  const got = body.readUInt32LE(0);
  const done = body.readUInt8(4);
  if (got < sequence || done > 1) return undefined;
  return { kind: "ack", transfer, next: sequence, got, done: done === 1 };
}

function decodeRefusal(body: Buffer, transfer: number): RefuseFrame | undefined {
  const why = Object.values(Refusal).find((each) => each === body[0]);
  return body.length === 1 && why !== undefined ? { kind: "refuse", transfer, why } : undefined;
}

/** Undefined for what is no safe integer. */
function readCount(bytes: Buffer, at: number): number | undefined {
  const value = Number(bytes.readBigUInt64LE(at));
  return Number.isSafeInteger(value) ? value : undefined;
}

function sealed(type: number, place: Place, body: Buffer): Uint8Array {
  const frame = Buffer.allocUnsafeSlow(imageHeadBytes + body.length);
  frame.set(body, imageHeadBytes);
  writeHead(frame, { type, ...place }, crc32c(body));
  return frame;
}

/** @param checksum of the body, which lies in its place. */
function writeHead(
  frame: Buffer,
  { type, transfer, sequence }: Place & { readonly type: number },
  checksum: number,
): void {
  frame[0] = formatVersion;
  frame[1] = FrameKind.bulk;
  frame[typeOffset] = type;
  frame[typeOffset + 1] = 0;
  frame.writeBigUInt64LE(BigInt(transfer), transferOffset);
  frame.writeUInt32LE(sequence, sequenceOffset);
  frame.writeUInt32LE(wholeChecksum(frame, checksum), crcOffset);
}

/** Of all that the frame's checksum covers: the body is the bulk of it, and read once. */
function wholeChecksum(frame: Buffer, checksumOfBody: number): number {
  const head = crc32c(frame, typeOffset, imageHeadBytes);
  return joinedCrc32c(head, checksumOfBody, frame.length - imageHeadBytes);
}
