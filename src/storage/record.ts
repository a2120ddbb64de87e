// Bytes of one group write: a batch of records, each with two checksums.
//
//   batch, at a multiple of 512 bytes          record, at a multiple of 8 bytes
//    0 u32 magic                                0 u32 checksum of [4, 32): the identity
//    4 u32 checksum of [8, 64)                  4 u32 checksum of the payload
//    8 u32 bytes of the batch, padding aside    8 u32 bytes of the payload
//   12 u32 count of records; top bit: refill   12 u8  type   13 u8 entry kind   14 u16 0
//   16 u64 number of the batch                 16 u64 index  (hard state: commit)
//   24 u64 number of the last batch known      24 u64 term
//          to be synced when this was built    32 payload, zeros up to a multiple of 8
//   32 u64 term, 40 u64 vote,
//   48 u64 last index, 56 u64 its term: the log as it is behind this batch
//   64 records
//
// Numbers are little-endian. Each checksum starts from the seed of its segment, so that what an
// earlier use of the same blocks left behind never passes. A payload can fail alone: index and term
// of the entry that was lost are then still known ("Protocol-Aware Recovery", FAST '18). Each head also
// says what the log amounts to, so that a later one tells what a damaged batch hid: replay.ts.
// A sector never holds two batches: a torn write cannot hurt the batch before.
import { assert } from "../base/assert.ts";
import { LogIndex, MemberId, Term } from "../base/brand.ts";
import { crc32c } from "../base/crc.ts";
import type { Entry, HardState, Membership, RefillFloor, SnapshotMeta } from "../raft/types.ts";

export const sectorBytes = 512;
export const batchHeadBytes = 64;
export const recordHeadBytes = 32;
/** One save never comes near: raft bounds its appends far below. */
export const batchBytesMax = 1 << 30;

const batchMagic = 0x32424c51;
const refillBit = 0x8000_0000;

/** On disk: never reuse a number. */
export const RecordType = {
  entry: 1,
  hardState: 2,
  /** A snapshot took the place of the whole log. */
  snapshot: 3,
  /** The log starts behind this point; what follows it stays. Opens each segment. */
  base: 4,
  /** Entries that were acknowledged are missing; index and term of the floor, 0 when it is over. */
  refill: 5,
} as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];

/** What a log amounts to: all that it may have promised. */
export interface LogSummary {
  readonly term: Term;
  readonly vote: MemberId;
  /** End of the log; within a refill no lower than its floor. */
  readonly last: RefillFloor;
  readonly isRefilling: boolean;
}

export interface BatchHead {
  readonly bytes: number;
  readonly recordCount: number;
  readonly number: number;
  readonly synced: number;
  /** Behind this batch. */
  readonly summary: LogSummary;
}

export interface RecordHead {
  readonly type: number;
  readonly entryKind: number;
  readonly index: number;
  readonly term: number;
  readonly payloadBytes: number;
  readonly payloadCrc: number;
}

export const padTo8 = (count: number): number => (count + 7) & ~7;
export const padToSector = (count: number): number => Math.ceil(count / sectorBytes) * sectorBytes;
export const entryRecordBytes = (entry: Entry): number =>
  recordHeadBytes + padTo8(entry.data.length);
export const hardStateRecordBytes = recordHeadBytes + 8;
export const refillRecordBytes = recordHeadBytes;
export const baseRecordBytes = (meta: SnapshotMeta): number =>
  recordHeadBytes + membershipBytes(meta.membership);

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The head of a batch at `at`, or undefined unless one was written there under this seed. */
export function readBatchHead(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  seed: number,
): BatchHead | undefined {
  if (at + batchHeadBytes > bytes.length) return undefined;
  if (view.getUint32(at, true) !== batchMagic) return undefined;
  if (view.getUint32(at + 4, true) !== crc32c(bytes, at + 8, at + batchHeadBytes, seed)) {
    return undefined;
  }
  const count = view.getUint32(at + 12, true);
  const isRefilling = count >= refillBit;
  return {
    bytes: view.getUint32(at + 8, true),
    recordCount: isRefilling ? count - refillBit : count,
    number: readInteger(view, at + 16),
    synced: readInteger(view, at + 24),
    summary: {
      term: Term(readInteger(view, at + 32)),
      vote: MemberId(view.getBigUint64(at + 40, true)),
      last: readFloor(view, at + 48),
      isRefilling,
    },
  };
}

/** Index and term, 16 bytes. */
export function readFloor(view: DataView, at: number): RefillFloor {
  return { index: LogIndex(readInteger(view, at)), term: Term(readInteger(view, at + 8)) };
}

/** 16 bytes for `readFloor`. */
export function writeFloor(view: DataView, at: number, { index, term }: RefillFloor): void {
  writeInteger(view, at, index);
  writeInteger(view, at + 8, term);
}

/** The identity of the record at `at`, or undefined when it is damaged. */
export function readRecordHead(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  seed: number,
): RecordHead | undefined {
  if (at + recordHeadBytes > bytes.length) return undefined;
  if (view.getUint32(at, true) !== crc32c(bytes, at + 4, at + recordHeadBytes, seed)) {
    return undefined;
  }
  return {
    payloadCrc: view.getUint32(at + 4, true),
    payloadBytes: view.getUint32(at + 8, true),
    type: view.getUint8(at + 12),
    entryKind: view.getUint8(at + 13),
    index: readInteger(view, at + 16),
    term: readInteger(view, at + 24),
  };
}

/** True when the payload behind the record head at `at` is whole. */
export function payloadPasses(
  bytes: Uint8Array,
  at: number,
  head: RecordHead,
  seed: number,
): boolean {
  const from = at + recordHeadBytes;
  const to = from + head.payloadBytes;
  return to <= bytes.length && crc32c(bytes, from, to, seed) === head.payloadCrc;
}

/** @param at where the record head starts; the payload must have passed. */
export function readVote(view: DataView, at: number): MemberId {
  return MemberId(view.getBigUint64(at + recordHeadBytes, true));
}

/** @param at where the record head starts; the payload must have passed. */
export function readMembership(view: DataView, at: number): Membership {
  let from = at + recordHeadBytes;
  const counts = [view.getUint16(from, true), view.getUint16(from + 2, true)] as const;
  const learnerCount = view.getUint32(from + 4, true);
  from += 8;
  const take = (count: number): MemberId[] => {
    const ids: MemberId[] = [];
    for (let i = 0; i < count; i++, from += 8) ids.push(MemberId(view.getBigUint64(from, true)));
    return ids;
  };
  return { voters: take(counts[0]), outgoing: take(counts[1]), learners: take(learnerCount) };
}

const bufferBytesMin = 8 * 1024;

/** Builds one batch after the other in a buffer of its own. */
export class BatchBuilder {
  #bytes = new Uint8Array(bufferBytesMin);
  #view = viewOf(this.#bytes);
  #length = 0;
  #recordCount = 0;
  #seed = 0;

  /** The batch so far; its first `length` bytes are what must be written. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** A multiple of a sector after `finish`. */
  get length(): number {
    return this.#length;
  }

  /** @param recordsBytes the sum of the records to come; `seed` is that of their segment. */
  start(recordsBytes: number, seed: number): void {
    this.#reserve(padToSector(batchHeadBytes + recordsBytes));
    this.#length = batchHeadBytes;
    this.#recordCount = 0;
    this.#seed = seed;
  }

  /** @returns the record's offset within the batch. */
  addEntry(entry: Entry): number {
    const at = this.#length;
    const { data } = entry;
    this.#bytes.set(data, at + recordHeadBytes);
    this.#view.setUint8(at + 13, entry.kind);
    this.#endRecord(RecordType.entry, entry.index, entry.term, data.length);
    return at;
  }

  addHardState(state: HardState): void {
    const at = this.#length;
    this.#view.setBigUint64(at + recordHeadBytes, state.vote, true);
    this.#view.setUint8(at + 13, 0);
    this.#endRecord(RecordType.hardState, state.commit, state.term, 8);
  }

  addBase(type: RecordType, meta: SnapshotMeta): void {
    const at = this.#length;
    const { voters, outgoing, learners } = meta.membership;
    let to = at + recordHeadBytes;
    this.#view.setUint16(to, voters.length, true);
    this.#view.setUint16(to + 2, outgoing.length, true);
    this.#view.setUint32(to + 4, learners.length, true);
    to += 8;
    for (const ids of [voters, outgoing, learners]) {
      for (const id of ids) {
        this.#view.setBigUint64(to, id, true);
        to += 8;
      }
    }
    this.#view.setUint8(at + 13, 0);
    this.#endRecord(type, meta.index, meta.term, to - at - recordHeadBytes);
  }

  /** @param floor undefined: the refill is over. */
  addRefill(floor: RefillFloor | undefined): void {
    this.#view.setUint8(this.#length + 13, 0);
    this.#endRecord(RecordType.refill, floor?.index ?? 0, floor?.term ?? 0, 0);
  }

  /** Closes the batch: head, padding, and from now on `length` whole sectors. */
  finish(head: Pick<BatchHead, "number" | "synced" | "summary">): void {
    const view = this.#view;
    const { term, vote, last, isRefilling } = head.summary;
    view.setUint32(0, batchMagic, true);
    view.setUint32(8, this.#length, true);
    view.setUint32(12, this.#recordCount + (isRefilling ? refillBit : 0), true);
    writeInteger(view, 16, head.number);
    writeInteger(view, 24, head.synced);
    writeInteger(view, 32, term);
    view.setBigUint64(40, vote, true);
    writeFloor(view, 48, last);
    view.setUint32(4, crc32c(this.#bytes, 8, batchHeadBytes, this.#seed), true);
    const padded = padToSector(this.#length);
    this.#bytes.fill(0, this.#length, padded);
    this.#length = padded;
  }

  // Type, entry kind aside, through term; then the payload's zeros and both checksums.
  #endRecord(type: RecordType, index: number, term: number, payloadBytes: number): void {
    const at = this.#length;
    const view = this.#view;
    const payloadTo = at + recordHeadBytes + payloadBytes;
    view.setUint32(at + 4, crc32c(this.#bytes, at + recordHeadBytes, payloadTo, this.#seed), true);
    view.setUint32(at + 8, payloadBytes, true);
    view.setUint8(at + 12, type);
    view.setUint16(at + 14, 0, true);
    writeInteger(view, at + 16, index);
    writeInteger(view, at + 24, term);
    view.setUint32(at, crc32c(this.#bytes, at + 4, at + recordHeadBytes, this.#seed), true);
    this.#length = at + recordHeadBytes + padTo8(payloadBytes);
    this.#bytes.fill(0, payloadTo, this.#length);
    this.#recordCount++;
  }

  // Grows by doubling; a rare giant is given back with the next batch of ordinary size.
  #reserve(bytes: number): void {
    assert(bytes <= batchBytesMax, `a log batch of ${bytes} bytes`);
    const have = this.#bytes.length;
    if (bytes <= have && (have <= keptBytesMax || bytes > keptBytesMax)) return;
    let want = bufferBytesMin;
    while (want < bytes) want *= 2;
    this.#bytes = new Uint8Array(want);
    this.#view = viewOf(this.#bytes);
  }
}

/** A buffer up to this length stays for the next batch. */
const keptBytesMax = 8 * 1024 * 1024;

function membershipBytes(membership: Membership): number {
  const { voters, outgoing, learners } = membership;
  return 8 + 8 * (voters.length + outgoing.length + learners.length);
}

/** An entry from its parts; `data` is kept as given. */
export function entryOf(head: RecordHead, data: Uint8Array): Entry {
  const kind = head.entryKind as Entry["kind"];
  return { term: Term(head.term), index: LogIndex(head.index), kind, data };
}

function writeInteger(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

function readInteger(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
}
