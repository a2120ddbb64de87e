// From what is pleasant to write to what etcd takes: keys, ranges, options.
import { LeaseId, noLease } from "../base/brand.ts";
import { copyBytes, emptyBytes, utf8Bytes } from "../base/bytes.ts";
import {
  type DeleteRangeRequest,
  type PutRequest,
  type RangeRequest,
  SortOrder,
  SortTarget,
} from "../proto/kv.ts";

/** Text stands for its UTF-8 bytes. */
export type Bytes = string | Uint8Array;

/** Some keys in order of their bytes. A string or array is one key. */
export type KeyRange =
  | Bytes
  | { readonly prefix: Bytes }
  /** Keys in [from, to); without `to` all from `from` on. */
  | { readonly from: Bytes; readonly to?: Bytes }
  | { readonly all: true }
  /** As etcd has it. */
  | { readonly key: Bytes; readonly rangeEnd: Bytes };

export interface RangeOptions {
  /** At most so many pairs; 0: all. */
  readonly limit?: number;
  /** The past to read; 0: now. */
  readonly revision?: number;
  readonly sortBy?: keyof typeof SortTarget;
  readonly order?: keyof typeof SortOrder;
  /** May be stale: answered by the member that was asked, without a quorum. */
  readonly serializable?: boolean;
  readonly keysOnly?: boolean;
  readonly countOnly?: boolean;
  readonly minModRevision?: number;
  readonly maxModRevision?: number;
  readonly minCreateRevision?: number;
  readonly maxCreateRevision?: number;
}

export interface PutOptions {
  readonly lease?: bigint;
  /** Give back what the key held before. */
  readonly previous?: boolean;
  /** Keep the value, change the lease; the value given must be empty. */
  readonly ignoreValue?: boolean;
  /** Keep the lease, change the value. */
  readonly ignoreLease?: boolean;
}

export interface DeleteOptions {
  /** Give back what was deleted. */
  readonly previous?: boolean;
}

export function toBytes(input: Bytes): Uint8Array {
  return typeof input === "string" ? utf8Bytes(input) : input;
}

/** End of a range that has no end. */
const noEnd: Uint8Array = Uint8Array.of(0);

/** First key after all that start with `prefix`. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  for (let last = prefix.length - 1; last >= 0; last--) {
    const byte = prefix[last] ?? 0xff;
    if (byte === 0xff) continue;
    const end = copyBytes(prefix.subarray(0, last + 1));
    end[last] = byte + 1;
    return end;
  }
  return noEnd;
}

/** An empty `key` stands for the first key of all: etcd wants a zero byte there. */
export function rangeOf(range: KeyRange): { key: Uint8Array; rangeEnd: Uint8Array } {
  if (typeof range === "string" || range instanceof Uint8Array) {
    return { key: toBytes(range), rangeEnd: emptyBytes };
  }
  if ("rangeEnd" in range) {
    return { key: toBytes(range.key), rangeEnd: toBytes(range.rangeEnd) };
  }
  if ("all" in range) return { key: noEnd, rangeEnd: noEnd };
  if ("prefix" in range) {
    const prefix = toBytes(range.prefix);
    return { key: orFirst(prefix), rangeEnd: prefixEnd(prefix) };
  }
  const rangeEnd = range.to === undefined ? noEnd : toBytes(range.to);
  return { key: orFirst(toBytes(range.from)), rangeEnd };
}

const orFirst = (key: Uint8Array): Uint8Array => (key.length === 0 ? noEnd : key);

export function rangeRequest(range: KeyRange, options: RangeOptions): RangeRequest {
  return {
    ...rangeOf(range),
    limit: options.limit ?? 0,
    revision: options.revision ?? 0,
    sortOrder: SortOrder[options.order ?? "none"],
    sortTarget: SortTarget[options.sortBy ?? "key"],
    serializable: options.serializable ?? false,
    keysOnly: options.keysOnly ?? false,
    countOnly: options.countOnly ?? false,
    minModRevision: options.minModRevision ?? 0,
    maxModRevision: options.maxModRevision ?? 0,
    minCreateRevision: options.minCreateRevision ?? 0,
    maxCreateRevision: options.maxCreateRevision ?? 0,
  };
}

export function putRequest(pair: { key: Bytes; value: Bytes }, options: PutOptions): PutRequest {
  return {
    key: toBytes(pair.key),
    value: toBytes(pair.value),
    lease: LeaseId(options.lease ?? noLease),
    prevKv: options.previous ?? false,
    ignoreValue: options.ignoreValue ?? false,
    ignoreLease: options.ignoreLease ?? false,
  };
}

export function deleteRequest(range: KeyRange, options: DeleteOptions): DeleteRangeRequest {
  return { ...rangeOf(range), prevKv: options.previous ?? false };
}
