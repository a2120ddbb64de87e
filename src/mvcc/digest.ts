// A 32-bit digest for comparing our own members (MurmurHash3 by Appleby, 2008: x86, 32 bits). It guards
// against divergence, not against malice.

/** Mixes the four low bytes of a number into a digest. */
export function mixWord(digest: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = digest ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/** Mixes a safe integer from 0. */
export function mixInteger(digest: number, value: number): number {
  return mixWord(mixWord(digest, value | 0), Math.floor(value / 0x1_0000_0000));
}

/** Mixes bytes [from, to) and their count. */
export function mixBytes(digest: number, bytes: Uint8Array, from: number, to: number): number {
  let h = mixWord(digest, to - from);
  let at = from;
  for (; at + 4 <= to; at += 4) h = mixWord(h, wordAt(bytes, at));
  let tail = 0;
  for (; at < to; at++) tail = (tail << 8) | (bytes[at] ?? 0);
  return mixWord(h, tail);
}

/** @returns 32 bits, unsigned, every bit of which depends on every bit of `digest`. */
export function finished(digest: number): number {
  let h = digest;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)
  );
}
