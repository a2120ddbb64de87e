// Rows as LMDB holds them (drawn in tables.ts): framing for a batch, checking on the way back.
import { equalBytes } from "../base/bytes.ts";
import { crc32c } from "../base/crc.ts";
import type { EngineBatch, EngineRow, Table } from "./engine.ts";
import { EngineFault } from "./engineFault.ts";
import { rowHeadBytes } from "./tables.ts";

/** An arena up to this length stays for the next batch. */
const keptBytesMax = 16 * 1024 * 1024;

/** Bytes of all framed values of a batch. */
export function framedBytes(batch: EngineBatch): number {
  let bytes = 0;
  for (const { key, value } of batch.puts) bytes += rowHeadBytes + key.length + value.length;
  return bytes;
}

/** Frames the values of one batch after the other in memory that is reused. */
export class RowFramer {
  #arena = Buffer.allocUnsafeSlow(64 * 1024);
  #length = 0;

  /** The values framed before are dead from here on. */
  start(bytes: number): void {
    this.#length = 0;
    const have = this.#arena.length;
    if (bytes <= have && (have <= keptBytesMax || bytes > keptBytesMax)) return;
    let want = 64 * 1024;
    while (want < bytes) want *= 2;
    this.#arena = Buffer.allocUnsafeSlow(want);
  }

  frame(row: EngineRow): Uint8Array {
    const { key, value } = row;
    const arena = this.#arena;
    const at = this.#length;
    const to = at + rowHeadBytes + key.length + value.length;
    arena[at + 4] = key.length & 255;
    arena[at + 5] = key.length >>> 8;
    arena.set(key, at + rowHeadBytes);
    arena.set(value, at + rowHeadBytes + key.length);
    arena.writeUInt32LE(crc32c(arena, at + 4, to), at);
    this.#length = to;
    // Half the cost of Buffer's own subarray.
    return new Uint8Array(arena.buffer, arena.byteOffset + at, to - at);
  }
}

/**
 * The value in what LMDB gave for `key`; the same memory.
 *
 * @throws {EngineFault} damaged.
 */
export function unframeValue(table: Table, key: Uint8Array, framed: Buffer): Uint8Array {
  const keyTo = keyEnd(framed);
  if (keyTo === undefined || !equalBytes(framed.subarray(rowHeadBytes, keyTo), key)) {
    throw new EngineFault({ kind: "damaged", table, key });
  }
  return framed.subarray(keyTo);
}

/**
 * Key and value of a scanned row; the same memory.
 *
 * @throws {EngineFault} damaged.
 */
export function unframeRow(table: Table, framed: Buffer): EngineRow {
  const keyTo = keyEnd(framed);
  if (keyTo === undefined) {
    const key = framed.subarray(rowHeadBytes, rowHeadBytes + 16);
    throw new EngineFault({ kind: "damaged", table, key });
  }
  return { key: framed.subarray(rowHeadBytes, keyTo), value: framed.subarray(keyTo) };
}

/** Where the key ends; undefined unless the checksum passes. */
function keyEnd(framed: Buffer): number | undefined {
  if (framed.length < rowHeadBytes) return undefined;
  const keyTo = rowHeadBytes + framed.readUInt16LE(4);
  const passes = keyTo <= framed.length && framed.readUInt32LE(0) === crc32c(framed, 4);
  return passes ? keyTo : undefined;
}
