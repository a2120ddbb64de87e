// What a client needs of a connection, so that it may run embedded or over the wire.
import type { EtcdError } from "../base/errors.ts";

export interface CallOptions {
  /** Milliseconds until the call fails with DEADLINE_EXCEEDED; the channel has a default. */
  readonly timeoutMs?: number;
  /** Aborting fails the call with CANCELLED; what was sent may still take effect. */
  readonly signal?: AbortSignal;
}

export interface StreamOptions {
  /** Aborting ends the stream with CANCELLED. */
  readonly signal?: AbortSignal;
  /** The stream ends with UNAVAILABLE when its member knows no leader, or another one leads. */
  readonly followsLeader?: boolean;
  /** Bytes that may wait for this side to read them; the channel has a default. */
  readonly windowBytes?: number;
}

/** This side of a stream that is heard. Never called within a call of ClientStream. */
export interface StreamReader {
  /** The bytes may be a view into a larger array: copy what is kept for long. */
  onMessage(message: Uint8Array): void;
  /** Called once, last. Undefined: the member ended it well. UNAVAILABLE when the member is gone. */
  onEnd(error: EtcdError | undefined): void;
}

/** This side of a stream that speaks. Without effect once the stream is over. */
export interface ClientStream {
  /** `message` is copied before the call returns. */
  send(message: Uint8Array): void;
  /** Nothing more from this side; the other goes on. */
  halfClose(): void;
  /** `onEnd` is not called any more. */
  cancel(): void;
  /** At most a window of messages still comes; then the member waits, and nobody else does. */
  pause(): void;
  resume(): void;
}

export interface Channel {
  /** True from `close` on. */
  readonly closed: boolean;
  /**
   * One call of a gRPC method.
   *
   * @param path    for example "/etcdserverpb.KV/Put".
   * @param message protobuf bytes, copied before the call returns.
   * @returns protobuf bytes; they may be a view into a larger array, so copy what is kept for long.
   *          Rejects with EtcdError only.
   */
  unary(path: string, message: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
  /** A stream of a gRPC method, to one member; it ends with that member. Never throws. */
  stream(path: string, reader: StreamReader, options?: StreamOptions): ClientStream;
  /** Fails what is in flight; later calls fail at once. Leaves no handle behind. */
  close(): void;
}
