// A revision is {main, sub}: main counts changes of the store, sub the single changes inside of one.
// As a key of Table.key it sorts bytewise in that order:
//
//   0           8        12
//   | main u64  | sub u32 |      big endian
import { Revision } from "../base/brand.ts";

export interface RevisionPair {
  readonly main: Revision;
  /** From 0, in the order of execution within one main revision. */
  readonly sub: number;
}

export const revisionKeyBytes = 12;

const two32 = 0x1_0000_0000;

/** Negative, 0 or positive. */
export function compareRevisions(a: RevisionPair, b: RevisionPair): number {
  return a.main === b.main ? a.sub - b.sub : a.main - b.main;
}

/** Fills `revisionKeyBytes` bytes of `target` from `offset` on. */
export function writeRevisionKey(target: Buffer, offset: number, revision: RevisionPair): void {
  writeKeyOf(target, offset, revision.main, revision.sub);
}

/** The same without an object, for the paths that run once per row. */
export function writeKeyOf(target: Buffer, offset: number, main: number, sub: number): void {
  target.writeUInt32BE(Math.floor(main / two32), offset);
  target.writeUInt32BE(main >>> 0, offset + 4);
  target.writeUInt32BE(sub, offset + 8);
}

/** @returns a key that owns its memory. */
export function revisionKey(revision: RevisionPair): Buffer {
  const key = Buffer.allocUnsafeSlow(revisionKeyBytes);
  writeRevisionKey(key, 0, revision);
  return key;
}

export function mainOfKey(key: Uint8Array): Revision {
  return Revision(u32(key, 0) * two32 + u32(key, 4));
}

export function subOfKey(key: Uint8Array): number {
  return u32(key, 8);
}

function u32(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  const low = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
  return high * 0x1_0000 + low;
}
