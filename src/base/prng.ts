// Seeded numbers (xoshiro128**; Blackman and Vigna, 2018). Same seed, same numbers.
import type { Random } from "./ports.ts";

const rotl = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

export class Prng implements Random {
  readonly #state = new Uint32Array(4);

  /** @param seed any safe integer. */
  constructor(seed: number) {
    // splitmix32 spreads the seed, so that neighbouring seeds have nothing in common.
    let z = (seed ^ Math.floor(seed / 0x1_0000_0000)) >>> 0;
    for (let i = 0; i < 4; i++) {
      z = (z + 0x9e3779b9) >>> 0;
      let t = z ^ (z >>> 16);
      t = Math.imul(t, 0x21f0aaad);
      t ^= t >>> 15;
      t = Math.imul(t, 0x735a2d97);
      this.#state[i] = (t ^ (t >>> 15)) >>> 0;
    }
  }

  /** @returns 32 random bits. */
  bits32(): number {
    const s = this.#state;
    const s0 = s[0] ?? 0;
    const s1 = s[1] ?? 0;
    const s2 = s[2] ?? 0;
    const s3 = s[3] ?? 0;
    const result = Math.imul(rotl(Math.imul(s1, 5), 7), 9) >>> 0;
    const c2 = s2 ^ s0;
    const c3 = s3 ^ s1;
    s[1] = s1 ^ c2;
    s[0] = s0 ^ c3;
    s[2] = c2 ^ (s1 << 9);
    s[3] = rotl(c3, 11);
    return result;
  }

  integer(below: number): number {
    return Math.floor((this.bits32() / 0x1_0000_0000) * below);
  }

  /** @returns true once in `odds` calls on average; `odds` 0 is never. */
  oneIn(odds: number): boolean {
    return odds > 0 && this.integer(odds) === 0;
  }
}
