// Put and deleteRange within an open transaction, and what refuses a put before it opens.
import { noLease } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import { type EtcdError, errKeyNotFound, errLeaseNotFound } from "../base/errors.ts";
import { keyRange } from "../mvcc/readView.ts";
import { pairOf, rowLease, rowValue } from "../mvcc/row.ts";
import type { Store } from "../mvcc/store.ts";
import type { DeleteRangeRequest, PutRequest } from "../proto/kv.ts";
import type { PlainPut } from "../proto/plainPut.ts";
import type { DeleteRangeResult, PutResult } from "./outcome.ts";

const noRows: readonly Uint8Array[] = [];

/** Refusal of a put that names a lease which does not exist. */
export function leaseRefusal(store: Store, request: PutRequest): EtcdError | undefined {
  if (request.lease === noLease || store.leases.exists(request.lease)) return undefined;
  return errLeaseNotFound;
}

/** Refusal of a put that keeps value or lease of a key which does not exist. */
export function keyRefusal(store: Store, request: PutRequest): EtcdError | undefined {
  if (!request.ignoreValue && !request.ignoreLease) return undefined;
  return store.read.version(request.key) === undefined ? errKeyNotFound : undefined;
}

/** @returns undefined when the outcome is not wanted. */
export function put(store: Store, request: PutRequest, wanted: boolean): PutResult | undefined {
  let { value, lease } = request;
  let prevRow: Uint8Array | undefined;
  if (request.ignoreValue || request.ignoreLease || (request.prevKv && wanted)) {
    const version = store.read.version(request.key);
    prevRow = version && store.read.rowOf(version);
    // Without a pair there is nothing to keep: only a request that slipped past the checks gets here,
    // a put behind a delete of its key in one txn. It must not stop the member.
    if (request.ignoreValue) value = prevRow === undefined ? emptyBytes : rowValue(prevRow);
    if (request.ignoreLease) lease = prevRow === undefined ? noLease : rowLease(prevRow);
  }
  store.write.put(pairOf(request.key, value), lease);
  if (!wanted) return undefined;
  return {
    kind: "put",
    revision: store.revision,
    prevRow: request.prevKv ? prevRow : undefined,
  };
}

/** A whole transaction. @returns undefined when the outcome is not wanted. */
export function putPlain(store: Store, plain: PlainPut, wanted: boolean): PutResult | undefined {
  const { write } = store;
  write.begin();
  write.put(plain, noLease);
  const revision = write.end();
  return wanted ? { kind: "put", revision, prevRow: undefined } : undefined;
}

/** @returns undefined when the outcome is not wanted. */
export function deleteRange(
  store: Store,
  request: DeleteRangeRequest,
  wanted: boolean,
): DeleteRangeResult | undefined {
  const prevRows: Uint8Array[] | undefined = request.prevKv && wanted ? [] : undefined;
  const deleted =
    request.rangeEnd.length === 0
      ? store.write.deleteKey(request.key, prevRows)
      : store.write.deleteRange(keyRange(request.key, request.rangeEnd), prevRows);
  if (!wanted) return undefined;
  return { kind: "deleteRange", revision: store.revision, deleted, prevRows: prevRows ?? noRows };
}
