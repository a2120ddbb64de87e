// The Lease messages on the wire: both sides. A revoke is answered by nothing but a header (see
// encodeCompactionResponse). All encoders give a view into the writer; byte strings that a decoder gives
// are views into its input.
import { type LeaseId, noLease } from "../base/brand.ts";
import { readHeader } from "./decodeResponses.ts";
import { writeHeader } from "./encodeResponses.ts";
import type {
  LeaseGrantRequest,
  LeaseIdRequest,
  LeaseLeasesResponse,
  LeaseTimeToLiveAnswer,
  LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponse,
  LeaseTtlAnswer,
  LeaseTtlResponse,
} from "./lease.ts";
import { type Malformed, Reader } from "./reader.ts";
import type { AnswerHeader, ResponseHeader } from "./responses.ts";
import type { Writer } from "./writer.ts";

const noHeader: ResponseHeader = { clusterId: 0n, memberId: 0n, revision: 0, raftTerm: 0 };

export function decodeLeaseGrantRequest(bytes: Uint8Array): LeaseGrantRequest | Malformed {
  const reader = new Reader(bytes);
  let ttlSec = 0;
  let id = noLease;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) ttlSec = reader.int64();
    else if (tag === 0x10) id = reader.leaseId();
    else reader.skip(tag, 2);
  }
  return reader.fault ?? { ttlSec, id };
}

export function encodeLeaseGrantRequest(writer: Writer, request: LeaseGrantRequest): Uint8Array {
  writer.id(0x10, request.id);
  writer.integer(0x08, request.ttlSec);
  return writer.finish();
}

/** LeaseRevokeRequest or LeaseKeepAliveRequest. */
export function decodeLeaseIdRequest(bytes: Uint8Array): LeaseIdRequest | Malformed {
  const reader = new Reader(bytes);
  const id = readIdMessage(reader);
  return reader.fault ?? { id };
}

export function encodeLeaseIdRequest(writer: Writer, request: LeaseIdRequest): Uint8Array {
  writer.id(0x08, request.id);
  return writer.finish();
}

export function decodeLeaseTimeToLiveRequest(
  bytes: Uint8Array,
): LeaseTimeToLiveRequest | Malformed {
  const reader = new Reader(bytes);
  let id = noLease;
  let keys = false;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) id = reader.leaseId();
    else if (tag === 0x10) keys = reader.bool();
    else reader.skip(tag, 2);
  }
  return reader.fault ?? { id, keys };
}

export function encodeLeaseTimeToLiveRequest(
  writer: Writer,
  request: LeaseTimeToLiveRequest,
): Uint8Array {
  writer.bool(0x10, request.keys);
  writer.id(0x08, request.id);
  return writer.finish();
}

/** LeaseGrantResponse or LeaseKeepAliveResponse. */
export function encodeLeaseTtlResponse(
  writer: Writer,
  header: AnswerHeader,
  answer: LeaseTtlAnswer,
): Uint8Array {
  writer.integer(0x18, answer.ttlSec);
  writer.id(0x10, answer.id);
  writeHeader(writer, header);
  return writer.finish();
}

/** LeaseGrantResponse or LeaseKeepAliveResponse; the error text of the first is never set. */
export function decodeLeaseTtlResponse(bytes: Uint8Array): LeaseTtlResponse | Malformed {
  const reader = new Reader(bytes);
  let header = noHeader;
  let id = noLease;
  let ttlSec = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) header = readHeader(reader);
    else if (tag === 0x10) id = reader.leaseId();
    else if (tag === 0x18) ttlSec = reader.int64();
    else reader.skip(tag, 3);
  }
  return reader.fault ?? { header, id, ttlSec };
}

export function encodeLeaseTimeToLiveResponse(
  writer: Writer,
  header: AnswerHeader,
  answer: LeaseTimeToLiveAnswer,
): Uint8Array {
  for (let i = answer.keys.length - 1; i >= 0; i--) {
    const key = answer.keys[i];
    if (key !== undefined) writer.bytesPresent(0x2a, key);
  }
  writer.integer(0x20, answer.grantedTtlSec);
  writer.integer(0x18, answer.ttlSec);
  writer.id(0x10, answer.id);
  writeHeader(writer, header);
  return writer.finish();
}

export function decodeLeaseTimeToLiveResponse(
  bytes: Uint8Array,
): LeaseTimeToLiveResponse | Malformed {
  const reader = new Reader(bytes);
  let header = noHeader;
  let id = noLease;
  let ttlSec = 0;
  let grantedTtlSec = 0;
  const keys: Uint8Array[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) header = readHeader(reader);
    else if (tag === 0x10) id = reader.leaseId();
    else if (tag === 0x18) ttlSec = reader.int64();
    else if (tag === 0x20) grantedTtlSec = reader.int64();
    else if (tag === 0x2a) keys.push(reader.bytes());
    else reader.skip(tag, 5);
  }
  return reader.fault ?? { header, id, ttlSec, grantedTtlSec, keys };
}

export function encodeLeaseLeasesResponse(
  writer: Writer,
  header: AnswerHeader,
  leases: readonly LeaseId[],
): Uint8Array {
  for (let i = leases.length - 1; i >= 0; i--) {
    const mark = writer.mark();
    writer.id(0x08, leases[i] ?? noLease);
    writer.message(0x12, mark);
  }
  writeHeader(writer, header);
  return writer.finish();
}

export function decodeLeaseLeasesResponse(bytes: Uint8Array): LeaseLeasesResponse | Malformed {
  const reader = new Reader(bytes);
  let header = noHeader;
  const leases: LeaseId[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) header = readHeader(reader);
    else if (tag === 0x12) {
      const outer = reader.enter();
      leases.push(readIdMessage(reader));
      reader.leave(outer);
    } else reader.skip(tag, 2);
  }
  return reader.fault ?? { header, leases };
}

function readIdMessage(reader: Reader): LeaseId {
  let id: LeaseId = noLease;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) id = reader.leaseId();
    else reader.skip(tag, 1);
  }
  return id;
}
