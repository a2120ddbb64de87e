// The Huffman code of RFC 7541, appendix B. The code is canonical, so the lengths say everything.
import { assert } from "../base/assert.ts";

/** Code length in bits of each octet, then of EOS, one base-36 digit each. */
const codeLengths =
  "dnsssssssoussussssssssusssssssss" +
  "6aacd68baa8b8666555666666678f6ca" +
  "d67777777777777777777777878djde6" +
  "f56565666577666567655677777fbeds" +
  "kmkkmmmnmnnnnnonoomnonnnnlmnmnno" +
  "mlkmmnnlnmmolmnnllmlnmnnkmmmnmmn" +
  "qqkjmnmpqqqrrqopjlqrrqrollqqsrrr" +
  "koklmllnmmppooqnqrqqrrrrrsrrrrrq" +
  "u";

const eos = 256;

export interface HuffmanCode {
  readonly bits: number;
  readonly bitCount: number;
}

/** Codes by symbol, EOS last. */
export function huffmanCodes(): readonly HuffmanCode[] {
  const lengths = [...codeLengths].map((digit) => Number.parseInt(digit, 36));
  const order = lengths.map((_, symbol) => symbol);
  order.sort((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0) || a - b);
  const codes: HuffmanCode[] = [];
  let bits = 0;
  let previous = 0;
  for (const symbol of order) {
    const bitCount = lengths[symbol] ?? 0;
    bits = bits * 2 ** (bitCount - previous);
    codes[symbol] = { bits, bitCount };
    bits += 1;
    previous = bitCount;
  }
  return codes;
}

// A state is an inner node of the code tree; four bits of input lead to the next one. No code is
// shorter than five bits, so a step emits one symbol at most.
// Step: next state in bits 0..7, symbol in 8..15, flags above.
const emits = 1 << 16;
const fails = 1 << 17;

interface Machine {
  readonly steps: Int32Array;
  /** States in which the input may end: the root, or up to seven one-bits below it. */
  readonly mayEnd: Uint8Array;
}

function buildMachine(): Machine {
  const { children, mayEnd } = buildTree();
  const stateCount = children.length / 2;
  assert(stateCount === 256, "a full tree of 257 leaves has 256 inner nodes");
  const steps = new Int32Array(stateCount * 16);
  for (let state = 0; state < stateCount; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      steps[state * 16 + nibble] = walk(children, state, nibble);
    }
  }
  return { steps, mayEnd };
}

// `children` holds two numbers per inner node: another inner node, or ~symbol.
function buildTree(): { readonly children: readonly number[]; readonly mayEnd: Uint8Array } {
  const children: number[] = [0, 0];
  for (const [symbol, { bits, bitCount }] of huffmanCodes().entries()) {
    let node = 0;
    for (let shift = bitCount - 1; shift > 0; shift--) {
      const slot = node * 2 + ((bits >>> shift) & 1);
      if (children[slot] === 0) children[slot] = children.push(0, 0) / 2 - 1;
      node = children[slot] ?? 0;
    }
    children[node * 2 + (bits & 1)] = ~symbol;
  }
  const mayEnd = new Uint8Array(children.length / 2);
  for (let node = 0, depth = 0; depth < 8; depth++) {
    mayEnd[node] = 1;
    node = children[node * 2 + 1] ?? 0;
  }
  return { children, mayEnd };
}

function walk(children: readonly number[], state: number, nibble: number): number {
  let node = state;
  let emitted = 0;
  for (let shift = 3; shift >= 0; shift--) {
    const child = children[node * 2 + ((nibble >>> shift) & 1)] ?? 0;
    if (child === ~eos) return fails;
    if (child < 0) emitted = emits | (~child << 8);
    node = Math.max(child, 0);
  }
  return emitted | node;
}

const { steps, mayEnd } = buildMachine();

/** A string of n bytes decodes to at most 8n/5 bytes. */
export const huffmanDecodedBytesMax = (encodedBytes: number): number =>
  Math.floor((encodedBytes * 8) / 5);

/**
 * Decodes `source[from, to)` into `target` from 0, which must be long enough.
 * @returns the decoded length, or -1 for an invalid code (EOS, wrong or long padding).
 */
export function huffmanDecode(
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
): number {
  let state = 0;
  let length = 0;
  for (let at = from; at < to; at++) {
    const byte = source[at] as number;
    let step = steps[state * 16 + (byte >>> 4)] as number;
    if (step & emits) target[length++] = step >>> 8;
    if (step & fails) return -1;
    step = steps[(step & 0xff) * 16 + (byte & 15)] as number;
    if (step & emits) target[length++] = step >>> 8;
    if (step & fails) return -1;
    state = step & 0xff;
  }
  return mayEnd[state] === 1 ? length : -1;
}
