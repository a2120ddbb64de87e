// Range as an outcome: the store's answer with the revision of its header.
import type { Store } from "../mvcc/store.ts";
import type { RangeRequest } from "../proto/kv.ts";
import type { RangeResult } from "./outcome.ts";

/**
 * Works within a transaction too, and sees its writes.
 * @throws {EtcdError} compacted or future revision.
 */
export function range(store: Store, request: RangeRequest): RangeResult {
  const { rows, more, count } = store.read.range(request);
  return { kind: "range", revision: store.revision, rows, more, count };
}
