// Encoders of the KV requests, for clients. Each gives a view into the writer, valid until its next
// use. Fields are written from the last to the first: see writer.ts.
import type {
  CompactionRequest,
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "./kv.ts";
import type { Writer } from "./writer.ts";

export function encodeRangeRequest(writer: Writer, request: RangeRequest): Uint8Array {
  writeRange(writer, request);
  return writer.finish();
}

export function encodePutRequest(writer: Writer, request: PutRequest): Uint8Array {
  writePut(writer, request);
  return writer.finish();
}

export function encodeDeleteRangeRequest(writer: Writer, request: DeleteRangeRequest): Uint8Array {
  writeDeleteRange(writer, request);
  return writer.finish();
}

export function encodeTxnRequest(writer: Writer, request: TxnRequest): Uint8Array {
  writeTxn(writer, request);
  return writer.finish();
}

export function encodeCompactionRequest(writer: Writer, request: CompactionRequest): Uint8Array {
  writer.bool(0x10, request.physical);
  writer.integer(0x08, request.revision);
  return writer.finish();
}

function writeRange(writer: Writer, request: RangeRequest): void {
  writer.integer(0x68, request.maxCreateRevision);
  writer.integer(0x60, request.minCreateRevision);
  writer.integer(0x58, request.maxModRevision);
  writer.integer(0x50, request.minModRevision);
  writer.bool(0x48, request.countOnly);
  writer.bool(0x40, request.keysOnly);
  writer.bool(0x38, request.serializable);
  writer.integer(0x30, request.sortTarget);
  writer.integer(0x28, request.sortOrder);
  writer.integer(0x20, request.revision);
  writer.integer(0x18, request.limit);
  writer.bytes(0x12, request.rangeEnd);
  writer.bytes(0x0a, request.key);
}

function writePut(writer: Writer, request: PutRequest): void {
  writer.bool(0x30, request.ignoreLease);
  writer.bool(0x28, request.ignoreValue);
  writer.bool(0x20, request.prevKv);
  writer.id(0x18, request.lease);
  writer.bytes(0x12, request.value);
  writer.bytes(0x0a, request.key);
}

function writeDeleteRange(writer: Writer, request: DeleteRangeRequest): void {
  writer.bool(0x18, request.prevKv);
  writer.bytes(0x12, request.rangeEnd);
  writer.bytes(0x0a, request.key);
}

function writeTxn(writer: Writer, request: TxnRequest): void {
  writeOps(writer, 0x1a, request.failure);
  writeOps(writer, 0x12, request.success);
  for (let i = request.compare.length - 1; i >= 0; i--) {
    const compare = request.compare[i];
    if (compare === undefined) continue;
    const mark = writer.mark();
    writeCompare(writer, compare);
    writer.message(0x0a, mark);
  }
}

function writeOps(writer: Writer, tag: number, ops: readonly RequestOp[]): void {
  for (let i = ops.length - 1; i >= 0; i--) {
    const op = ops[i];
    if (op === undefined) continue;
    const mark = writer.mark();
    writeOp(writer, op);
    writer.message(tag, mark);
  }
}

function writeOp(writer: Writer, op: RequestOp): void {
  const mark = writer.mark();
  switch (op.kind) {
    case "range":
      writeRange(writer, op.request);
      writer.message(0x0a, mark);
      break;
    case "put":
      writePut(writer, op.request);
      writer.message(0x12, mark);
      break;
    case "deleteRange":
      writeDeleteRange(writer, op.request);
      writer.message(0x1a, mark);
      break;
    case "txn":
      writeTxn(writer, op.request);
      writer.message(0x22, mark);
      break;
    case "none":
      break;
  }
}

function writeCompare(writer: Writer, compare: Compare): void {
  writer.bytes(0x202, compare.rangeEnd);
  // A member of a oneof is written also when it is zero: that it was set is what counts.
  const operand = compare.operand;
  switch (operand?.kind) {
    case "version":
      writer.integerPresent(0x20, operand.value);
      break;
    case "create":
      writer.integerPresent(0x28, operand.value);
      break;
    case "mod":
      writer.integerPresent(0x30, operand.value);
      break;
    case "value":
      writer.bytesPresent(0x3a, operand.value);
      break;
    case "lease":
      writer.idPresent(0x40, operand.value);
      break;
    case undefined:
      break;
  }
  writer.bytes(0x1a, compare.key);
  writer.integer(0x10, compare.target);
  writer.integer(0x08, compare.result);
}
