// What a client gives back: etcd's answers, with keys and values easy to read.
import type { LeaseId } from "../base/brand.ts";
import { copyBytes, utf8Text } from "../base/bytes.ts";
import { errMalformed } from "../base/errors.ts";
import type { KeyValue } from "../proto/kv.ts";
import { Malformed } from "../proto/reader.ts";
import type {
  DeleteRangeResponse,
  PutResponse,
  RangeResponse,
  ResponseHeader,
  ResponseOp,
  TxnResponse,
} from "../proto/responses.ts";

/** One key, as it was at the revision of the read. Pairs of one answer share memory. */
export class Pair implements KeyValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly createRevision: number;
  readonly modRevision: number;
  /** Changes since the key was created; 1 for a new key. */
  readonly version: number;
  /** 0n: none. */
  readonly lease: LeaseId;

  constructor(from: KeyValue) {
    this.key = from.key;
    this.value = from.value;
    this.createRevision = from.createRevision;
    this.modRevision = from.modRevision;
    this.version = from.version;
    this.lease = from.lease;
  }

  /** The value as UTF-8. */
  text(): string {
    return utf8Text(this.value);
  }

  /** The key as UTF-8. */
  keyText(): string {
    return utf8Text(this.key);
  }

  /** The value parsed as JSON. @throws {SyntaxError} if it is none. */
  json(): unknown {
    return JSON.parse(this.text());
  }
}

export interface Header {
  readonly clusterId: bigint;
  /** Who answered. */
  readonly memberId: bigint;
  /** Of the whole store. */
  readonly revision: number;
  readonly term: number;
}

export interface RangeResult {
  readonly header: Header;
  readonly pairs: readonly Pair[];
  /** True when `limit` left some out. */
  readonly more: boolean;
  /** Keys in the range, without `limit`. */
  readonly count: number;
}

export interface PutResult {
  readonly header: Header;
  /** What the key held before; only if asked for. */
  readonly previous: Pair | undefined;
}

export interface DeleteResult {
  readonly header: Header;
  readonly deleted: number;
  /** What the keys held; only if asked for. */
  readonly previous: readonly Pair[];
}

export type TxnOpResult =
  | ({ readonly kind: "range" } & RangeResult)
  | ({ readonly kind: "put" } & PutResult)
  | ({ readonly kind: "delete" } & DeleteResult)
  | ({ readonly kind: "txn" } & TxnResult);

export interface TxnResult {
  readonly header: Header;
  /** Which branch ran. */
  readonly succeeded: boolean;
  /** One for each operation of that branch, in order. */
  readonly results: readonly TxnOpResult[];
}

/** An answer that may be kept: a small part of a larger array is copied out of it. */
export function ownAnswer(answer: Uint8Array): Uint8Array {
  return answer.length * 2 < answer.buffer.byteLength ? copyBytes(answer) : answer;
}

/** @throws {EtcdError} INTERNAL for an answer that does not parse. */
export function parsed<T>(answer: T | Malformed): T {
  if (answer instanceof Malformed) throw errMalformed(answer.why);
  return answer;
}

export function toHeader({ clusterId, memberId, revision, raftTerm }: ResponseHeader): Header {
  return { clusterId, memberId, revision, term: raftTerm };
}

export function toRangeResult(response: RangeResponse): RangeResult {
  const { header, kvs, more, count } = response;
  return { header: toHeader(header), pairs: kvs.map((kv) => new Pair(kv)), more, count };
}

export function toPutResult({ header, prevKv }: PutResponse): PutResult {
  return { header: toHeader(header), previous: prevKv && new Pair(prevKv) };
}

export function toDeleteResult({ header, deleted, prevKvs }: DeleteRangeResponse): DeleteResult {
  return { header: toHeader(header), deleted, previous: prevKvs.map((kv) => new Pair(kv)) };
}

export function toTxnResult({ header, succeeded, responses }: TxnResponse): TxnResult {
  return { header: toHeader(header), succeeded, results: responses.map(toOpResult) };
}

function toOpResult(op: ResponseOp): TxnOpResult {
  switch (op.kind) {
    case "range":
      return { kind: "range", ...toRangeResult(op.response) };
    case "put":
      return { kind: "put", ...toPutResult(op.response) };
    case "deleteRange":
      return { kind: "delete", ...toDeleteResult(op.response) };
    case "txn":
      return { kind: "txn", ...toTxnResult(op.response) };
    case "none":
      throw errMalformed("an operation without a result");
  }
}
