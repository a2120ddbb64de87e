// Cluster.MemberList on the wire. Few and small: by hand they are shorter than the machinery around
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

/** @returns a view into the writer. */
export function encodeMemberListResponse(
  writer: Writer,
  header: AnswerHeader,
  answer: MemberListAnswer,
): Uint8Array {
  for (const member of answer.members.toReversed()) {
    const mark = writer.mark();
    writer.bool(0x28, member.isLearner);
    writer.strings(0x22, member.clientUrls);
    writer.strings(0x1a, member.peerUrls);
    writer.string(0x12, member.name);
    writer.id(0x08, member.id);
    writer.message(0x12, mark);
  }
  writeHeader(writer, header);
  return writer.finish();
}
