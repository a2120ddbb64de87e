// The rows of an image as one stream of bytes, cut into chunks anywhere:
//
//   row: | table u8 | key length u16 | value length u32 | key | value |    little endian
import { crc32c, joinedCrc32c } from "../base/crc.ts";
import { type PinnedRows, type Table, type TableRow, tableCount } from "../storage/engine.ts";
import { chunkBytesMax, imageHeadBytes } from "./imageFrames.ts";

/** A value above this is no row of ours. */
export const valueBytesMax = 64 << 20;
const keyBytesMax = 511;
const rowHeadBytes = 7;

/** What a stream held, to be compared at its end. */
export interface StreamTotals {
  readonly rows: number;
  readonly bytes: number;
  /** CRC32C. */
  readonly digest: number;
}

/** Reads pinned rows into chunks, a bounded number of rows at a time. */
export class RowsToChunks {
  readonly #rows: PinnedRows;
  /** The chunk that is being filled, with room for a frame's head before it. */
  #frame: Buffer | undefined;
  #length = imageHeadBytes;
  /** The rest of a row that began in an earlier chunk. */
  #rest: Buffer | undefined;
  #isRead = false;
  #rowCount = 0;
  #bytes = 0;
  #digest = 0;
  #checksum = 0;

  constructor(rows: PinnedRows) {
    this.#rows = rows;
  }

  /** True when every row has left in a chunk. */
  get isEnded(): boolean {
    return this.#isRead && this.#rest === undefined && this.#length === imageHeadBytes;
  }

  get totals(): StreamTotals {
    return { rows: this.#rowCount, bytes: this.#bytes, digest: this.#digest };
  }

  /** CRC32C of the bytes of the chunk that was given out last. */
  get checksum(): number {
    return this.#checksum;
  }

  /**
   * Reads at most `rowsMax` rows, and none after `hasTime` says no.
   *
   * @returns the chunk behind `imageHeadBytes` of room, in an array of its own, once it is full or the
   *          last; undefined when more rows have to be read first, or none are left.
   */
  next(rowsMax: number, hasTime: () => boolean = () => true): Buffer | undefined {
    this.#takeRest();
    let left = rowsMax;
    if (!this.#isRead && !this.#isFull && left > 0) {
      const more = this.#rows.next((row) => {
        this.#add(row);
        left--;
        return left > 0 && !this.#isFull && hasTime();
      });
      this.#isRead = !more;
    }
    const isLast = this.#isRead && this.#rest === undefined && this.#length > imageHeadBytes;
    return this.#isFull || isLast ? this.#cut() : undefined;
  }

  get #isFull(): boolean {
    return this.#length === imageHeadBytes + chunkBytesMax;
  }

  #add(row: TableRow): void {
    const bytes = rowHeadBytes + row.key.length + row.value.length;
    this.#rowCount++;
    this.#frame ??= Buffer.allocUnsafeSlow(imageHeadBytes + chunkBytesMax);
    if (this.#length + bytes <= this.#frame.length) {
      writeRow(this.#frame, this.#length, row);
      this.#length += bytes;
      return;
    }
    this.#rest = Buffer.allocUnsafe(bytes);
    writeRow(this.#rest, 0, row);
    this.#takeRest();
  }

  #takeRest(): void {
    const rest = this.#rest;
    if (rest === undefined) return;
    this.#frame ??= Buffer.allocUnsafeSlow(imageHeadBytes + chunkBytesMax);
    const count = Math.min(rest.length, this.#frame.length - this.#length);
    rest.copy(this.#frame, this.#length, 0, count);
    this.#length += count;
    this.#rest = count === rest.length ? undefined : rest.subarray(count);
  }

  #cut(): Buffer {
    const whole = this.#frame ?? Buffer.alloc(imageHeadBytes);
    const frame = this.#isFull ? whole : copied(whole, this.#length);
    this.#frame = undefined;
    this.#length = imageHeadBytes;
    const bytes = frame.length - imageHeadBytes;
    this.#bytes += bytes;
    this.#checksum = crc32c(frame, imageHeadBytes);
    this.#digest = joinedCrc32c(this.#digest, this.#checksum, bytes);
    return frame;
  }
}

function writeRow(to: Buffer, at: number, { table, key, value }: TableRow): void {
  to[at] = table;
  to.writeUInt16LE(key.length, at + 1);
  to.writeUInt32LE(value.length, at + 3);
  to.set(key, at + rowHeadBytes);
  to.set(value, at + rowHeadBytes + key.length);
}

function copied(bytes: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length);
  bytes.copy(copy, 0, 0, length);
  return copy;
}

/** Whole chunks, but no rows. */
export class RowsFault extends Error {
  override readonly name = "RowsFault";
}

/** Takes chunks in order and gives back rows. */
export class ChunksToRows {
  #chunk: Buffer = Buffer.alloc(0);
  #at = 0;
  /** A row that goes on in the next chunk: its head until that is whole, then head and all. */
  #part: Buffer = Buffer.alloc(0);
  #partLength = 0;
  #rowCount = 0;
  #bytes = 0;
  #digest = 0;

  get totals(): StreamTotals {
    return { rows: this.#rowCount, bytes: this.#bytes, digest: this.#digest };
  }

  /** True when the next chunk may be pushed. */
  get isDrained(): boolean {
    return this.#at === this.#chunk.length;
  }

  /** True when the stream could end here. */
  get isBetweenRows(): boolean {
    return this.isDrained && this.#partLength === 0;
  }

  /**
   * The bytes are kept until the rows in them were used.
   *
   * @param checksum CRC32C of them, for whoever knows it.
   */
  push(chunk: Uint8Array, checksum: number = crc32c(chunk)): void {
    this.#chunk = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#at = 0;
    this.#bytes += chunk.length;
    this.#digest = joinedCrc32c(this.#digest, checksum, chunk.length);
  }

  /**
   * The next row that is whole; undefined when the next chunk is needed for it.
   *
   * @throws {RowsFault} for what can be no row; before memory is taken for it.
   */
  next(): TableRow | undefined {
    const row = this.#partLength > 0 ? this.#fromParts() : this.#fromChunk();
    if (row !== undefined) this.#rowCount++;
    return row;
  }

  #fromChunk(): TableRow | undefined {
    const leftBytes = this.#chunk.length - this.#at;
    if (leftBytes === 0) return undefined;
    if (leftBytes >= rowHeadBytes) {
      const rowBytes = rowBytesOf(this.#chunk, this.#at);
      if (leftBytes >= rowBytes) {
        const from = this.#at;
        this.#at += rowBytes;
        return rowAt(this.#chunk, from);
      }
    }
    this.#part = Buffer.allocUnsafeSlow(rowHeadBytes);
    return this.#fromParts();
  }

  #fromParts(): TableRow | undefined {
    if (this.#partLength < rowHeadBytes && !this.#take(rowHeadBytes)) return undefined;
    if (this.#part.length === rowHeadBytes) {
      const whole = Buffer.allocUnsafeSlow(rowBytesOf(this.#part, 0));
      this.#part.copy(whole);
      this.#part = whole;
    }
    if (!this.#take(this.#part.length)) return undefined;
    const row = rowAt(this.#part, 0);
    this.#part = Buffer.alloc(0);
    this.#partLength = 0;
    return row;
  }

  /** Moves bytes of the chunk until the part is `length` long. */
  #take(length: number): boolean {
    const count = Math.min(length - this.#partLength, this.#chunk.length - this.#at);
    this.#chunk.copy(this.#part, this.#partLength, this.#at, this.#at + count);
    this.#partLength += count;
    this.#at += count;
    return this.#partLength === length;
  }
}

function rowBytesOf(bytes: Buffer, at: number): number {
  const keyBytes = bytes.readUInt16LE(at + 1);
  const valueBytes = bytes.readUInt32LE(at + 3);
  if ((bytes[at] ?? tableCount) >= tableCount) throw new RowsFault("a row of no table");
  if (keyBytes === 0 || keyBytes > keyBytesMax) throw new RowsFault(`a key of ${keyBytes} bytes`);
  if (valueBytes > valueBytesMax) throw new RowsFault(`a value of ${valueBytes} bytes`);
  return rowHeadBytes + keyBytes + valueBytes;
}

function rowAt(bytes: Buffer, at: number): TableRow {
  const keyTo = at + rowHeadBytes + bytes.readUInt16LE(at + 1);
  return {
    table: bytes[at] as Table,
    key: bytes.subarray(at + rowHeadBytes, keyTo),
    value: bytes.subarray(keyTo, keyTo + bytes.readUInt32LE(at + 3)),
  };
}
