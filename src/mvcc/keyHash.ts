// Hash of a key for the table of keys: HalfSipHash-1-3 (Aumasson and Bernstein, 2012, in its form for
// 32 bits). Clients choose the keys: with a seed that they do not know, they cannot choose collisions.

/** 64 secret bits, as two numbers of 32. */
export interface HashSeed {
  readonly low: number;
  readonly high: number;
}

const finalRounds = 3;

/** @returns 32 bits, signed, of bytes [from, to). */
export function keyHash(seed: HashSeed, bytes: Uint8Array, from: number, to: number): number {
  let v0 = seed.low | 0;
  let v1 = seed.high | 0;
  let v2 = 0x6c796765 ^ v0;
  let v3 = 0x74656462 ^ v1;
  const words = (to - from) >>> 2;
  const tailAt = from + 4 * words;
  // One body for all rounds: those of whole words, one of the tail and the length, the final ones.
  for (let step = 0; step <= words + finalRounds; step++) {
    let word = 0;
    if (step < words) word = wordAt(bytes, from + 4 * step);
    else if (step === words) word = tailOf(bytes, tailAt, to) | ((to - from) << 24);
    else if (step === words + 1) v2 ^= 0xff;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return v1 ^ v3;
}

function wordAt(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
  return low | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
}

function tailOf(bytes: Uint8Array, from: number, to: number): number {
  let word = 0;
  for (let at = to - 1; at >= from; at--) word = (word << 8) | (bytes[at] ?? 0);
  return word;
}
