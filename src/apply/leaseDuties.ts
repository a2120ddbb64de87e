// Commands that a leader proposes for the leases, and their bodies in the log. Each carries the term of
// the leader that proposed it: applied in another term it does nothing, as another leader may have
// promised more time meanwhile (traps: a deposed leader revokes leases).
//
//   leaseExpire      | term u48 | count u32 | count × lease i64                   |   little endian
//   leaseCheckpoint  | term u48 | count u32 | count × | lease i64 | remainder f64 |   (seconds)
import { LeaseId, Term } from "../base/brand.ts";
import type { Checkpoint } from "../lease/checkpoint.ts";

const headBytes = 10;
const idBytes = 8;
const checkpointBytes = 16;

export interface Expiry {
  readonly term: Term;
  readonly ids: readonly LeaseId[];
}

export interface Checkpoints {
  readonly term: Term;
  readonly checkpoints: readonly Checkpoint[];
}

export function encodeExpiry({ term, ids }: Expiry): Uint8Array {
  const body = bodyOf(term, ids.length, idBytes);
  for (const [i, id] of ids.entries()) body.writeBigInt64LE(id, headBytes + i * idBytes);
  return body;
}

/** @returns undefined for bytes that are none. */
export function decodeExpiry(body: Uint8Array): Expiry | undefined {
  const head = headOf(body, idBytes);
  if (head === undefined) return undefined;
  const ids = Array.from({ length: head.count }, (_, i) =>
    LeaseId(head.view.getBigInt64(headBytes + i * idBytes, true)),
  );
  return { term: head.term, ids };
}

export function encodeCheckpoints({ term, checkpoints }: Checkpoints): Uint8Array {
  const body = bodyOf(term, checkpoints.length, checkpointBytes);
  for (const [i, { id, remainingSec }] of checkpoints.entries()) {
    const at = headBytes + i * checkpointBytes;
    body.writeBigInt64LE(id, at);
    body.writeDoubleLE(remainingSec, at + idBytes);
  }
  return body;
}

/** @returns undefined for bytes that are none. */
export function decodeCheckpoints(body: Uint8Array): Checkpoints | undefined {
  const head = headOf(body, checkpointBytes);
  if (head === undefined) return undefined;
  const checkpoints = Array.from({ length: head.count }, (_, i) => {
    const at = headBytes + i * checkpointBytes;
    return {
      id: LeaseId(head.view.getBigInt64(at, true)),
      remainingSec: head.view.getFloat64(at + idBytes, true),
    };
  });
  return { term: head.term, checkpoints };
}

function bodyOf(term: Term, count: number, recordBytes: number): Buffer {
  const body = Buffer.allocUnsafeSlow(headBytes + count * recordBytes);
  body.writeUIntLE(term, 0, 6);
  body.writeUInt32LE(count, 6);
  return body;
}

function headOf(
  body: Uint8Array,
  recordBytes: number,
): { view: DataView; term: Term; count: number } | undefined {
  if (body.length < headBytes) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const term = Term(view.getUint32(0, true) + view.getUint16(4, true) * 0x1_0000_0000);
  const count = view.getUint32(6, true);
  return body.length === headBytes + count * recordBytes ? { view, term, count } : undefined;
}
