// The plain form of a JSON request, which nearly all clients send, straight to protobuf: one object of
// scalars, bytes in padded standard base64, whole numbers, no escapes. For anything else it answers
// undefined, and the general reader decides; what both read, they read alike.
import { type FieldDescriptor, FieldKind, type MessageDescriptor } from "../proto/descriptors.ts";
import type { JsonMessage } from "./jsonReader.ts";
import { isSpace } from "./jsonSyntax.ts";

const openBrace = 0x7b;
const closeBrace = 0x7d;
const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const equals = 0x3d;
const zero = 0x30;
/** Digits that a number of JavaScript holds exactly. */
const digitsMax = 15;
/** A longer text is left to the general reader. */
const plainBytesMax = 65_536;
/** More than a number and its tag take. */
const spareBytes = 32;

// Value of a base64 digit; 255 for any other byte.
const digits = base64Digits();
const trueBytes = Buffer.from("true");
const falseBytes = Buffer.from("false");

interface PlainField {
  readonly name: Buffer;
  readonly kind: FieldKind;
  readonly tag: number;
  readonly bit: number;
}

export class PlainReader {
  readonly #fields = new Map<MessageDescriptor, readonly PlainField[]>();
  readonly #out = Buffer.allocUnsafeSlow(plainBytesMax + spareBytes);
  #length = 0;

  /** The same as `JsonReader.read`, or undefined. */
  read(text: Buffer, type: MessageDescriptor, from: number): JsonMessage | undefined {
    if (text.length - from > plainBytesMax) return undefined;
    const fields = this.#fieldsOf(type);
    this.#length = 0;
    let at = behindSpace(text, from);
    if (text[at] !== openBrace) return undefined;
    at = behindSpace(text, at + 1);
    if (text[at] === closeBrace) return { bytes: this.#out.subarray(0, 0), end: at + 1 };
    let seen = 0;
    for (;;) {
      const field = fieldAt(fields, text, at);
      if (field === undefined || seen & field.bit) return undefined;
      seen |= field.bit;
      at = behindSpace(text, at + field.name.length);
      if (text[at] !== colon) return undefined;
      at = this.#value(field, text, behindSpace(text, at + 1));
      if (at < 0) return undefined;
      at = behindSpace(text, at);
      if (text[at] === closeBrace) break;
      if (text[at] !== comma) return undefined;
      at = behindSpace(text, at + 1);
    }
    return { bytes: this.#out.subarray(0, this.#length), end: at + 1 };
  }

  // Each of these answers where the value ends, or -1 for one that is not plain.
  #value(field: PlainField, text: Buffer, at: number): number {
    if (field.kind === FieldKind.bytes) return this.#bytes(field.tag, text, at);
    if (field.kind === FieldKind.bool) return this.#bool(field.tag, text, at);
    return this.#number(field.tag, text, at);
  }

  #bool(tag: number, text: Buffer, at: number): number {
    if (isAt(trueBytes, text, at)) {
      this.#varint(tag);
      this.#varint(1);
      return at + trueBytes.length;
    }
    return isAt(falseBytes, text, at) ? at + falseBytes.length : -1;
  }

  #number(tag: number, text: Buffer, start: number): number {
    const isQuoted = text[start] === quote;
    const from = isQuoted ? start + 1 : start;
    let at = from;
    let value = 0;
    for (let digit = (text[at] ?? 0) - zero; digit >= 0 && digit <= 9; ) {
      value = value * 10 + digit;
      digit = (text[++at] ?? 0) - zero;
    }
    const count = at - from;
    if (count === 0 || count > digitsMax || (count > 1 && text[from] === zero)) return -1;
    if (isQuoted && text[at++] !== quote) return -1;
    const next = text[at] ?? 0;
    if (next !== comma && next !== closeBrace && !isSpace(next)) return -1;
    if (value !== 0) {
      this.#varint(tag);
      this.#varint(value);
    }
    return at;
  }

  #bytes(tag: number, text: Buffer, start: number): number {
    if (text[start] !== quote) return -1;
    const from = start + 1;
    const end = text.indexOf(quote, from);
    const count = end - from;
    if (end < 0 || count % 4 !== 0) return -1;
    if (count === 0) return end + 1;
    const padding = text[end - 1] !== equals ? 0 : text[end - 2] !== equals ? 1 : 2;
    this.#varint(tag);
    this.#varint((count / 4) * 3 - padding);
    return this.#base64(text, from, end - padding) ? end + 1 : -1;
  }

  /** @param to where the padding begins. */
  #base64(text: Buffer, from: number, to: number): boolean {
    const out = this.#out;
    const whole = to - ((to - from) & 3);
    let length = this.#length;
    let bad = 0;
    let at = from;
    for (; at < whole; at += 4) {
      const a = digits[text[at] ?? 0] ?? 0;
      const b = digits[text[at + 1] ?? 0] ?? 0;
      const c = digits[text[at + 2] ?? 0] ?? 0;
      const d = digits[text[at + 3] ?? 0] ?? 0;
      bad |= a | b | c | d;
      out[length++] = (a << 2) | (b >> 4);
      out[length++] = (b << 4) | (c >> 2);
      out[length++] = (c << 6) | d;
    }
    if (at < to) {
      const a = digits[text[at] ?? 0] ?? 0;
      const b = digits[text[at + 1] ?? 0] ?? 0;
      const c = to - at === 3 ? (digits[text[at + 2] ?? 0] ?? 0) : 0;
      bad |= a | b | c;
      out[length++] = (a << 2) | (b >> 4);
      if (to - at === 3) out[length++] = (b << 4) | (c >> 2);
    }
    this.#length = length;
    return bad < 64;
  }

  #varint(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
      this.#out[this.#length++] = (rest % 0x80) | 0x80;
    }
    this.#out[this.#length++] = rest;
  }

  #fieldsOf(type: MessageDescriptor): readonly PlainField[] {
    let fields = this.#fields.get(type);
    if (fields === undefined) {
      fields = type.fields.flatMap(plainFields);
      this.#fields.set(type, fields);
    }
    return fields;
  }
}

// By both names, with quotes; none for a field whose values are not plain.
function plainFields(field: FieldDescriptor): readonly PlainField[] {
  const { kind, number, index } = field;
  const isPlain = kind === FieldKind.bytes || kind === FieldKind.bool || kind === FieldKind.int64;
  if (!isPlain || field.repeated || field.oneof !== undefined || index > 30) return [];
  const tag = (number << 3) | (kind === FieldKind.bytes ? 2 : 0);
  return [...new Set([field.name, field.jsonName])].map((name) => ({
    ...{ kind, tag, bit: 1 << index },
    name: Buffer.from(JSON.stringify(name)),
  }));
}

function fieldAt(fields: readonly PlainField[], text: Buffer, at: number): PlainField | undefined {
  for (const field of fields) if (isAt(field.name, text, at)) return field;
  return undefined;
}

function isAt(wanted: Buffer, text: Buffer, at: number): boolean {
  for (let i = 0; i < wanted.length; i++) if (text[at + i] !== wanted[i]) return false;
  return true;
}

function behindSpace(text: Buffer, from: number): number {
  let at = from;
  while (isSpace(text[at] ?? 0)) at++;
  return at;
}

function base64Digits(): Uint8Array {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const table = new Uint8Array(256).fill(255);
  for (let i = 0; i < alphabet.length; i++) table[alphabet.charCodeAt(i)] = i;
  return table;
}
