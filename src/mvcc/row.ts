// Rows: encoded mvccpb.KeyValue bytes, made once at the put and copied from there into every answer.
// In Table.key a flag byte stands before them:
//
//   | flag u8 | key 0x0a | create 0x10 | mod 0x18 | version 0x20 | value 0x2a | lease 0x30 |
//
// Zero fields are left out. A tombstone's row holds key and mod revision: the `kv` of its DELETE event.
import { LeaseId, noLease } from "../base/brand.ts";
import { emptyBytes, latin1Of, type Span, spanOf } from "../base/bytes.ts";

export const RowFlag = { put: 1, tombstone: 2 } as const;
export type RowFlag = (typeof RowFlag)[keyof typeof RowFlag];

const Tag = {
  key: 0x0a,
  create: 0x10,
  mod: 0x18,
  version: 0x20,
  value: 0x2a,
  lease: 0x30,
} as const;

const two32 = 0x1_0000_0000;
/** Every field but key and value at its longest, with the tags and lengths of all, and the flag. */
const fixedBytesMax = 1 + 4 * 11 + 2 * 6;
// Measured on Node 20: below this a loop beats a view and the call into the runtime.
const loopBytesMax = 48;

/** Key and value of a put, wherever they lie. */
export interface Pair {
  readonly key: Span;
  readonly value: Span;
}

export const pairOf = (key: Uint8Array, value: Uint8Array): Pair => ({
  key: spanOf(key),
  value: spanOf(value),
});

/** What a row of a put says beside its pair. */
export interface RowHead {
  readonly created: number;
  /** Main revision of this put. */
  readonly main: number;
  readonly version: number;
}

/** Where a row lies: bytes [from, to) of `slab`, its flag one byte before. */
export interface RowPlace {
  readonly slab: Buffer;
  readonly from: number;
  readonly to: number;
}

/** A view of a row without its flag. */
export function rowAt({ slab, from, to }: RowPlace): Uint8Array {
  return new Uint8Array(slab.buffer, slab.byteOffset + from, to - from);
}

const slabBytesMin = 8_192;
const noSlab = Buffer.alloc(0);

/**
 * Appends rows to slabs, so that a row costs neither an allocation of its own nor pins the log entry
 * that its value came in. A slab is freed when the last row in it is forgotten. The writer is itself
 * the place of the row written last: writing one makes no object.
 */
export class RowWriter implements RowPlace {
  readonly #slabBytes: number;
  /** The next slab; they grow, as most stores of tests and many in life stay small. */
  #nextBytes: number;
  /** The slab with room, and where that begins. */
  #open = noSlab;
  #free = 0;
  #slab = noSlab;
  #from = 0;
  #to = 0;

  constructor(slabBytes = 262_144) {
    this.#slabBytes = slabBytes;
    this.#nextBytes = Math.min(slabBytesMin, slabBytes);
  }

  get slab(): Buffer {
    return this.#slab;
  }

  get from(): number {
    return this.#from;
  }

  get to(): number {
    return this.#to;
  }

  /** Appends a row; it is never written to again. */
  put(head: RowHead, { key, value }: Pair, lease: LeaseId): this {
    const valueBytes = value.to - value.from;
    const from = this.#begin(RowFlag.put, fixedBytesMax + key.to - key.from + valueBytes);
    const slab = this.#slab;
    let at = writeSpan(slab, from, Tag.key, key);
    at = writeInteger(slab, at, Tag.create, head.created);
    at = writeInteger(slab, at, Tag.mod, head.main);
    at = writeInteger(slab, at, Tag.version, head.version);
    if (valueBytes > 0) at = writeSpan(slab, at, Tag.value, value);
    if (lease !== noLease) at = writeLease(slab, at, lease);
    return this.#end(at);
  }

  tombstone(key: Span, main: number): this {
    const from = this.#begin(RowFlag.tombstone, fixedBytesMax + key.to - key.from);
    const at = writeSpan(this.#slab, from, Tag.key, key);
    return this.#end(writeInteger(this.#slab, at, Tag.mod, main));
  }

  /** Finds room and writes the flag. @returns where the row begins. */
  #begin(flag: RowFlag, bytesMax: number): number {
    // A row that would take much of a slab gets a buffer of its own.
    if (bytesMax > this.#slabBytes / 4) {
      this.#slab = Buffer.allocUnsafeSlow(bytesMax);
      this.#from = 1;
    } else {
      if (this.#free + bytesMax > this.#open.length) this.#openNext(bytesMax);
      this.#slab = this.#open;
      this.#from = this.#free + 1;
    }
    this.#slab[this.#from - 1] = flag;
    return this.#from;
  }

  #openNext(bytesMin: number): void {
    while (this.#nextBytes < bytesMin) this.#nextBytes *= 2;
    this.#open = Buffer.allocUnsafeSlow(this.#nextBytes);
    this.#free = 0;
    this.#nextBytes = Math.min(2 * this.#nextBytes, this.#slabBytes);
  }

  #end(to: number): this {
    this.#to = to;
    if (this.#slab === this.#open) this.#free = to;
    return this;
  }
}

/** What an index keeps of a stored row, read in one pass; one object for many rows. */
export class StoredHead implements RowHead {
  /** Within the row read last. */
  readonly key = { bytes: emptyBytes, from: 0, to: 0 };
  created = 0;
  main = 0;
  version = 0;
  lease: LeaseId = noLease;

  /** @param stored flag and row. */
  read(stored: Uint8Array): void {
    this.created = this.main = this.version = 0;
    this.lease = noLease;
    this.key.bytes = stored;
    this.key.from = this.key.to = 0;
    for (let at = 1; at < stored.length; ) {
      const tag = stored[at++] ?? 0;
      if (tag === Tag.key) {
        const from = afterVarint(stored, at);
        at = from + integerFrom(stored, at);
        this.key.from = from;
        this.key.to = at;
        continue;
      }
      if (tag === Tag.create) this.created = integerFrom(stored, at);
      else if (tag === Tag.mod) this.main = integerFrom(stored, at);
      else if (tag === Tag.version) this.version = integerFrom(stored, at);
      else if (tag === Tag.lease) this.lease = leaseFrom(stored, at);
      at = afterField(stored, tag, at);
    }
  }
}

/** The row within a stored value; the same memory. */
export function rowOfStored(stored: Uint8Array): Uint8Array {
  return stored.subarray(1);
}

export function isTombstone(stored: Uint8Array): boolean {
  return stored[0] === RowFlag.tombstone;
}

/** The key as latin1. */
export function rowKeyText(row: Uint8Array): string {
  const at = afterVarint(row, 1);
  return latin1Of(row, at, at + integerFrom(row, 1));
}

/** The row up to its key, which comes first; the same memory. */
export function rowKeyField(row: Uint8Array): Uint8Array {
  return row.subarray(0, afterField(row, Tag.key, 1));
}

export function rowCreateRevision(row: Uint8Array): number {
  return integerAt(row, Tag.create);
}

export function rowModRevision(row: Uint8Array): number {
  return integerAt(row, Tag.mod);
}

export function rowVersion(row: Uint8Array): number {
  return integerAt(row, Tag.version);
}

/** A view into `row`. */
export function rowValue(row: Uint8Array): Uint8Array {
  const at = seek(row, Tag.value);
  if (at < 0) return emptyBytes;
  const from = afterVarint(row, at);
  return row.subarray(from, from + integerFrom(row, at));
}

export function rowLease(row: Uint8Array): LeaseId {
  const at = seek(row, Tag.lease);
  return at < 0 ? noLease : leaseFrom(row, at);
}

/** @returns the row without its value; `row` itself when it has none. */
export function withoutValue(row: Uint8Array): Uint8Array {
  const at = seek(row, Tag.value);
  if (at < 0) return row;
  const to = afterField(row, Tag.value, at);
  const short = Buffer.allocUnsafe(row.length - (to - at + 1));
  short.set(row.subarray(0, at - 1));
  short.set(row.subarray(to), at - 1);
  return short;
}

/** Offset behind the tag; -1 when the row lacks the field. */
function seek(row: Uint8Array, wanted: number): number {
  let at = 0;
  while (at < row.length) {
    const tag = row[at++] ?? 0;
    // Fields ascend.
    if (tag >= wanted) return tag === wanted ? at : -1;
    at = afterField(row, tag, at);
  }
  return -1;
}

function afterField(row: Uint8Array, tag: number, at: number): number {
  const after = afterVarint(row, at);
  return (tag & 7) === 2 ? after + integerFrom(row, at) : after;
}

function afterVarint(row: Uint8Array, offset: number): number {
  let at = offset;
  while ((row[at] ?? 0) >= 0x80) at++;
  return at + 1;
}

function integerAt(row: Uint8Array, tag: number): number {
  const at = seek(row, tag);
  return at < 0 ? 0 : integerFrom(row, at);
}

/** A varint that holds a safe integer from 0. */
function integerFrom(row: Uint8Array, offset: number): number {
  let value = 0;
  let scale = 1;
  for (let at = offset; at < row.length; at++) {
    const byte = row[at] ?? 0;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
    scale *= 0x80;
  }
  return value;
}

function leaseFrom(row: Uint8Array, offset: number): LeaseId {
  let id = 0n;
  for (let at = offset, shift = 0n; at < row.length; at++, shift += 7n) {
    const byte = row[at] ?? 0;
    id |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return LeaseId(BigInt.asIntN(64, id));
}

function writeSpan(target: Buffer, offset: number, tag: number, span: Span): number {
  const { bytes, from } = span;
  const length = span.to - from;
  target[offset] = tag;
  const at = writeVarint(target, offset + 1, length, 0);
  if (length <= loopBytesMax) {
    for (let i = 0; i < length; i++) target[at + i] = bytes[from + i] ?? 0;
  } else target.set(new Uint8Array(bytes.buffer, bytes.byteOffset + from, length), at);
  return at + length;
}

function writeInteger(target: Buffer, offset: number, tag: number, value: number): number {
  if (value === 0) return offset;
  target[offset] = tag;
  return writeVarint(target, offset + 1, value >>> 0, Math.floor(value / two32));
}

function writeLease(target: Buffer, offset: number, lease: LeaseId): number {
  target[offset] = Tag.lease;
  const low = Number(BigInt.asUintN(32, lease));
  return writeVarint(target, offset + 1, low, Number(BigInt.asUintN(32, lease >> 32n)));
}

/** Both halves unsigned 32 bits. */
function writeVarint(target: Buffer, offset: number, lowHalf: number, highHalf: number): number {
  let low = lowHalf;
  let high = highHalf;
  let at = offset;
  while (high !== 0 || low > 0x7f) {
    target[at++] = (low & 0x7f) | 0x80;
    low = ((low >>> 7) | (high << 25)) >>> 0;
    high >>>= 7;
  }
  target[at] = low;
  return at + 1;
}
