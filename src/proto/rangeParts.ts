// The answer to a range over very many keys, in parts that are encoded as they are read:
//
//   head: header | rows | rows | … | tail: more, count
import { allocateBytes, copyBytes, totalBytes } from "../base/bytes.ts";
import { errAnswerTooLarge } from "../base/errors.ts";
import { writeHeader } from "./encodeResponses.ts";
import type { AnswerHeader, RangePartsAnswer } from "./responses.ts";
import { sendBytesMax, varintBytes, type Writer } from "./writer.ts";

const rowTag = 0x12;
/** Rows are cut into parts behind the one that reaches it. */
export const partBytesMin = 524_288;

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

/** Undefined for rows that are few and short enough to be sent as one. */
export function encodeLongRows(rows: readonly Uint8Array[]): readonly Uint8Array[] | undefined {
  if (totalBytes(rows) < 2 * partBytesMin) return undefined;
  const parts: Uint8Array[] = [];
  let from = 0;
  let bytes = 0;
  for (const [at, row] of rows.entries()) {
    bytes += row.length;
    if (bytes < partBytesMin) continue;
    parts.push(encodeRows(rows.slice(from, at + 1)));
    from = at + 1;
    bytes = 0;
  }
  parts.push(encodeRows(rows.slice(from)));
  return parts;
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
