// Maintenance.Status, Alarm, Downgrade, HashKV and Snapshot on the wire; by hand for the reason given in clusterCodec.ts.
import { writeHeader } from "./encodeResponses.ts";
import { type Malformed, Reader } from "./reader.ts";
import type { AnswerHeader } from "./responses.ts";
import type { Writer } from "./writer.ts";

/** Counters are safe integers. */
export interface StatusAnswer {
  readonly version: string;
  readonly dbSizeBytes: number;
  /** 0n: unknown. */
  readonly leader: bigint;
  readonly raftIndex: number;
  readonly raftTerm: number;
  readonly raftAppliedIndex: number;
  readonly errors: readonly string[];
  readonly dbSizeInUseBytes: number;
  readonly isLearner: boolean;
}

export const AlarmAction = { get: 0, activate: 1, deactivate: 2 } as const;
export const AlarmKind = { none: 0, noSpace: 1, corrupt: 2 } as const;

export interface AlarmRequest {
  /** A number outside of AlarmAction is possible. */
  readonly action: number;
  readonly memberId: bigint;
  /** A number outside of AlarmKind is possible. */
  readonly alarm: number;
}

export interface AlarmAnswer {
  /** 0n is one too, and not written. */
  readonly memberId: bigint;
  readonly kind: number;
}

export const DowngradeAction = { validate: 0, enable: 1, cancel: 2 } as const;

export interface DowngradeRequest {
  /** A number outside of DowngradeAction is possible. */
  readonly action: number;
  readonly version: string;
}

export interface HashKvRequest {
  readonly revision: number;
}

export interface HashKvAnswer {
  /** 32 bits, unsigned. */
  readonly hash: number;
  /** -1: never compacted. */
  readonly compactRevision: number;
  readonly hashRevision: number;
}

/** Any request without fields that the server looks at; unknown fields are stepped over. */
export function decodeEmptyRequest(bytes: Uint8Array): Malformed | undefined {
  const reader = new Reader(bytes);
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) reader.skip(tag, 0);
  return reader.fault;
}

/** Otherwise nobody knows what it asks for. */
export function isKnownAlarm({ action, alarm }: AlarmRequest): boolean {
  const known = (all: Readonly<Record<string, number>>, one: number): boolean =>
    Object.values(all).includes(one);
  return known(AlarmAction, action) && known(AlarmKind, alarm);
}

export function decodeAlarmRequest(bytes: Uint8Array): AlarmRequest | Malformed {
  const reader = new Reader(bytes);
  let action = 0;
  let memberId = 0n;
  let alarm = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) action = reader.int32();
    else if (tag === 0x10) memberId = reader.uint64Exact();
    else if (tag === 0x18) alarm = reader.int32();
    else reader.skip(tag, 3);
  }
  return reader.fault ?? { action, memberId, alarm };
}

/** @returns the id of the member that is to lead. */
export function decodeMoveLeaderRequest(bytes: Uint8Array): bigint | Malformed {
  const reader = new Reader(bytes);
  let target = 0n;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) target = reader.uint64Exact();
    else reader.skip(tag, 1);
  }
  return reader.fault ?? target;
}

export function decodeDowngradeRequest(bytes: Uint8Array): DowngradeRequest | Malformed {
  const reader = new Reader(bytes);
  let action = 0;
  let version = "";
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) action = reader.int32();
    else if (tag === 0x12) version = reader.string();
    else reader.skip(tag, 2);
  }
  return reader.fault ?? { action, version };
}

export function decodeHashKvRequest(bytes: Uint8Array): HashKvRequest | Malformed {
  const reader = new Reader(bytes);
  let revision = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) revision = reader.int64();
    else reader.skip(tag, 1);
  }
  return reader.fault ?? { revision };
}

/** @returns a view into the writer, as all encoders here. */
export function encodeStatusResponse(
  writer: Writer,
  header: AnswerHeader,
  answer: StatusAnswer,
): Uint8Array {
  writer.bool(0x50, answer.isLearner);
  writer.integer(0x48, answer.dbSizeInUseBytes);
  writer.strings(0x42, answer.errors);
  writer.integer(0x38, answer.raftAppliedIndex);
  writer.integer(0x30, answer.raftTerm);
  writer.integer(0x28, answer.raftIndex);
  writer.id(0x20, answer.leader);
  writer.integer(0x18, answer.dbSizeBytes);
  writer.string(0x12, answer.version);
  writeHeader(writer, header);
  return writer.finish();
}

export function encodeAlarmResponse(
  writer: Writer,
  header: AnswerHeader,
  alarms: readonly AlarmAnswer[],
): Uint8Array {
  for (const { memberId, kind } of alarms.toReversed()) {
    const mark = writer.mark();
    writer.integer(0x10, kind);
    writer.id(0x08, memberId);
    writer.message(0x12, mark);
  }
  writeHeader(writer, header);
  return writer.finish();
}

export function encodeHashKvResponse(
  writer: Writer,
  header: AnswerHeader,
  answer: HashKvAnswer,
): Uint8Array {
  writer.integer(0x20, answer.hashRevision);
  writer.integer(0x18, answer.compactRevision);
  writer.integer(0x10, answer.hash);
  writeHeader(writer, header);
  return writer.finish();
}

/** Without a header. @param remainingBytes of the file, behind this blob. */
export function encodeSnapshotResponse(
  writer: Writer,
  remainingBytes: number,
  blob: Uint8Array,
): Uint8Array {
  writer.bytes(0x1a, blob);
  writer.integer(0x10, remainingBytes);
  return writer.finish();
}
