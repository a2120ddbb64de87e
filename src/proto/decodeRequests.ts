// Decoders of the KV requests. Byte strings are views into the input. A message that occurs twice
// in a oneof is replaced by the later one, as in etcd.
import { noLease } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import type {
  CompactionRequest,
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "./kv.ts";
import { type Malformed, Reader } from "./reader.ts";

export function decodeRangeRequest(bytes: Uint8Array): RangeRequest | Malformed {
  const reader = new Reader(bytes);
  const request = readRange(reader);
  return reader.fault ?? request;
}

export function decodePutRequest(bytes: Uint8Array): PutRequest | Malformed {
  const reader = new Reader(bytes);
  const request = readPut(reader);
  return reader.fault ?? request;
}

export function decodeDeleteRangeRequest(bytes: Uint8Array): DeleteRangeRequest | Malformed {
  const reader = new Reader(bytes);
  const request = readDeleteRange(reader);
  return reader.fault ?? request;
}

/** Gives `nestedTooDeep` itself for a txn that is nested too deep. */
export function decodeTxnRequest(bytes: Uint8Array): TxnRequest | Malformed {
  const reader = new Reader(bytes);
  const request = readTxn(reader);
  return reader.fault ?? request;
}

export function decodeCompactionRequest(bytes: Uint8Array): CompactionRequest | Malformed {
  const reader = new Reader(bytes);
  let revision = 0;
  let physical = false;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) revision = reader.int64();
    else if (tag === 0x10) physical = reader.bool();
    else reader.skip(tag, 2);
  }
  return reader.fault ?? { revision, physical };
}

function readRange(reader: Reader): RangeRequest {
  let key = emptyBytes;
  let rangeEnd = emptyBytes;
  let limit = 0;
  let revision = 0;
  let sortOrder = 0;
  let sortTarget = 0;
  let serializable = false;
  let keysOnly = false;
  let countOnly = false;
  let minModRevision = 0;
  let maxModRevision = 0;
  let minCreateRevision = 0;
  let maxCreateRevision = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) key = reader.bytes();
    else if (tag === 0x12) rangeEnd = reader.bytes();
    else if (tag === 0x18) limit = reader.int64();
    else if (tag === 0x20) revision = reader.int64();
    else if (tag === 0x28) sortOrder = reader.int32();
    else if (tag === 0x30) sortTarget = reader.int32();
    else if (tag === 0x38) serializable = reader.bool();
    else if (tag === 0x40) keysOnly = reader.bool();
    else if (tag === 0x48) countOnly = reader.bool();
    else if (tag === 0x50) minModRevision = reader.int64();
    else if (tag === 0x58) maxModRevision = reader.int64();
    else if (tag === 0x60) minCreateRevision = reader.int64();
    else if (tag === 0x68) maxCreateRevision = reader.int64();
    else reader.skip(tag, 13);
  }
  return {
    key,
    rangeEnd,
    limit,
    revision,
    sortOrder,
    sortTarget,
    serializable,
    keysOnly,
    countOnly,
    minModRevision,
    maxModRevision,
    minCreateRevision,
    maxCreateRevision,
  };
}

function readPut(reader: Reader): PutRequest {
  let key = emptyBytes;
  let value = emptyBytes;
  let lease = noLease;
  let prevKv = false;
  let ignoreValue = false;
  let ignoreLease = false;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 0x0a:
        key = reader.bytes();
        break;
      case 0x12:
        value = reader.bytes();
        break;
      case 0x18:
        lease = reader.leaseId();
        break;
      case 0x20:
        prevKv = reader.bool();
        break;
      case 0x28:
        ignoreValue = reader.bool();
        break;
      case 0x30:
        ignoreLease = reader.bool();
        break;
      default:
        reader.skip(tag, 6);
    }
  }
  return { key, value, lease, prevKv, ignoreValue, ignoreLease };
}

function readDeleteRange(reader: Reader): DeleteRangeRequest {
  let key = emptyBytes;
  let rangeEnd = emptyBytes;
  let prevKv = false;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) key = reader.bytes();
    else if (tag === 0x12) rangeEnd = reader.bytes();
    else if (tag === 0x18) prevKv = reader.bool();
    else reader.skip(tag, 3);
  }
  return { key, rangeEnd, prevKv };
}

function readTxn(reader: Reader): TxnRequest {
  const compare: Compare[] = [];
  const success: RequestOp[] = [];
  const failure: RequestOp[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag !== 0x0a && tag !== 0x12 && tag !== 0x1a) {
      reader.skip(tag, 3);
      continue;
    }
    const outer = reader.enter();
    if (tag === 0x0a) compare.push(readCompare(reader));
    else if (tag === 0x12) success.push(readOp(reader));
    else failure.push(readOp(reader));
    reader.leave(outer);
  }
  return { compare, success, failure };
}

const noOp: RequestOp = { kind: "none" };

function readOp(reader: Reader): RequestOp {
  let op = noOp;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag !== 0x0a && tag !== 0x12 && tag !== 0x1a && tag !== 0x22) {
      reader.skip(tag, 4);
      continue;
    }
    const outer = reader.enter();
    if (tag === 0x0a) op = { kind: "range", request: readRange(reader) };
    else if (tag === 0x12) op = { kind: "put", request: readPut(reader) };
    else if (tag === 0x1a) op = { kind: "deleteRange", request: readDeleteRange(reader) };
    else op = { kind: "txn", request: readTxn(reader) };
    reader.leave(outer);
  }
  return op;
}

function readCompare(reader: Reader): Compare {
  let result = 0;
  let target = 0;
  let key = emptyBytes;
  let rangeEnd = emptyBytes;
  let operand: Compare["operand"];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 0x08:
        result = reader.int32();
        break;
      case 0x10:
        target = reader.int32();
        break;
      case 0x1a:
        key = reader.bytes();
        break;
      case 0x20:
        operand = { kind: "version", value: reader.int64() };
        break;
      case 0x28:
        operand = { kind: "create", value: reader.int64() };
        break;
      case 0x30:
        operand = { kind: "mod", value: reader.int64() };
        break;
      case 0x3a:
        operand = { kind: "value", value: reader.bytes() };
        break;
      case 0x40:
        operand = { kind: "lease", value: reader.leaseId() };
        break;
      case 0x202:
        rangeEnd = reader.bytes();
        break;
      default:
        // Field 64 is known too, but away from the others.
        reader.skip(tag, tag >>> 3 === 64 ? 64 : 8);
    }
  }
  return { result, target, key, rangeEnd, operand };
}
