// Decoders of the KV answers, for clients. Byte strings are views into the input.
import { readKeyValue } from "./keyValue.ts";
import type { KeyValue } from "./kv.ts";
import { type Malformed, Reader } from "./reader.ts";
import type {
  CompactionResponse,
  DeleteRangeResponse,
  PutResponse,
  RangeResponse,
  ResponseHeader,
  ResponseOp,
  TxnResponse,
} from "./responses.ts";

const noHeader: ResponseHeader = { clusterId: 0n, memberId: 0n, revision: 0, raftTerm: 0 };

export function decodeRangeResponse(bytes: Uint8Array): RangeResponse | Malformed {
  const reader = new Reader(bytes);
  const response = readRange(reader);
  return reader.fault ?? response;
}

export function decodePutResponse(bytes: Uint8Array): PutResponse | Malformed {
  const reader = new Reader(bytes);
  const response = readPut(reader);
  return reader.fault ?? response;
}

export function decodeDeleteRangeResponse(bytes: Uint8Array): DeleteRangeResponse | Malformed {
  const reader = new Reader(bytes);
  const response = readDeleteRange(reader);
  return reader.fault ?? response;
}

/** Gives `nestedTooDeep` itself for an answer that is nested too deep. */
export function decodeTxnResponse(bytes: Uint8Array): TxnResponse | Malformed {
  const reader = new Reader(bytes);
  const response = readTxn(reader);
  return reader.fault ?? response;
}

/** Also every other answer that is nothing but its header. */
export function decodeCompactionResponse(bytes: Uint8Array): CompactionResponse | Malformed {
  const reader = new Reader(bytes);
  let header = noHeader;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) header = readHeader(reader);
    else reader.skip(tag, 1);
  }
  return reader.fault ?? { header };
}

/** Reads the length and the header behind it. */
export function readHeader(reader: Reader): ResponseHeader {
  let clusterId = 0n;
  let memberId = 0n;
  let revision = 0;
  let raftTerm = 0;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) clusterId = reader.uint64Exact();
    else if (tag === 0x10) memberId = reader.uint64Exact();
    else if (tag === 0x18) revision = reader.int64();
    else if (tag === 0x20) raftTerm = reader.uint64();
    else reader.skip(tag, 4);
  }
  reader.leave(outer);
  return { clusterId, memberId, revision, raftTerm };
}

function readRange(reader: Reader): RangeResponse {
  let header = noHeader;
  const kvs: KeyValue[] = [];
  let more = false;
  let count = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) header = readHeader(reader);
    else if (tag === 0x12) kvs.push(readPair(reader));
    else if (tag === 0x18) more = reader.bool();
    else if (tag === 0x20) count = reader.int64();
    else reader.skip(tag, 4);
  }
  return { header, kvs, more, count };
}

function readPut(reader: Reader): PutResponse {
  let header = noHeader;
  let prevKv: KeyValue | undefined;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) header = readHeader(reader);
    else if (tag === 0x12) prevKv = readPair(reader);
    else reader.skip(tag, 2);
  }
  return { header, prevKv };
}

function readDeleteRange(reader: Reader): DeleteRangeResponse {
  let header = noHeader;
  let deleted = 0;
  const prevKvs: KeyValue[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) header = readHeader(reader);
    else if (tag === 0x10) deleted = reader.int64();
    else if (tag === 0x1a) prevKvs.push(readPair(reader));
    else reader.skip(tag, 3);
  }
  return { header, deleted, prevKvs };
}

function readTxn(reader: Reader): TxnResponse {
  let header = noHeader;
  let succeeded = false;
  const responses: ResponseOp[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) header = readHeader(reader);
    else if (tag === 0x10) succeeded = reader.bool();
    else if (tag === 0x1a) responses.push(readOp(reader));
    else reader.skip(tag, 3);
  }
  return { header, succeeded, responses };
}

const noOp: ResponseOp = { kind: "none" };

function readOp(reader: Reader): ResponseOp {
  const outer = reader.enter();
  let op = noOp;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag !== 0x0a && tag !== 0x12 && tag !== 0x1a && tag !== 0x22) {
      reader.skip(tag, 4);
      continue;
    }
    const opEnd = reader.enter();
    if (tag === 0x0a) op = { kind: "range", response: readRange(reader) };
    else if (tag === 0x12) op = { kind: "put", response: readPut(reader) };
    else if (tag === 0x1a) op = { kind: "deleteRange", response: readDeleteRange(reader) };
    else op = { kind: "txn", response: readTxn(reader) };
    reader.leave(opEnd);
  }
  reader.leave(outer);
  return op;
}

function readPair(reader: Reader): KeyValue {
  const outer = reader.enter();
  const pair = readKeyValue(reader);
  reader.leave(outer);
  return pair;
}
