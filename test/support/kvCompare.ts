// Two answers to one KV request, compared field by field; only what etcd leaves open may differ.
import { createHash } from "node:crypto";
import { type KvMethod, type KvRequest, requestTypeOf } from "./kvGenerator.ts";
import { decodeMessage, messageType } from "./messages.ts";
import type { WireAnswer } from "./wireClient.ts";

type Fields = Record<string, unknown>;

export const responseTypeOf: Readonly<Record<KvMethod, string>> = {
  Range: "RangeResponse",
  Put: "PutResponse",
  DeleteRange: "DeleteRangeResponse",
  Txn: "TxnResponse",
  Compact: "CompactionResponse",
};

/** Longer requests are found again by their seed. */
const hexShownMax = 400;

/** Attribute that a sort target looks at; keys never tie. */
const sortAttribute: Readonly<Record<number, string>> = {
  1: "version",
  2: "create_revision",
  3: "mod_revision",
  4: "value",
};

/**
 * An answer as text that is equal for equal answers. Left open: who answered in which term, and
 * the order of ties in a sort (with a limit also which of the last ties were cut).
 */
export function canonicalAnswer(request: KvRequest, answer: WireAnswer): string {
  if (answer.kind === "error") return `error ${answer.code} ${answer.text}`;
  const response = decodeMessage(responseTypeOf[request.method], answer.message);
  hideIdentity(response);
  if (request.method === "Range") settleTies(request.message, response);
  if (request.method === "Txn") settleTxn(request.message, response);
  return JSON.stringify(response, showBytes, 1);
}

/** The same bytes behind headers that say the same: most answers, which need no text to be compared. */
export function isPlainlySame(request: KvRequest, one: WireAnswer, other: WireAnswer): boolean {
  if (one.kind === "error" || other.kind === "error") return false;
  const [a, b] = [headerEnd(one.message), headerEnd(other.message)];
  if (!one.message.subarray(a).equals(other.message.subarray(b))) return false;
  const head = (message: Buffer, end: number): string =>
    canonicalAnswer(request, { kind: "ok", message: message.subarray(0, end) });
  return head(one.message, a) === head(other.message, b);
}

/** Headers are field 1 of every answer, and shorter than 128 bytes; 0 when none stands in front. */
function headerEnd(message: Buffer): number {
  const length = message[0] === 0x0a ? (message[1] ?? 128) : 128;
  return length < 128 && length + 2 <= message.length ? length + 2 : 0;
}

/** The header revision, or undefined for an error. */
export function revisionIn(request: KvRequest, answer: WireAnswer): number | undefined {
  if (answer.kind === "error") return undefined;
  const { header } = decodeMessage(responseTypeOf[request.method], answer.message);
  return Number(asFields(header).revision ?? 0);
}

/** @returns what is wrong with the bytes of an answer: unknown fields, zeros that were written out. */
export function encodingFault(method: KvMethod, answer: WireAnswer): string | undefined {
  if (answer.kind === "error") return undefined;
  const type = messageType(responseTypeOf[method]);
  const again = type.encode(type.decode(answer.message)).finish();
  if (answer.message.equals(again)) return undefined;
  return `${method} answered ${answer.message.toString("hex")}, canonical is ${Buffer.from(again).toString("hex")}`;
}

/** The request for a failure message: readable, and exact enough to send again. */
export function dump(request: KvRequest): string {
  const message = decodeMessage(requestTypeOf[request.method], request.bytes);
  const hex = Buffer.from(request.bytes).toString("hex");
  const text = `${request.method} ${JSON.stringify(message, showBytes)}`;
  return hex.length > hexShownMax ? text : `${text}\nbytes ${hex}`;
}

function hideIdentity(response: Fields): void {
  const header = asFields(response.header);
  for (const field of ["cluster_id", "member_id", "raft_term"]) {
    if (header[field] !== undefined) header[field] = "set";
  }
}

function settleTxn(request: Fields, response: Fields): void {
  const ops = asList(response.succeeded ? request.success : request.failure);
  for (const [i, answer] of asList(response.responses).entries()) {
    const op = ops[i] ?? {};
    if (answer.response_range) {
      settleTies(asFields(op.request_range), asFields(answer.response_range));
    }
    if (answer.response_txn) settleTxn(asFields(op.request_txn), asFields(answer.response_txn));
  }
}

/** Orders each run of ties by key; the run that a limit may have cut keeps only its length. */
function settleTies(request: Fields, response: Fields): void {
  const attribute = sortAttribute[Number(request.sort_target ?? 0)];
  if (attribute === undefined || !Array.isArray(response.kvs)) return;
  // Without values in the answer nobody can tell which of them tied.
  const hidden = attribute === "value" && request.keys_only === true;
  const runs = runsOf(asList(response.kvs), (kv) => (hidden ? "" : showValue(kv[attribute])));
  response.kvs = runs.map((run, i) => {
    const cut = response.more === true && i === runs.length - 1;
    return cut ? `${run.length} of the ties` : run.sort(byKey);
  });
}

function runsOf(kvs: readonly Fields[], attribute: (kv: Fields) => string): Fields[][] {
  const runs: Fields[][] = [];
  let last: string | undefined;
  for (const kv of kvs) {
    const now = attribute(kv);
    if (now === last) runs.at(-1)?.push(kv);
    else runs.push([kv]);
    last = now;
  }
  return runs;
}

function byKey(a: Fields, b: Fields): number {
  const [keyA, keyB] = [showValue(a.key), showValue(b.key)];
  return keyA < keyB ? -1 : keyA > keyB ? 1 : 0;
}

function showValue(value: unknown): string {
  return Buffer.isBuffer(value) ? value.toString("latin1") : `${value}`;
}

function showBytes(_name: string, value: unknown): unknown {
  // A Buffer has already become { type, data } when JSON asks.
  const { type, data } = asFields(value);
  if (type !== "Buffer" || !Array.isArray(data)) return value;
  const bytes = Buffer.from(data);
  if (bytes.length <= 80) return bytes.toString("latin1");
  const hash = createHash("sha256").update(bytes).digest("hex");
  return `${bytes.toString("latin1", 0, 40)}… (${bytes.length} bytes, sha256 ${hash})`;
}

function asFields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function asList(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.map(asFields) : [];
}
