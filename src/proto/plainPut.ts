// The put that nearly all puts are: a key, a value, and nothing else, in this order. Finding its parts
// costs a fraction of decoding a PutRequest: no reader, no request, no view of key and value.
import { emptyBytes } from "../base/bytes.ts";

export class PlainPut {
  /** Both within the bytes that were read last. */
  readonly key = { bytes: emptyBytes, from: 0, to: 0 };
  readonly value = { bytes: emptyBytes, from: 0, to: 0 };

  /**
   * Reads the PutRequest in bytes [from, to).
   *
   * @returns false for any other put, and for what is not one: those are for `decodePutRequest`.
   */
  read(bytes: Uint8Array, from: number, to: number): boolean {
    if (bytes[from] !== Tag.key) return false;
    const { key, value } = this;
    key.bytes = value.bytes = bytes;
    key.from = afterLength(bytes, from + 1);
    key.to = key.from + lengthAt(bytes, from + 1);
    if (key.to === key.from || bytes[key.to] !== Tag.value) return false;
    const lengthFrom = key.to + 1;
    value.from = afterLength(bytes, lengthFrom);
    value.to = value.from + lengthAt(bytes, lengthFrom);
    return value.from <= to && value.to === to;
  }
}

const Tag = { key: 0x0a, value: 0x12 } as const;

/** A length of one to three bytes; a longer one ends behind everything, so that nothing fits. */
function lengthAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return first;
  const second = bytes[at + 1] ?? 0;
  if (second < 0x80) return (first & 0x7f) | (second << 7);
  const third = bytes[at + 2] ?? 0;
  if (third >= 0x80) return bytes.length;
  return (first & 0x7f) | ((second & 0x7f) << 7) | (third << 14);
}

function afterLength(bytes: Uint8Array, at: number): number {
  if ((bytes[at] ?? 0) < 0x80) return at + 1;
  return (bytes[at + 1] ?? 0) < 0x80 ? at + 2 : at + 3;
}
