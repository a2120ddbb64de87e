// What a gRPC method sees of its call. Implemented over http2/ for sockets; embedded callers pass
// their own UnaryCall, so that api/ serves both without knowing which.
import type { EtcdError } from "../base/errors.ts";

export interface CallMetadata {
  /** First value of a header, lower-case name; undefined when absent. */
  metadata(name: string): string | undefined;
}

/** Of an answer in parts; a door that would send them one by one sends a shorter one as a whole. */
export const wholeBytesMax = 131_072;

export interface UnaryCall extends CallMetadata {
  /** A longer answer is refused in any case: nobody need begin it. */
  readonly answerBytesMax: number;
  /** True once the client cancelled, its deadline passed or the connection went away. */
  readonly cancelled: boolean;
  /** Calls back once `cancelled` turns true, not for a call that is answered or cancelled by then. One listener. */
  onCancel(listener: () => void): void;
  /**
   * Sends the one response message (protobuf bytes, without the gRPC prefix) and ends the call.
   * The bytes are copied or sent before it returns: the caller may reuse its buffer.
   * Does nothing on a cancelled call. Exactly one of respond, respondInParts and fail is called, once.
   */
  respond(message: Uint8Array): void;
  /**
   * As `respond`, for a long message in parts, from the first to the last. They belong to the call from
   * then on, which sends them as the client takes them and lets go of each.
   */
  respondInParts(parts: readonly Uint8Array[]): void;
  fail(error: EtcdError): void;
}

/** `message` is valid only within the call: copy what is kept. Never throws EtcdError: use call.fail. */
export type UnaryMethod = (call: UnaryCall, message: Uint8Array) => void;

/** Server or bidirectional stream (Watch, LeaseKeepAlive, Snapshot, Observe, health Watch). */
export interface StreamCall extends CallMetadata {
  readonly cancelled: boolean;
  /**
   * Queues one message; the bytes are copied before it returns.
   * @returns false when more than the stream's backlog limit is unsent: stop until `onDrain`.
   */
  write(message: Uint8Array): boolean;
  /** Bytes queued and not yet handed to the socket. */
  readonly backlogBytes: number;
  /** Ends the call with OK. */
  end(): void;
  fail(error: EtcdError): void;
}

/** What a stream method returns: its side of the call. */
export interface StreamHandler {
  /** `message` is valid only within the call. */
  onMessage(message: Uint8Array): void;
  /** The client sent its last message; the answer side stays open. */
  onHalfClose(): void;
  onDrain(): void;
  /** The call is over from outside (reset, deadline, connection lost); nothing may be sent any more. */
  onCancel(): void;
}

export type StreamMethod = (call: StreamCall) => StreamHandler;

/** Full paths ("/etcdserverpb.KV/Put") to methods. */
export interface MethodTable {
  readonly unary: ReadonlyMap<string, UnaryMethod>;
  readonly stream: ReadonlyMap<string, StreamMethod>;
}
