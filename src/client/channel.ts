// What a client needs of a connection, so that it may run embedded or over the wire.

export interface CallOptions {
  /** Milliseconds until the call fails with DEADLINE_EXCEEDED; the channel has a default. */
  readonly timeoutMs?: number;
  /** Aborting fails the call with CANCELLED; what was sent may still take effect. */
  readonly signal?: AbortSignal;
}

export interface Channel {
  /**
   * One call of a gRPC method.
   *
   * @param path    for example "/etcdserverpb.KV/Put".
   * @param message protobuf bytes, copied before the call returns.
   * @returns protobuf bytes; they may be a view into a larger array, so copy what is kept for long.
   *          Rejects with EtcdError only.
   */
  unary(path: string, message: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
  /** Fails what is in flight; later calls fail at once. Leaves no handle behind. */
  close(): void;
}
