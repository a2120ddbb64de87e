// Heads of plain HTTP/1.1 requests with a short body of known length. Whatever is not plain beyond doubt
// is nobody's here: node:http looks at it, and refuses what is wrong. So two readers can never disagree
// about where a request ends.
import { latin1Of } from "../base/bytes.ts";
import type { HttpRequest } from "./exchange.ts";

/** Usual heads are shorter than half of this. A longer one, or one of more fields, is not plain. */
export const quickHeadBytesMax = 8_192;
export const quickFieldsMax = 64;

const requestLine = /^POST (\/[!-~]*) HTTP\/1\.1$/;
// No white space before the colon, none at the start of a line: both have smuggled requests.
const fieldLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([!-~](?:[\t -~]*[!-~])?)?[\t ]*$/;
const lengthText = /^(0|[1-9]\d{0,8})$/;
const headEnd = Buffer.from("\r\n\r\n");
const noQuery = new URLSearchParams();

/** Fields that change where a request ends, or what follows it. */
const otherways = ["transfer-encoding", "expect", "upgrade", "trailer", "http2-settings"];

export interface QuickHead extends HttpRequest {
  /** With the empty line behind it. */
  readonly bytes: Buffer;
  readonly bodyBytes: number;
}

/**
 * The head at `from`.
 * @returns "cut" when its end is not there yet, undefined for one that is not plain.
 */
export function readQuickHead(
  bytes: Buffer,
  from: number,
  { isSecure, bytesMax }: { readonly isSecure: boolean; readonly bytesMax: number },
): QuickHead | "cut" | undefined {
  const end = bytes.indexOf(headEnd, from);
  if (end < 0) return bytes.length - from > bytesMax ? undefined : "cut";
  if (end - from > bytesMax) return undefined;
  const [first = "", ...lines] = latin1Of(bytes, from, end).split("\r\n");
  const [, path] = requestLine.exec(first) ?? [];
  // A query is looked at by whoever knows its escapes.
  if (path === undefined || path.includes("?") || lines.length > quickFieldsMax) return undefined;
  const fields = new Map<string, string>();
  for (const line of lines) {
    const [, name, value = ""] = fieldLine.exec(line) ?? [];
    const key = name?.toLowerCase();
    // No field twice: readers differ in which of them counts.
    if (key === undefined || fields.has(key)) return undefined;
    fields.set(key, value);
  }
  const length = fields.get("content-length") ?? "";
  if (!isPlain(fields) || !lengthText.test(length)) return undefined;
  return {
    method: "POST",
    path,
    query: noQuery,
    header: (name) => fields.get(name),
    isSecure,
    // A copy: the chunk that it came in may be large.
    bytes: Buffer.from(bytes.subarray(from, end + headEnd.length)),
    bodyBytes: Number(length),
  };
}

function isPlain(fields: ReadonlyMap<string, string>): boolean {
  const connection = fields.get("connection") ?? "keep-alive";
  return (
    (fields.get("host") ?? "") !== "" &&
    connection.toLowerCase() === "keep-alive" &&
    !otherways.some((name) => fields.has(name))
  );
}

/** Whether `bytes` at `from` begin with the same head, to the last byte. */
export function isSameHead(head: QuickHead, bytes: Buffer, from: number): boolean {
  const to = from + head.bytes.length;
  return to <= bytes.length && head.bytes.compare(bytes, from, to) === 0;
}
