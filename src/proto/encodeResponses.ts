// Encoders of the KV answers, for the server. Each gives a view into the writer, valid until its next
// use. Fields are written from the last to the first: see writer.ts.
import type {
  AnswerHeader,
  DeleteRangeAnswer,
  OpAnswer,
  PutAnswer,
  RangeAnswer,
  TxnAnswer,
} from "./responses.ts";
import { Writer } from "./writer.ts";

/** Fields 1 and 2 of ResponseHeader, for `AnswerHeader.ids`. Both are unsigned 64-bit numbers. */
export function encodeHeaderIds(clusterId: bigint, memberId: bigint): Uint8Array {
  const writer = new Writer();
  writer.id(0x10, memberId);
  writer.id(0x08, clusterId);
  return Uint8Array.from(writer.finish());
}

/** Field 1 of every answer; present even when empty. */
export function writeHeader(writer: Writer, header: AnswerHeader): void {
  const mark = writer.mark();
  writer.integer(0x20, header.raftTerm);
  writer.integer(0x18, header.revision);
  writer.raw(header.ids);
  writer.message(0x0a, mark);
}

export function encodeRangeResponse(
  writer: Writer,
  header: AnswerHeader,
  answer: RangeAnswer,
): Uint8Array {
  writeRangeBody(writer, answer);
  writeHeader(writer, header);
  return writer.finish();
}

export function encodePutResponse(
  writer: Writer,
  header: AnswerHeader,
  answer: PutAnswer,
): Uint8Array {
  writePutBody(writer, answer);
  writeHeader(writer, header);
  return writer.finish();
}

export function encodeDeleteRangeResponse(
  writer: Writer,
  header: AnswerHeader,
  answer: DeleteRangeAnswer,
): Uint8Array {
  writeDeleteRangeBody(writer, answer);
  writeHeader(writer, header);
  return writer.finish();
}

export function encodeTxnResponse(
  writer: Writer,
  header: AnswerHeader,
  answer: TxnAnswer,
): Uint8Array {
  writeTxnBody(writer, answer);
  writeHeader(writer, header);
  return writer.finish();
}

/** Also every other answer that is nothing but its header. */
export function encodeCompactionResponse(writer: Writer, header: AnswerHeader): Uint8Array {
  writeHeader(writer, header);
  return writer.finish();
}

function writeRangeBody(writer: Writer, answer: RangeAnswer): void {
  writer.integer(0x20, answer.count);
  writer.bool(0x18, answer.more);
  writeRows(writer, 0x12, answer.rows);
}

function writePutBody(writer: Writer, answer: PutAnswer): void {
  if (answer.prevRow !== undefined) writer.bytesPresent(0x12, answer.prevRow);
}

function writeDeleteRangeBody(writer: Writer, answer: DeleteRangeAnswer): void {
  writeRows(writer, 0x1a, answer.prevRows);
  writer.integer(0x10, answer.deleted);
}

function writeTxnBody(writer: Writer, answer: TxnAnswer): void {
  for (let i = answer.results.length - 1; i >= 0; i--) {
    const result = answer.results[i];
    if (result === undefined) continue;
    const mark = writer.mark();
    writeOp(writer, result);
    writer.message(0x1a, mark);
  }
  writer.bool(0x10, answer.succeeded);
}

function writeRows(writer: Writer, tag: number, rows: readonly Uint8Array[]): void {
  for (let i = rows.length - 1; i >= 0; i--) {
    const row = rows[i];
    if (row !== undefined) writer.bytesPresent(tag, row);
  }
}

function writeOp(writer: Writer, answer: OpAnswer): void {
  const mark = writer.mark();
  switch (answer.kind) {
    case "range":
      writeRangeBody(writer, answer);
      writeNestedHeader(writer, answer.revision);
      writer.message(0x0a, mark);
      break;
    case "put":
      writePutBody(writer, answer);
      writeNestedHeader(writer, answer.revision);
      writer.message(0x12, mark);
      break;
    case "deleteRange":
      writeDeleteRangeBody(writer, answer);
      writeNestedHeader(writer, answer.revision);
      writer.message(0x1a, mark);
      break;
    case "txn":
      writeTxnBody(writer, answer);
      // etcd leaves the header of a nested txn empty, but there.
      writeNestedHeader(writer, 0);
      writer.message(0x22, mark);
      break;
  }
}

/** Answers within a txn tell nothing but a revision. */
function writeNestedHeader(writer: Writer, revision: number): void {
  const mark = writer.mark();
  writer.integer(0x18, revision);
  writer.message(0x0a, mark);
}
