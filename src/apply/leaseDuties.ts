// Commands that a leader proposes for the leases, and their bodies in the log. Each carries the term of
// the leader that proposed it: applied in another term it does nothing, as another leader may have
// promised more time meanwhile (traps: a deposed leader revokes leases). And each carries the index that
// the leader had applied by then: a lease that changed since is passed over.
//
//   leaseExpire      | term u48 | seen u48 | count u32 | count × lease i64                   |
//   leaseCheckpoint  | term u48 | seen u48 | count u32 | count × | lease i64 | remainder f64 |
//
// Little endian; the remainder is in seconds.
import { LeaseId, LogIndex, Term } from "../base/brand.ts";
import type { Checkpoint } from "../lease/checkpoint.ts";

const headBytes = 16;
const idBytes = 8;
const checkpointBytes = 16;

/** What the leader knew when it proposed. */
export interface DutyHead {
  readonly term: Term;
  readonly seen: LogIndex;
}

export interface Expiry extends DutyHead {
  readonly ids: readonly LeaseId[];
}

export interface Checkpoints extends DutyHead {
  readonly checkpoints: readonly Checkpoint[];
}

export function encodeExpiry({ ids, ...head }: Expiry): Uint8Array {
  const body = bodyOf(head, ids.length, idBytes);
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
  return { term: head.term, seen: head.seen, ids };
}

export function encodeCheckpoints({ checkpoints, ...head }: Checkpoints): Uint8Array {
  const body = bodyOf(head, checkpoints.length, checkpointBytes);
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
  return { term: head.term, seen: head.seen, checkpoints };
}

function bodyOf({ term, seen }: DutyHead, count: number, recordBytes: number): Buffer {
  const body = Buffer.allocUnsafeSlow(headBytes + count * recordBytes);
  body.writeUIntLE(term, 0, 6);
  body.writeUIntLE(seen, 6, 6);
  body.writeUInt32LE(count, 12);
  return body;
}

function headOf(
  body: Uint8Array,
  recordBytes: number,
): (DutyHead & { readonly view: DataView; readonly count: number }) | undefined {
  if (body.length < headBytes) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const count = view.getUint32(12, true);
  if (body.length !== headBytes + count * recordBytes) return undefined;
  return { view, count, term: Term(readU48(view, 0)), seen: LogIndex(readU48(view, 6)) };
}

const readU48 = (view: DataView, at: number): number =>
  view.getUint32(at, true) + view.getUint16(at + 4, true) * 0x1_0000_0000;
