// The answer to a range over very many keys, in parts that are encoded as they are read:
//
//   head: header | rows | rows | … | tail: more, count
import { allocateBytes, copyBytes, totalBytes } from "../base/bytes.ts";
import { errAnswerTooLarge } from "../base/errors.ts";
import { writeHeader } from "./encodeResponses.ts";
import type { AnswerHeader, RangePartsAnswer } from "./responses.ts";
import { sendBytesMax, varintBytes, type Writer } from "./writer.ts";

const rowTag = 0x12;

/** Rows as they stand in a range's answer; owns its memory. */
export function encodeRows(rows: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const row of rows) length += 1 + varintBytes(row.length, 0) + row.length;
  const part = allocateBytes(length);
  let at = 0;
  for (const row of rows) {
    part[at++] = rowTag;
    let rest = row.length;
    for (; rest >= 0x80; rest >>>= 7) part[at++] = (rest & 0x7f) | 0x80;
    part[at++] = rest;
    part.set(row, at);
    at += row.length;
  }
  return part;
}

/** @returns the message, to be read from the first part to the last. @throws {EtcdError} too large. */
export function encodeRangeParts(
  writer: Writer,
  header: AnswerHeader,
  { parts, more, count }: RangePartsAnswer,
): readonly Uint8Array[] {
  writeHeader(writer, header);
  const head = copyBytes(writer.finish());
  writer.integer(0x20, count);
  writer.bool(0x18, more);
  const tail = copyBytes(writer.finish());
  const whole = [head, ...parts, tail];
  const length = totalBytes(whole);
  if (length > sendBytesMax) throw errAnswerTooLarge(length, sendBytesMax);
  return whole;
}
