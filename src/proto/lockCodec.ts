// v3lockpb on the wire, for the server. An Unlock is answered by nothing but a header (see
// encodeCompactionResponse). Byte strings that a decoder gives are views into its input.
import { type LeaseId, noLease } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import { writeHeader } from "./encodeResponses.ts";
import { type Malformed, Reader } from "./reader.ts";
import type { AnswerHeader } from "./responses.ts";
import type { Writer } from "./writer.ts";

export interface LockRequest {
  readonly name: Uint8Array;
  /** 0: the server grants one. */
  readonly lease: LeaseId;
}

export interface UnlockRequest {
  readonly key: Uint8Array;
}

export function decodeLockRequest(bytes: Uint8Array): LockRequest | Malformed {
  const reader = new Reader(bytes);
  let name = emptyBytes;
  let lease = noLease;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) name = reader.bytes();
    else if (tag === 0x10) lease = reader.leaseId();
    else reader.skip(tag, 2);
  }
  return reader.fault ?? { name, lease };
}

export function decodeUnlockRequest(bytes: Uint8Array): UnlockRequest | Malformed {
  const reader = new Reader(bytes);
  let key = emptyBytes;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) key = reader.bytes();
    else reader.skip(tag, 1);
  }
  return reader.fault ?? { key };
}

/** @returns a view into the writer. */
export function encodeLockResponse(
  writer: Writer,
  header: AnswerHeader,
  key: Uint8Array,
): Uint8Array {
  writer.bytes(0x12, key);
  writeHeader(writer, header);
  return writer.finish();
}
