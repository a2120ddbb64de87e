// CRC32C (Castagnoli) over a range of bytes: a table for short ranges, native code for long ones.
import { crc32c as native } from "@node-rs/crc32";

/** Below this length the call into native code costs more than the table (bench/micro/raftLog.ts). */
const tableBytesMax = 192;

/** Castagnoli's, reflected. */
const polynomial = 0x82f63b78;

// Four tables, so that the loop takes four bytes at a time ("slicing by four").
const table0 = new Uint32Array(256);
const table1 = new Uint32Array(256);
const table2 = new Uint32Array(256);
const table3 = new Uint32Array(256);
fillTables();

/**
 * Checksum of `bytes` in [from, to), continued from `seed`, the checksum of what came before.
 *
 * @returns an unsigned 32-bit number.
 */
export function crc32c(bytes: Uint8Array, from = 0, to: number = bytes.length, seed = 0): number {
  if (to - from <= tableBytesMax) return byTable(bytes, from, to, seed);
  // Half the cost of Buffer's own subarray.
  return native(new Uint8Array(bytes.buffer, bytes.byteOffset + from, to - from), seed);
}

/**
 * Checksum of two ranges one behind the other, from those of each and the length of the second. Also what
 * the second has when `second` is that of both: joining is its own inverse.
 */
export function joinedCrc32c(first: number, second: number, secondBytes: number): number {
  let shifted = first;
  let power = 0;
  for (let left = secondBytes; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) shifted = product(bytePowers[power] ?? 0, shifted);
    power++;
  }
  return (shifted ^ second) >>> 0;
}

// x^(8 * 2^n) modulo the polynomial, by n: what so many zero bytes behind a range do to its checksum.
const bytePowers = powersOf(0x0080_0000, 48);

function powersOf(first: number, count: number): readonly number[] {
  const powers = [first];
  for (let i = 1; i < count; i++) powers.push(product(powers[i - 1] ?? 0, powers[i - 1] ?? 0));
  return powers;
}

/** Of two polynomials modulo the checksum's, the highest bit standing for x^0. */
function product(a: number, b: number): number {
  let sum = 0;
  let term = b;
  for (let bit = 31; bit >= 0; bit--) {
    if ((a >>> bit) & 1) sum ^= term;
    term = term & 1 ? (term >>> 1) ^ polynomial : term >>> 1;
  }
  return sum >>> 0;
}

function byTable(bytes: Uint8Array, from: number, to: number, seed: number): number {
  let crc = ~seed;
  let at = from;
  for (; at + 4 <= to; at += 4) {
    crc ^= byte(bytes, at) | (byte(bytes, at + 1) << 8) | (byte(bytes, at + 2) << 16);
    crc ^= byte(bytes, at + 3) << 24;
    crc =
      word(table3, crc & 255) ^
      word(table2, (crc >>> 8) & 255) ^
      word(table1, (crc >>> 16) & 255) ^
      word(table0, crc >>> 24);
  }
  for (; at < to; at++) crc = word(table0, (crc ^ byte(bytes, at)) & 255) ^ (crc >>> 8);
  return ~crc >>> 0;
}

// The index is always in range; a check would cost a third of the loop.
function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] as number;
}

function word(table: Uint32Array, at: number): number {
  return table[at] as number;
}

function fillTables(): void {
  for (let i = 0; i < 256; i++) {
    let crc = i;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    table0[i] = crc;
  }
  const next = (crc: number): number => word(table0, crc & 255) ^ (crc >>> 8);
  for (let i = 0; i < 256; i++) {
    table1[i] = next(word(table0, i));
    table2[i] = next(word(table1, i));
    table3[i] = next(word(table2, i));
  }
}
