// A protobuf message written from front to back, as JSON is read: a nested message gets its length
// when it ends, and moves if that takes more than a byte.

const capacityMin = 1024;
/** A buffer larger than this is given up after its message. */
const keptBytesMax = 65_536;
const two32 = 0x1_0000_0000;

export class ProtoBytes {
  #buffer: Buffer = Buffer.allocUnsafeSlow(capacityMin);
  #length = 0;

  /** The message; valid until the next one is begun. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  clear(): void {
    if (this.#buffer.length > keptBytesMax) this.#buffer = Buffer.allocUnsafeSlow(capacityMin);
    this.#length = 0;
  }

  varint(value: number): void {
    let rest = value;
    this.#reserve(10);
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#length++] = rest;
  }

  /** In two's complement of 64 bits. */
  integer(value: number | bigint): void {
    if (typeof value === "number" && value >= 0) {
      this.varint(value);
      return;
    }
    this.#reserve(10);
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest >= 0x80n; rest >>= 7n) {
      this.#buffer[this.#length++] = Number(rest & 0x7fn) | 0x80;
    }
    this.#buffer[this.#length++] = Number(rest);
  }

  /** Begins what `close` ends. */
  open(): number {
    this.#reserve(1);
    return ++this.#length;
  }

  /** Writes the length of everything since `open` before it. */
  close(start: number): void {
    const length = this.#length - start;
    if (length >= two32) throw new RangeError("a message is shorter than 4 GiB");
    let extra = 0;
    for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 0x80)) extra++;
    this.#reserve(extra + 10);
    if (extra > 0) this.#buffer.copyWithin(start + extra, start, this.#length);
    this.#length = start - 1;
    this.varint(length);
    this.#length = start + extra + length;
  }

  /** @returns the bytes written: fewer than the text says when it is not base64. */
  base64(text: string): number {
    this.#reserve(text.length);
    const written = this.#buffer.write(text, this.#length, "base64");
    this.#length += written;
    return written;
  }

  utf8(text: string): void {
    this.#reserve(text.length * 3);
    this.#length += this.#buffer.write(text, this.#length, "utf8");
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#buffer.length, needed));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}
