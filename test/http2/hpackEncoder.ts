// A second opinion on HPACK: an encoder that shares no code with the decoder under test but the
// Huffman code table. It picks among all representations by a number source.
import { huffmanCodes } from "../../src/http2/huffman.ts";

export type Pair = readonly [name: string, value: string];
/** @returns an integer in [0, below). */
export type Pick = (below: number) => number;

const codes = huffmanCodes();

export function integerBytes(value: number, mark: number, prefixBits: number): number[] {
  const prefixMax = 2 ** prefixBits - 1;
  if (value < prefixMax) return [mark + value];
  const bytes = [mark + prefixMax];
  let rest = value - prefixMax;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

export function huffmanBytes(text: string): number[] {
  let bits = "";
  for (const char of Buffer.from(text, "latin1")) {
    const code = codes[char];
    if (code !== undefined) bits += code.bits.toString(2).padStart(code.bitCount, "0");
  }
  bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, "1");
  return (bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2));
}

export function textBytes(text: string, coded: boolean): number[] {
  const body = coded ? huffmanBytes(text) : [...Buffer.from(text, "latin1")];
  return [...integerBytes(body.length, coded ? 0x80 : 0, 7), ...body];
}

/** A literal that enters no table, strings as they are. */
export function plainLiteral([name, value]: Pair): Buffer {
  return Buffer.from([0, ...textBytes(name, false), ...textBytes(value, false)]);
}

export class TestEncoder {
  readonly #pick: Pick;
  #table: Pair[] = [];
  #bytesMax = 4096;

  constructor(pick: Pick) {
    this.#pick = pick;
  }

  get tableBytes(): number {
    return this.#table.reduce((sum, pair) => sum + sizeOf(pair), 0);
  }

  encode(list: readonly Pair[]): Buffer {
    const bytes: number[] = [];
    if (this.#pick(8) === 0) bytes.push(...this.#resize(this.#pick(4097)));
    for (const pair of list) bytes.push(...this.#field(pair));
    return Buffer.from(bytes);
  }

  #resize(bytesMax: number): number[] {
    this.#bytesMax = bytesMax;
    this.#evict(bytesMax);
    return integerBytes(bytesMax, 0x20, 5);
  }

  #field(pair: Pair): number[] {
    const whole = this.#table.findIndex(([name, value]) => name === pair[0] && value === pair[1]);
    if (whole >= 0 && this.#pick(4) > 0) return integerBytes(whole + 62, 0x80, 7);
    const named = this.#table.findIndex(([name]) => name === pair[0]);
    const index = named >= 0 && this.#pick(3) > 0 ? named + 62 : 0;
    const name = index > 0 ? [] : textBytes(pair[0], this.#pick(2) === 0);
    const rest = [...name, ...textBytes(pair[1], this.#pick(2) === 0)];
    const form = this.#pick(3);
    if (form === 0) return [...integerBytes(index, 0x00, 4), ...rest];
    if (form === 1) return [...integerBytes(index, 0x10, 4), ...rest];
    this.#insert(pair);
    return [...integerBytes(index, 0x40, 6), ...rest];
  }

  #insert(pair: Pair): void {
    this.#evict(this.#bytesMax - sizeOf(pair));
    if (sizeOf(pair) <= this.#bytesMax) this.#table.unshift(pair);
  }

  #evict(bytes: number): void {
    while (this.#table.length > 0 && this.tableBytes > bytes) this.#table.pop();
  }
}

const sizeOf = ([name, value]: Pair): number => name.length + value.length + 32;
