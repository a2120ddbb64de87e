// HPACK decoder (RFC 7541): a header block into shared fields; the dynamic table stays exact.
import { ConnectionFault, ErrorCode } from "./frames.ts";
import { type HeaderField, headerField, headerFieldLike } from "./headerField.ts";
import { DynamicTable, headerTableBytes, staticTable } from "./hpackTable.ts";
import { huffmanDecode, huffmanDecodedBytesMax } from "./huffman.ts";

const scratchBytes = 512;
/** Larger than any index, length or table size a legal block can hold. */
const integerMax = 2 ** 24;

export class HpackDecoder {
  readonly #table = new DynamicTable();
  readonly #scratch = Buffer.allocUnsafeSlow(scratchBytes);
  readonly #listBytesMax: number;
  #bytes: Buffer = this.#scratch;
  #at = 0;
  #to = 0;
  #listBytes = 0;

  /** Fields of the last block: the first `count` elements. Reused by the next `decode`. */
  readonly fields: HeaderField[] = [];
  count = 0;

  constructor(options: { readonly listBytesMax: number }) {
    this.#listBytesMax = options.listBytesMax;
  }

  /** Bytes in the dynamic table, for tests. */
  get tableBytes(): number {
    return this.#table.bytes;
  }

  /**
   * Decodes the whole block `bytes[from, to)` into `fields`.
   * @returns false when the list is larger than allowed; the table is right even so.
   * @throws {ConnectionFault} COMPRESSION_ERROR.
   */
  decode(bytes: Buffer, from: number, to: number): boolean {
    this.#bytes = bytes;
    this.#at = from;
    this.#to = to;
    this.#listBytes = 0;
    this.count = 0;
    this.#sizeUpdates();
    while (this.#at < to) this.#emit(this.#field());
    this.#bytes = this.#scratch;
    return this.#listBytes <= this.#listBytesMax;
  }

  #emit(field: HeaderField): void {
    this.#listBytes += field.sizeBytes;
    if (this.#listBytes <= this.#listBytesMax) this.fields[this.count++] = field;
  }

  #sizeUpdates(): void {
    while (this.#at < this.#to && (this.#peek() & 0xe0) === 0x20) {
      const bytesMax = this.#integer(5);
      if (bytesMax > headerTableBytes) throw compressionFault("table size above the setting");
      this.#table.resize(bytesMax);
    }
  }

  #field(): HeaderField {
    const first = this.#peek();
    if (first >= 0x80) return this.#lookUp(this.#integer(7));
    if (first >= 0x40) {
      const field = this.#literal(6);
      this.#table.insert(field);
      return field;
    }
    if (first >= 0x20) throw compressionFault("table size update after a field");
    return this.#literal(4);
  }

  #literal(prefixBits: number): HeaderField {
    const index = this.#integer(prefixBits);
    if (index > 0) {
      const known = this.#lookUp(index);
      return headerFieldLike(known, this.#text());
    }
    const name = this.#text();
    return headerField(name, this.#text());
  }

  #lookUp(index: number): HeaderField {
    const field =
      index > staticTable.length
        ? this.#table.at(index - staticTable.length - 1)
        : staticTable[index - 1];
    if (field === undefined) throw compressionFault("index outside the tables");
    return field;
  }

  #peek(): number {
    if (this.#at >= this.#to) throw compressionFault("block ends within a field");
    return this.#bytes[this.#at] as number;
  }

  // RFC 7541, 5.1.
  #integer(prefixBits: number): number {
    const prefixMax = (1 << prefixBits) - 1;
    let value = this.#peek() & prefixMax;
    this.#at += 1;
    if (value < prefixMax) return value;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#peek();
      this.#at += 1;
      value += (byte & 0x7f) * scale;
      if (value > integerMax || scale > integerMax) throw compressionFault("integer too large");
      if (byte < 0x80) return value;
    }
  }

  // RFC 7541, 5.2. The text owns its memory: the block may be dropped.
  #text(): string {
    const coded = this.#peek() >= 0x80;
    const length = this.#integer(7);
    const from = this.#at;
    const to = from + length;
    if (to > this.#to) throw compressionFault("string behind the end of the block");
    this.#at = to;
    return coded ? this.#huffman(from, to) : this.#bytes.toString("latin1", from, to);
  }

  #huffman(from: number, to: number): string {
    const needed = huffmanDecodedBytesMax(to - from);
    const target = needed <= scratchBytes ? this.#scratch : Buffer.allocUnsafe(needed);
    const length = huffmanDecode(this.#bytes, from, to, target);
    if (length < 0) throw compressionFault("invalid Huffman code");
    return target.toString("latin1", 0, length);
  }
}

const compressionFault = (reason: string): ConnectionFault =>
  new ConnectionFault(ErrorCode.compressionError, `header block: ${reason}`);
