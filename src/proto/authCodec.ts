// etcdserverpb.Auth on the wire, as far as a server without users and roles looks at it; by hand for the
// reason given in clusterCodec.ts. Answers without fields of their own are nothing but a header (see
// encodeCompactionResponse).
import { emptyBytes } from "../base/bytes.ts";
import { writeHeader } from "./encodeResponses.ts";
import { type Malformed, Reader } from "./reader.ts";
import type { AnswerHeader } from "./responses.ts";
import type { Writer } from "./writer.ts";

export interface KeyRange {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

export interface GrantRequest {
  readonly role: string;
  readonly permission: KeyRange | undefined;
}

export interface AuthStatusAnswer {
  readonly enabled: boolean;
  readonly authRevision: number;
}

/** Of any request whose first field is the name of a user or a role: that name. */
export function decodeNamedRequest(bytes: Uint8Array): string | Malformed {
  const reader = new Reader(bytes);
  let name = "";
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) name = reader.string();
    else reader.skip(tag, 1);
  }
  return reader.fault ?? name;
}

export function decodeGrantRequest(bytes: Uint8Array): GrantRequest | Malformed {
  const reader = new Reader(bytes);
  let role = "";
  let permission: KeyRange | undefined;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) role = reader.string();
    else if (tag === 0x12) permission = readPermission(reader);
    else reader.skip(tag, 2);
  }
  return reader.fault ?? { role, permission };
}

function readPermission(reader: Reader): KeyRange {
  const outer = reader.enter();
  let key = emptyBytes;
  let rangeEnd = emptyBytes;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) reader.int32();
    else if (tag === 0x12) key = reader.bytes();
    else if (tag === 0x1a) rangeEnd = reader.bytes();
    else reader.skip(tag, 3);
  }
  reader.leave(outer);
  return { key, rangeEnd };
}

/** @returns a view into the writer. */
export function encodeAuthStatusResponse(
  writer: Writer,
  header: AnswerHeader,
  answer: AuthStatusAnswer,
): Uint8Array {
  writer.integer(0x18, answer.authRevision);
  writer.bool(0x10, answer.enabled);
  writeHeader(writer, header);
  return writer.finish();
}
