// Range as an outcome: the store's answer with the revision of its header.
import type { AnswerBytes } from "../mvcc/answerBytes.ts";
import type { Store } from "../mvcc/store.ts";
import type { RangeRequest } from "../proto/kv.ts";
import type { RangeResult } from "./outcome.ts";

/**
 * Works within a transaction too, and sees its writes.
 * @param answer what it is a part of; undefined: its rows may be of any length.
 * @throws {EtcdError} compacted or future revision; an answer that becomes too large.
 */
export function range(store: Store, request: RangeRequest, answer?: AnswerBytes): RangeResult {
  const { rows, more, count } = store.read.range(request, answer);
  return { kind: "range", revision: store.revision, rows, more, count };
}
