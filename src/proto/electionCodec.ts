// v3electionpb on the wire, for the server. Proclaim and Resign are answered by nothing but a header (see
// encodeCompactionResponse). Byte strings that a decoder gives are views into its input.
import { type LeaseId, noLease } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import { writeHeader } from "./encodeResponses.ts";
import { type Malformed, Reader } from "./reader.ts";
import type { AnswerHeader } from "./responses.ts";
import type { Writer } from "./writer.ts";

export interface CampaignRequest {
  readonly name: Uint8Array;
  /** 0: the server grants one. */
  readonly lease: LeaseId;
  readonly value: Uint8Array;
}

export interface LeaderKey {
  readonly name: Uint8Array;
  readonly key: Uint8Array;
  /** That created the key. */
  readonly revision: number;
  readonly lease: LeaseId;
}

/** LeaderRequest, of Leader and Observe. */
export interface LeaderRequest {
  readonly name: Uint8Array;
}

/** ProclaimRequest; ResignRequest, whose value stays empty. */
export interface LeadershipRequest {
  /** Undefined: not set. */
  readonly leader: LeaderKey | undefined;
  readonly value: Uint8Array;
}

export function decodeCampaignRequest(bytes: Uint8Array): CampaignRequest | Malformed {
  const reader = new Reader(bytes);
  let name = emptyBytes;
  let lease = noLease;
  let value = emptyBytes;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) name = reader.bytes();
    else if (tag === 0x10) lease = reader.leaseId();
    else if (tag === 0x1a) value = reader.bytes();
    else reader.skip(tag, 3);
  }
  return reader.fault ?? { name, lease, value };
}

export function decodeLeaderRequest(bytes: Uint8Array): LeaderRequest | Malformed {
  const reader = new Reader(bytes);
  let name = emptyBytes;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) name = reader.bytes();
    else reader.skip(tag, 1);
  }
  return reader.fault ?? { name };
}

export function decodeProclaimRequest(bytes: Uint8Array): LeadershipRequest | Malformed {
  const reader = new Reader(bytes);
  let leader: LeaderKey | undefined;
  let value = emptyBytes;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) leader = readLeaderKey(reader, leader);
    else if (tag === 0x12) value = reader.bytes();
    else reader.skip(tag, 2);
  }
  return reader.fault ?? { leader, value };
}

export function decodeResignRequest(bytes: Uint8Array): LeadershipRequest | Malformed {
  const reader = new Reader(bytes);
  let leader: LeaderKey | undefined;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) leader = readLeaderKey(reader, leader);
    else reader.skip(tag, 1);
  }
  return reader.fault ?? { leader, value: emptyBytes };
}

/** @returns a view into the writer. */
export function encodeCampaignResponse(
  writer: Writer,
  header: AnswerHeader,
  leader: LeaderKey,
): Uint8Array {
  const mark = writer.mark();
  writer.id(0x20, leader.lease);
  writer.integer(0x18, leader.revision);
  writer.bytes(0x12, leader.key);
  writer.bytes(0x0a, leader.name);
  writer.message(0x12, mark);
  writeHeader(writer, header);
  return writer.finish();
}

/** @param row an encoded mvccpb.KeyValue. @returns a view into the writer. */
export function encodeLeaderResponse(
  writer: Writer,
  header: AnswerHeader,
  row: Uint8Array,
): Uint8Array {
  writer.bytesPresent(0x12, row);
  writeHeader(writer, header);
  return writer.finish();
}

/** A message that is set twice is merged, as protobuf wants. */
function readLeaderKey(reader: Reader, before: LeaderKey | undefined): LeaderKey {
  let { name, key, revision, lease } = before ?? noLeaderKey;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) name = reader.bytes();
    else if (tag === 0x12) key = reader.bytes();
    else if (tag === 0x18) revision = reader.int64();
    else if (tag === 0x20) lease = reader.leaseId();
    else reader.skip(tag, 4);
  }
  reader.leave(outer);
  return { name, key, revision, lease };
}

const noLeaderKey: LeaderKey = { name: emptyBytes, key: emptyBytes, revision: 0, lease: noLease };
