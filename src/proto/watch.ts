// Shapes of the Watch messages. Field numbers live in watchCodec.ts.
import type { KeyValue } from "./kv.ts";
import type { ResponseHeader } from "./responses.ts";

/** A signed 64-bit id, exact: a number within the safe integers, else a bigint. */
export type WatchId = number | bigint;

export const WatchFilter = { noPut: 0, noDelete: 1 } as const;
export const EventType = { put: 0, delete: 1 } as const;

export interface WatchCreateRequest {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
  /** First revision wanted; 0: from now on. */
  readonly startRevision: number;
  readonly progressNotify: boolean;
  /** Numbers outside of WatchFilter are possible, and mean nothing. */
  readonly filters: readonly number[];
  readonly prevKv: boolean;
  /** 0: the server picks one. */
  readonly watchId: WatchId;
  readonly fragment: boolean;
}

export type WatchRequest =
  | { readonly kind: "create"; readonly create: WatchCreateRequest }
  | { readonly kind: "cancel"; readonly watchId: WatchId }
  | { readonly kind: "progress" }
  /** No member of the oneof was set. */
  | { readonly kind: "none" };

/** Everything of an answer but its header and events. */
export interface WatchHead {
  readonly watchId: WatchId;
  readonly created: boolean;
  readonly canceled: boolean;
  /** 0: left out. */
  readonly compactRevision: number;
  readonly cancelReason: string;
  /** More fragments of the same answer follow. */
  readonly fragment: boolean;
}

export interface WatchEventMessage {
  /** A number outside of EventType is possible. */
  readonly type: number;
  /** Undefined when the sender left it out. */
  readonly kv: KeyValue | undefined;
  readonly prevKv: KeyValue | undefined;
}

/** As clients get it. */
export interface WatchResponse extends WatchHead {
  readonly header: ResponseHeader;
  readonly events: readonly WatchEventMessage[];
}
