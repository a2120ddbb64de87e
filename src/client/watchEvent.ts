// What a watch tells.

import { noLease } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import { EtcdError, errCompacted } from "../base/errors.ts";
import type { KeyValue } from "../proto/kv.ts";
import { EventType, type WatchEventMessage } from "../proto/watch.ts";
import { Pair } from "./results.ts";

export interface WatchEvent {
  readonly kind: "put" | "delete";
  /** As it is now; of a deleted key only the key and the revision of the deletion. */
  readonly pair: Pair;
  /** As it was before; only if asked for and not compacted. */
  readonly previous: Pair | undefined;
}

/** All events of one revision in the range that is watched; none in a word of progress. */
export interface WatchBatch {
  /** Everything up to here was told. */
  readonly revision: number;
  readonly events: readonly WatchEvent[];
}

/** OUT_OF_RANGE: what the watch would need next is compacted; it may begin again at `floor`. */
export class CompactedError extends EtcdError {
  /** The oldest revision that is left. */
  readonly floor: number;

  constructor(floor: number) {
    super(errCompacted.code, errCompacted.message);
    this.floor = floor;
  }
}

const nothing: KeyValue = {
  key: emptyBytes,
  value: emptyBytes,
  createRevision: 0,
  modRevision: 0,
  version: 0,
  lease: noLease,
};

export function toEvent({ type, kv, prevKv }: WatchEventMessage): WatchEvent {
  return {
    kind: type === EventType.delete ? "delete" : "put",
    pair: new Pair(kv ?? nothing),
    previous: prevKv && new Pair(prevKv),
  };
}

/** Beside its bytes, what an event takes of a buffer. */
const eventOverheadBytes = 256;

export function batchBytes({ events }: WatchBatch): number {
  let bytes = eventOverheadBytes;
  for (const { pair, previous } of events) {
    bytes += eventOverheadBytes + pair.key.length + pair.value.length;
    if (previous !== undefined) bytes += previous.key.length + previous.value.length;
  }
  return bytes;
}
