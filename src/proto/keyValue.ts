// mvccpb.KeyValue. The state machine keeps each pair as these bytes (a row) and answers copy them;
// so a row is encoded once, and its fields are read without decoding the rest.

import { assert } from "../base/assert.ts";
import { type LeaseId, noLease } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import type { KeyValue } from "./kv.ts";
import { type Malformed, Reader, viewOf } from "./reader.ts";
import { varintBytes } from "./writer.ts";

const two32 = 0x1_0000_0000;
const tags = {
  key: 0x0a,
  create: 0x10,
  mod: 0x18,
  version: 0x20,
  value: 0x2a,
  lease: 0x30,
} as const;

/** Length of the row in bytes. */
export function keyValueBytes(pair: KeyValue): number {
  return (
    lengthPrefixedBytes(pair.key.length) +
    integerBytes(pair.createRevision) +
    integerBytes(pair.modRevision) +
    integerBytes(pair.version) +
    lengthPrefixedBytes(pair.value.length) +
    leaseBytes(pair.lease)
  );
}

/** @returns a row of exactly its size, from Buffer's pool when it is small. */
export function encodeKeyValue(pair: KeyValue): Buffer {
  const row = Buffer.allocUnsafe(keyValueBytes(pair));
  const end = writeKeyValue(pair, row, 0);
  assert(end === row.length, "a row has the size that was computed");
  return row;
}

/**
 * Writes the row into `target`, which must have room for `keyValueBytes(pair)` at `offset`.
 *
 * @returns the offset behind the row.
 */
export function writeKeyValue(pair: KeyValue, target: Uint8Array, offset: number): number {
  let at = writeBytes(target, offset, tags.key, pair.key);
  at = writeInteger(target, at, tags.create, pair.createRevision);
  at = writeInteger(target, at, tags.mod, pair.modRevision);
  at = writeInteger(target, at, tags.version, pair.version);
  at = writeBytes(target, at, tags.value, pair.value);
  return writeLease(target, at, pair.lease);
}

/** Byte strings are views into `row`. */
export function decodeKeyValue(row: Uint8Array): KeyValue | Malformed {
  const reader = new Reader(row);
  const pair = readKeyValue(reader);
  return reader.fault ?? pair;
}

/** Reads the pair that fills the message at hand. */
export function readKeyValue(reader: Reader): KeyValue {
  let key = emptyBytes;
  let createRevision = 0;
  let modRevision = 0;
  let version = 0;
  let value = emptyBytes;
  let lease = noLease;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case tags.key:
        key = reader.bytes();
        break;
      case tags.create:
        createRevision = reader.int64();
        break;
      case tags.mod:
        modRevision = reader.int64();
        break;
      case tags.version:
        version = reader.int64();
        break;
      case tags.value:
        value = reader.bytes();
        break;
      case tags.lease:
        lease = reader.leaseId();
        break;
      default:
        reader.skip(tag, 6);
    }
  }
  return { key, createRevision, modRevision, version, value, lease };
}

// The accessors below are for rows made by encodeKeyValue; other bytes are a Mistake or give zeros.

/** A view into `row`. */
export function rowKey(row: Uint8Array): Uint8Array {
  return bytesAt(row, tags.key);
}

/** A view into `row`. */
export function rowValue(row: Uint8Array): Uint8Array {
  return bytesAt(row, tags.value);
}

export function rowCreateRevision(row: Uint8Array): number {
  return integerAt(row, tags.create);
}

export function rowModRevision(row: Uint8Array): number {
  return integerAt(row, tags.mod);
}

export function rowVersion(row: Uint8Array): number {
  return integerAt(row, tags.version);
}

export function rowLease(row: Uint8Array): LeaseId {
  const at = seek(row, tags.lease);
  if (at < 0) return noLease;
  return new Reader(row.subarray(at)).leaseId();
}

/** @returns a row that lacks the value but keeps everything else; `row` itself if it has none. */
export function withoutValue(row: Uint8Array): Uint8Array {
  const at = seek(row, tags.value);
  if (at < 0) return row;
  const from = at - 1;
  const to = afterField(row, tags.value, at);
  const short = Buffer.allocUnsafe(row.length - (to - from));
  short.set(row.subarray(0, from));
  short.set(row.subarray(to), from);
  return short;
}

/** Offset of the value of a field (of the length, for bytes); -1 when the row does not hold it. */
function seek(row: Uint8Array, wanted: number): number {
  let offset = 0;
  while (offset < row.length) {
    const tag = row[offset++] ?? 0;
    // Fields come in ascending order.
    if (tag >= wanted) return tag === wanted ? offset : -1;
    offset = afterField(row, tag, offset);
  }
  return -1;
}

function afterField(row: Uint8Array, tag: number, offset: number): number {
  const after = afterVarint(row, offset);
  const end = (tag & 7) === 2 ? after + integerFrom(row, offset) : after;
  assert(end <= row.length, "a field ends within its row");
  return end;
}

function afterVarint(row: Uint8Array, offset: number): number {
  let at = offset;
  while ((row[at] ?? 0) >= 0x80) at++;
  return at + 1;
}

function bytesAt(row: Uint8Array, tag: number): Uint8Array {
  const at = seek(row, tag);
  if (at < 0) return emptyBytes;
  return viewOf(row, afterVarint(row, at), integerFrom(row, at));
}

function integerAt(row: Uint8Array, tag: number): number {
  const at = seek(row, tag);
  return at < 0 ? 0 : integerFrom(row, at);
}

/** A varint that is a safe integer from 0; rows hold no others but lease ids. */
function integerFrom(row: Uint8Array, offset: number): number {
  let value = 0;
  let scale = 1;
  for (let at = offset; at < row.length; at++) {
    const byte = row[at] ?? 0;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
    scale *= 0x80;
  }
  return value;
}

function lengthPrefixedBytes(length: number): number {
  return length === 0 ? 0 : 1 + varintBytes(length, 0) + length;
}

function integerBytes(value: number): number {
  return value === 0 ? 0 : 1 + varintBytes(value >>> 0, Math.floor(value / two32) >>> 0);
}

function leaseBytes(lease: LeaseId): number {
  if (lease === noLease) return 0;
  if (isSafe(lease)) return integerBytes(Number(lease));
  return 1 + varintBytes(lowHalf(lease), highHalf(lease));
}

const isSafe = (lease: LeaseId): boolean => lease > 0n && lease <= Number.MAX_SAFE_INTEGER;
const lowHalf = (lease: LeaseId): number => Number(BigInt.asUintN(32, lease));
const highHalf = (lease: LeaseId): number => Number(BigInt.asUintN(32, lease >> 32n));

function writeBytes(target: Uint8Array, offset: number, tag: number, value: Uint8Array): number {
  const length = value.length;
  if (length === 0) return offset;
  target[offset] = tag;
  const at = writeVarint(target, offset + 1, length, 0);
  // Below this, a loop is faster than a call of the engine.
  if (length <= 24) for (let i = 0; i < length; i++) target[at + i] = value[i] ?? 0;
  else target.set(value, at);
  return at + length;
}

function writeInteger(target: Uint8Array, offset: number, tag: number, value: number): number {
  if (value === 0) return offset;
  target[offset] = tag;
  return writeVarint(target, offset + 1, value >>> 0, Math.floor(value / two32) >>> 0);
}

function writeLease(target: Uint8Array, offset: number, lease: LeaseId): number {
  if (lease === noLease) return offset;
  if (isSafe(lease)) return writeInteger(target, offset, tags.lease, Number(lease));
  target[offset] = tags.lease;
  return writeVarint(target, offset + 1, lowHalf(lease), highHalf(lease));
}

function writeVarint(
  target: Uint8Array,
  offset: number,
  lowHalf: number,
  highHalf: number,
): number {
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
