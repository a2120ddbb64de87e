// The Cluster service on the wire. Few and small: by hand they are shorter than the machinery around
// generated code would be, and 64-bit ids stay exact.
import { writeHeader } from "./encodeResponses.ts";
import { type Malformed, Reader } from "./reader.ts";
import type { AnswerHeader } from "./responses.ts";
import type { Writer } from "./writer.ts";

export interface MemberListRequest {
  readonly linearizable: boolean;
}

export interface MemberListAnswer {
  readonly members: readonly MemberAnswer[];
}

export interface MemberAddRequest {
  readonly peerUrls: readonly string[];
  readonly isLearner: boolean;
}

export interface MemberAddAnswer extends MemberListAnswer {
  readonly member: MemberAnswer;
}

/** Of MemberRemove and MemberPromote, which have no URLs, and of MemberUpdate. */
export interface MemberIdRequest {
  readonly id: bigint;
  readonly peerUrls: readonly string[];
}

export interface MemberAnswer {
  readonly id: bigint;
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

export function decodeMemberListRequest(bytes: Uint8Array): MemberListRequest | Malformed {
  const reader = new Reader(bytes);
  let linearizable = false;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) linearizable = reader.bool();
    else reader.skip(tag, 1);
  }
  return reader.fault ?? { linearizable };
}

export function decodeMemberAddRequest(bytes: Uint8Array): MemberAddRequest | Malformed {
  const reader = new Reader(bytes);
  const peerUrls: string[] = [];
  let isLearner = false;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) peerUrls.push(reader.string());
    else if (tag === 0x10) isLearner = reader.bool();
    else reader.skip(tag, 2);
  }
  return reader.fault ?? { peerUrls, isLearner };
}

export function decodeMemberIdRequest(bytes: Uint8Array): MemberIdRequest | Malformed {
  const reader = new Reader(bytes);
  const peerUrls: string[] = [];
  let id = 0n;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) id = reader.uint64Exact();
    else if (tag === 0x12) peerUrls.push(reader.string());
    else reader.skip(tag, 2);
  }
  return reader.fault ?? { id, peerUrls };
}

export function encodeMemberAddResponse(
  writer: Writer,
  header: AnswerHeader,
  { member, members }: MemberAddAnswer,
): Uint8Array {
  writeMembers(writer, members, 0x1a);
  writeMembers(writer, [member], 0x12);
  writeHeader(writer, header);
  return writer.finish();
}

/** Of MemberList, MemberRemove, MemberUpdate and MemberPromote alike. @returns a view into the writer. */
export function encodeMemberListResponse(
  writer: Writer,
  header: AnswerHeader,
  answer: MemberListAnswer,
): Uint8Array {
  writeMembers(writer, answer.members, 0x12);
  writeHeader(writer, header);
  return writer.finish();
}

function writeMembers(writer: Writer, members: readonly MemberAnswer[], tag: number): void {
  for (const member of members.toReversed()) {
    const mark = writer.mark();
    writer.bool(0x28, member.isLearner);
    writer.strings(0x22, member.clientUrls);
    writer.strings(0x1a, member.peerUrls);
    writer.string(0x12, member.name);
    writer.id(0x08, member.id);
    writer.message(tag, mark);
  }
}
