// Transactions: compare, then one of two lists of operations, all at one revision.
//
//   await client.txn()
//     .if(compare("lock").version("=", 0))
//     .then(op.put("lock", "mine"))
//     .else(op.get("lock"))
//     .commit();
import { LeaseId } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import type { TxnRequest } from "../proto/kv.ts";
import { type Compare, CompareResult, CompareTarget, type RequestOp } from "../proto/kv.ts";
import type { CallOptions } from "./channel.ts";
import {
  type Bytes,
  type DeleteOptions,
  deleteRequest,
  type KeyRange,
  type PutOptions,
  putRequest,
  type RangeOptions,
  rangeRequest,
  toBytes,
} from "./requests.ts";
import type { TxnResult } from "./results.ts";

const results = {
  "=": CompareResult.equal,
  "!=": CompareResult.notEqual,
  ">": CompareResult.greater,
  "<": CompareResult.less,
} as const;
export type Relation = keyof typeof results;

/** A key that is compared with something; a missing key has version, revisions and lease 0. */
export interface Comparison {
  version(relation: Relation, value: number): Compare;
  createRevision(relation: Relation, value: number): Compare;
  modRevision(relation: Relation, value: number): Compare;
  /** A missing key fails every comparison of its value. */
  value(relation: Relation, value: Bytes): Compare;
  lease(relation: Relation, value: bigint): Compare;
}

export function compare(key: Bytes): Comparison {
  const row = (
    target: keyof typeof CompareTarget,
    relation: Relation,
    operand: NonNullable<Compare["operand"]>,
  ): Compare => ({
    key: toBytes(key),
    rangeEnd: emptyBytes,
    target: CompareTarget[target],
    result: results[relation],
    operand,
  });
  return {
    version: (relation, value) => row("version", relation, { kind: "version", value }),
    createRevision: (relation, value) => row("create", relation, { kind: "create", value }),
    modRevision: (relation, value) => row("mod", relation, { kind: "mod", value }),
    value: (relation, value) => row("value", relation, { kind: "value", value: toBytes(value) }),
    lease: (relation, value) => row("lease", relation, { kind: "lease", value: LeaseId(value) }),
  };
}

/** Operations of a branch. */
export const op = {
  get: (range: KeyRange, options: RangeOptions = {}): RequestOp => ({
    kind: "range",
    request: rangeRequest(range, options),
  }),
  put: (key: Bytes, value: Bytes, options: PutOptions = {}): RequestOp => ({
    kind: "put",
    request: putRequest({ key, value }, options),
  }),
  delete: (range: KeyRange, options: DeleteOptions = {}): RequestOp => ({
    kind: "deleteRange",
    request: deleteRequest(range, options),
  }),
  txn: (inner: Txn): RequestOp => ({ kind: "txn", request: inner.request }),
} as const;

/** Sends a transaction that is complete. */
export type CommitTxn = (request: TxnRequest, options: CallOptions) => Promise<TxnResult>;

/** Collects a transaction; nothing is sent before `commit`. Repeated calls add up. */
export class Txn {
  readonly #commit: CommitTxn;
  readonly #compare: Compare[] = [];
  readonly #success: RequestOp[] = [];
  readonly #failure: RequestOp[] = [];

  constructor(commit: CommitTxn) {
    this.#commit = commit;
  }

  get request(): TxnRequest {
    return { compare: this.#compare, success: this.#success, failure: this.#failure };
  }

  /** All must hold; without any the first branch runs. */
  if(...compares: readonly Compare[]): this {
    this.#compare.push(...compares);
    return this;
  }

  // biome-ignore lint/suspicious/noThenProperty: etcd's own word for it; see the check within.
  then(...ops: readonly RequestOp[]): this {
    // `await` on a transaction without commit calls this with two functions, and would hang.
    const [, reject]: readonly unknown[] = ops;
    if (typeof reject === "function") reject(new TypeError("a transaction is sent by commit()"));
    else this.#success.push(...ops);
    return this;
  }

  else(...ops: readonly RequestOp[]): this {
    this.#failure.push(...ops);
    return this;
  }

  commit(options: CallOptions = {}): Promise<TxnResult> {
    return this.#commit(this.request, options);
  }
}
