// Byte strings: order, copies, and latin1 strings that sort as their bytes do.

export const emptyBytes: Uint8Array = new Uint8Array(0);

/** Bytes [from, to) of an array: a part of it that needs no view. */
export interface Span {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

export const spanOf = (bytes: Uint8Array): Span => ({ bytes, from: 0, to: bytes.length });

/** Length of the parts together. */
export function totalBytes(parts: readonly Uint8Array[]): number {
  let total = 0;
  for (const part of parts) total += part.length;
  return total;
}

/** Order of plain bytes: negative, 0 or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/** A view as Buffer over the same memory; nothing is copied. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

// A browser has no Buffer: what the client needs has a plain way there, the rest is the server's.
const hasBuffer = typeof Buffer !== "undefined";

/** @returns an array that owns its memory, which may hold anything. */
export const allocateBytes: (length: number) => Uint8Array = hasBuffer
  ? Buffer.allocUnsafeSlow
  : (length) => new Uint8Array(length);

/** The parts behind one another, in memory of their own. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const whole = allocateBytes(totalBytes(parts));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The UTF-8 of a text; a part of a shared buffer where that is quicker. */
export const utf8Bytes: (text: string) => Uint8Array = hasBuffer
  ? (text) => Buffer.from(text, "utf8")
  : (text) => new TextEncoder().encode(text);

/** Bytes that are no UTF-8 become U+FFFD. */
export const utf8Text: (bytes: Uint8Array) => string = hasBuffer
  ? (bytes) => asBuffer(bytes).toString("utf8")
  : (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

// Work on any Uint8Array; a Buffer around each key would cost as much again (71 against 118 ns).
const { latin1Slice, base64Slice } = (hasBuffer ? Buffer.prototype : {}) as unknown as {
  latin1Slice(this: Uint8Array, from: number, to: number): string;
  base64Slice(this: Uint8Array, from: number, to: number): string;
};

/** One char per byte, 0 to 255. Compares with `<` exactly as the bytes compare. */
export function toLatin1(bytes: Uint8Array): string {
  return latin1Slice.call(bytes, 0, bytes.length);
}

/** The same for bytes [from, to), without a view of them. */
export function latin1Of(bytes: Uint8Array, from: number, to: number): string {
  return latin1Slice.call(bytes, from, to);
}

/** Bytes [from, to) in padded base64, without a view of them. */
export function base64Of(bytes: Uint8Array, from: number, to: number): string {
  return base64Slice.call(bytes, from, to);
}

/** The bytes of a string made by `toLatin1`. */
export function fromLatin1(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

/** A copy that owns its memory and nothing more. */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes.length);
  copy.set(bytes);
  return copy;
}
