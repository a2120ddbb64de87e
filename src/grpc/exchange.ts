// What unary and stream calls share: the request's route and what the server gives to every call.
import { EtcdError } from "../base/errors.ts";
import type { Clock } from "../base/ports.ts";
import type { RequestHead } from "../http2/requestHead.ts";
import type { DeadlineWheel } from "./deadlines.ts";
import type { ClientCount, GrpcStats, MethodStats } from "./stats.ts";
import type { StatusFields } from "./status.ts";

export interface GrpcLimits {
  /** Longest request message: etcd's 1.5 MiB and 512 KiB for the envelope. */
  readonly messageBytesMax: number;
  /** Backlog of a stream at which `write` answers false; `onDrain` comes at the half. */
  readonly streamBacklogBytesMax: number;
}

export const defaultGrpcLimits: GrpcLimits = {
  messageBytesMax: 2_097_152,
  streamBacklogBytesMax: 1_048_576,
};

/** Shared by all calls of a server. */
export interface CallContext {
  readonly limits: GrpcLimits;
  readonly deadlines: DeadlineWheel;
  readonly status: StatusFields;
  /** Flag 0 and a length; see `messagePrefix`. */
  readonly prefix: Buffer;
  readonly stats: GrpcStats;
  /** Of the door, for timed calls. */
  readonly clock: Clock;
  /** A method threw: never swallowed. The call was reset before. */
  readonly onMistake: (error: unknown) => void;
}

/** What the head of a request says about the call. */
export interface CallHead {
  readonly context: CallContext;
  readonly head: RequestHead;
  /** Messages with flag 1 are compressed so. */
  readonly isGzip: boolean;
  readonly stats: MethodStats;
  readonly client: ClientCount;
  /** Undefined: no deadline. */
  readonly timeoutMs: number | undefined;
}

/** Fills the shared prefix of a plain message; valid until the next call. */
export function messagePrefix(context: CallContext, lengthBytes: number): Buffer {
  context.prefix.writeUInt32BE(lengthBytes, 1);
  return context.prefix;
}

/** First value of a header; a `-bin` one decoded, one char per byte. */
export function metadataOf(head: RequestHead, name: string): string | undefined {
  const value = head.get(name);
  if (value === undefined || !name.endsWith("-bin")) return value;
  return Buffer.from(value, "base64").toString("latin1");
}

/** Methods refuse by `fail`; one that throws its refusal is understood all the same. */
export function refusalIn(thrown: unknown): EtcdError | undefined {
  return thrown instanceof EtcdError ? thrown : undefined;
}
