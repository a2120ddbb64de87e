// Commands in the log. One raft entry is the batch of everything that one member took in one turn:
//
//   0      1          9             15          21         25
//   | ver  | origin   | incarnation | sequence  | count    | count × command
//   | u8=1 | u64      | u48         | u48       | u32      |
//
//   command: | kind u8 | length u32 | body |        all integers little endian
//
// The body of a KV command is the client's protobuf request as it came through the door.
// (origin, incarnation) names one life of a member; its sequences only grow. The applier skips a
// batch that is not newer than the last one of its origin, so proposing a batch again is harmless.

import { assert } from "../base/assert.ts";
import { MemberId } from "../base/brand.ts";

/** On disk for ever: never reuse a number. */
export const CommandKind = {
  ...{ put: 1, deleteRange: 2, txn: 3, compact: 4 },
  /** Of the leader's two duties, checkpoint and expire, see leaseDuties.ts. */
  ...{ leaseGrant: 5, leaseRevoke: 6, leaseCheckpoint: 7, leaseExpire: 8 },
  /** A member that has started tells its name and client URLs; see memberRecord.ts. */
  memberPublish: 9,
  alarm: 10,
} as const;
export type CommandKind = (typeof CommandKind)[keyof typeof CommandKind];

export interface BatchOrigin {
  readonly member: MemberId;
  /** Grows with every start of the member. */
  readonly incarnation: number;
  /** From 1 within an incarnation. */
  readonly sequence: number;
}

const formatVersion = 1;
const headerBytes = 25;
const incarnationAt = 9;
const sequenceAt = 15;
const countAt = 21;
const commandHeaderBytes = 5;

/** Collects the commands of a turn; `finish` gives the bytes of one entry. */
export class BatchBuilder {
  #buffer: Buffer;
  #offset = headerBytes;
  #count = 0;

  constructor(capacityBytes = 16_384) {
    this.#buffer = Buffer.allocUnsafeSlow(capacityBytes);
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes that `finish` would give now. */
  get byteLength(): number {
    return this.#offset;
  }

  /** Copies `body`; the caller may reuse its buffer. */
  add(kind: CommandKind, body: Uint8Array): void {
    const end = this.#offset + commandHeaderBytes + body.length;
    if (end > this.#buffer.length) this.#grow(end);
    const buffer = this.#buffer;
    buffer[this.#offset] = kind;
    buffer.writeUInt32LE(body.length, this.#offset + 1);
    buffer.set(body, this.#offset + commandHeaderBytes);
    this.#offset = end;
    this.#count++;
  }

  /** @returns an array that owns its memory; the builder is empty again. */
  finish(origin: BatchOrigin): Uint8Array {
    const entry = Buffer.allocUnsafeSlow(this.#offset);
    this.#buffer.copy(entry, headerBytes, headerBytes, this.#offset);
    entry[0] = formatVersion;
    entry.writeBigUInt64LE(origin.member, 1);
    entry.writeUIntLE(origin.incarnation, incarnationAt, 6);
    entry.writeUIntLE(origin.sequence, sequenceAt, 6);
    entry.writeUInt32LE(this.#count, countAt);
    this.#offset = headerBytes;
    this.#count = 0;
    return entry;
  }

  #grow(neededBytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(neededBytes, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#offset);
    this.#buffer = larger;
  }
}

/** A copy of a batch under another sequence of the same origin. */
export function restampBatch(data: Uint8Array, sequence: number): Uint8Array {
  assert(data.length >= headerBytes, "a batch has a header");
  const copy = Buffer.allocUnsafeSlow(data.length);
  copy.set(data);
  copy.writeUIntLE(sequence, sequenceAt, 6);
  return copy;
}

/** Origin of a batch, without reading its commands. */
export function batchOrigin(data: Uint8Array): BatchOrigin {
  const view = viewOf(data);
  assert(view.getUint8(0) === formatVersion, `unknown batch format ${view.getUint8(0)}`);
  return {
    member: MemberId(view.getBigUint64(1, true)),
    incarnation: uint48At(view, incarnationAt),
    sequence: uint48At(view, sequenceAt),
  };
}

/** Commands in order; the body of each is bytes [from, to) of `data`. */
export function forEachCommand(
  data: Uint8Array,
  visit: (kind: CommandKind, from: number, to: number) => void,
): void {
  const view = viewOf(data);
  const count = view.getUint32(countAt, true);
  let offset = headerBytes;
  for (let position = 0; position < count; position++) {
    const kind = view.getUint8(offset) as CommandKind;
    const length = view.getUint32(offset + 1, true);
    const from = offset + commandHeaderBytes;
    offset = from + length;
    assert(offset <= data.length, "a command ends within its batch");
    visit(kind, from, offset);
  }
  assert(offset === data.length, "a batch holds nothing after its commands");
}

function uint48At(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint16(at + 4, true) * 0x1_0000_0000;
}

function viewOf(data: Uint8Array): DataView {
  assert(data.length >= headerBytes, "a batch has a header");
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}
