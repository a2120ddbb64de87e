// What a request must be before it may enter the log. Each check gives the refusal, or undefined; the
// order of checks within a request is etcd 3.5's, because clients see which one comes first.

import { noLease } from "../base/brand.ts";
import {
  type EtcdError,
  errDuplicateKey,
  errEmptyKey,
  errInvalidSortOption,
  errKeyNotFound,
  errLeaseProvided,
  errRequestTooLarge,
  errTooManyOps,
  errValueProvided,
} from "../base/errors.ts";
import type {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../proto/kv.ts";
import { SortTarget } from "../proto/kv.ts";
import { writesCollide } from "./overlap.ts";

/** Ops in a branch of a txn, or compares; nested txns live on what the txn around them left over. */
export const txnOpsMax = 128;
/** Bytes of a request in etcd's log. */
export const requestBytesMax = 1_572_864;
/**
 * What etcd adds to the client's bytes: its request header with an id of nine bytes (13), field tag
 * and length (4). With an id of ten bytes, which every second member has, it is one more.
 */
const raftRequestBytes = 17;

/** etcd measures what would enter the log; so this check comes after all others. */
export function checkSize(message: Uint8Array): EtcdError | undefined {
  return message.length + raftRequestBytes > requestBytesMax ? errRequestTooLarge : undefined;
}

/**
 * An unknown sort order means no order, as in etcd 3.5. An unknown target would have no meaning:
 * etcd 3.5 crashes over it, 3.6 refuses it as we do.
 */
export function checkRange(request: RangeRequest): EtcdError | undefined {
  if (request.key.length === 0) return errEmptyKey;
  const target = request.sortTarget;
  return target < SortTarget.key || target > SortTarget.value ? errInvalidSortOption : undefined;
}

export function checkPut(request: PutRequest): EtcdError | undefined {
  if (request.key.length === 0) return errEmptyKey;
  if (request.ignoreValue && request.value.length > 0) return errValueProvided;
  if (request.ignoreLease && request.lease !== noLease) return errLeaseProvided;
  return undefined;
}

export function checkDeleteRange(request: DeleteRangeRequest): EtcdError | undefined {
  return request.key.length === 0 ? errEmptyKey : undefined;
}

/** The whole tree, both branches; collisions of writes come last. */
export function checkTxn(request: TxnRequest, opsMax = txnOpsMax): EtcdError | undefined {
  const refusal = checkTxnOps(request, opsMax);
  if (refusal !== undefined) return refusal;
  const collide = writesCollide(request.success) || writesCollide(request.failure);
  return collide ? errDuplicateKey : undefined;
}

function checkTxnOps(request: TxnRequest, opsMax: number): EtcdError | undefined {
  const { compare, success, failure } = request;
  const ops = Math.max(compare.length, success.length, failure.length);
  if (ops > opsMax) return errTooManyOps;
  for (const { key } of compare) if (key.length === 0) return errEmptyKey;
  return checkOps(success, opsMax - ops) ?? checkOps(failure, opsMax - ops);
}

function checkOps(ops: readonly RequestOp[], opsLeft: number): EtcdError | undefined {
  for (const op of ops) {
    const refusal = checkOp(op, opsLeft);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

function checkOp(op: RequestOp, opsLeft: number): EtcdError | undefined {
  switch (op.kind) {
    case "range":
      return checkRange(op.request);
    case "put":
      return checkPut(op.request);
    case "deleteRange":
      return checkDeleteRange(op.request);
    case "txn":
      return checkTxnOps(op.request, opsLeft);
    case "none":
      return errKeyNotFound;
  }
}
