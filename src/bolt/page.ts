// Pages of a bbolt file, in which etcd keeps its state: what is told of them here is all that its readers
// look at. Everything is little endian.
//
//   page      | id u64 | flags u16 | count u16 | overflow u32 | entries, then their bytes |
//   leaf      | flags u32 | from u32 | key length u32 | value length u32 |      key, then value
//   branch    | from u32 | key length u32 | page u64 |                          first key of that page
//   meta      | magic u32 | version u32 | page bytes u32 | flags u32 | root page u64 | sequence u64 |
//             | page of the freelist u64 | pages u64 | transaction u64 | FNV-1a of all before it u64 |
//
// `from` counts from the start of its own entry. `overflow` are the pages that follow and belong to this one.
import { assert } from "../base/assert.ts";
import { copyBytes } from "../base/bytes.ts";

export const pageBytes = 4096;
export const pageHeadBytes = 16;
const entryBytes = 16;
const two32 = 0x1_0000_0000;
/** Buffers larger than this are given up after their page: one huge value pins no memory. */
const keptBytesMax = 2 * 1_048_576;

export const PageFlag = { branch: 0x01, leaf: 0x02, meta: 0x04, freelist: 0x10 } as const;
type PageFlag = (typeof PageFlag)[keyof typeof PageFlag];

/** Flags of a leaf's entry. */
export const LeafFlag = { row: 0, bucket: 1 } as const;
export type LeafFlag = (typeof LeafFlag)[keyof typeof LeafFlag];

export const metaMagic = 0xed0c_daed;
export const metaVersion = 2;

interface Child {
  readonly key: Uint8Array;
  readonly page: number;
}

/** Entries of one page in the order of their keys, until it is full. */
export class PageDraft {
  readonly #flag: PageFlag;
  #entries: Buffer = Buffer.allocUnsafeSlow(pageBytes);
  #count = 0;
  /** Keys and values; the entries count from its start until the page is made. */
  #data: Buffer = Buffer.allocUnsafeSlow(pageBytes);
  #dataBytes = 0;
  #made: Buffer = Buffer.allocUnsafeSlow(pageBytes);

  constructor(flag: PageFlag) {
    this.#flag = flag;
  }

  get count(): number {
    return this.#count;
  }

  /** Without what fills the last page. */
  get bytes(): number {
    return pageHeadBytes + this.#count * entryBytes + this.#dataBytes;
  }

  /** Would an entry of so many bytes of key and value stay within one page? */
  fits(dataBytes: number): boolean {
    return this.bytes + entryBytes + dataBytes <= pageBytes;
  }

  /** Copies a row, or a bucket, into a leaf; beyond one page if it must. */
  addRow(flag: LeafFlag, key: Uint8Array, value: Uint8Array): void {
    const at = this.#addEntry(key.length + value.length);
    const entries = this.#entries;
    entries.writeUInt32LE(flag, at);
    entries.writeUInt32LE(this.#dataBytes, at + 4);
    entries.writeUInt32LE(key.length, at + 8);
    entries.writeUInt32LE(value.length, at + 12);
    this.#append(key);
    this.#append(value);
  }

  /** Copies the first key of a page into a branch. */
  addChild({ key, page }: Child): void {
    const at = this.#addEntry(key.length);
    this.#entries.writeUInt32LE(this.#dataBytes, at);
    this.#entries.writeUInt32LE(key.length, at + 4);
    writeU64(this.#entries, at + 8, page);
    this.#append(key);
  }

  /** Takes the last entry out of a branch. */
  takeLastChild(): Child {
    assert(this.#count > 0 && this.#flag === PageFlag.branch, "a branch with a child");
    const at = --this.#count * entryBytes;
    this.#dataBytes = this.#entries.readUInt32LE(at);
    const to = this.#dataBytes + this.#entries.readUInt32LE(at + 4);
    const key = copyBytes(this.#data.subarray(this.#dataBytes, to));
    return { key, page: readU64(this.#entries, at + 8) };
  }

  /**
   * The entries as one page, without what fills its end; the draft is empty then.
   *
   * @returns a view that the next call overwrites.
   */
  take(id: number): Buffer {
    const length = this.bytes;
    if (length > this.#made.length) this.#made = Buffer.allocUnsafeSlow(length);
    const made = this.#made.subarray(0, length);
    const overflow = Math.ceil(length / pageBytes) - 1;
    writePageHead(made, { id, flag: this.#flag, count: this.#count, overflow });
    const dataAt = pageHeadBytes + this.#count * entryBytes;
    this.#entries.copy(made, pageHeadBytes, 0, this.#count * entryBytes);
    this.#data.copy(made, dataAt, 0, this.#dataBytes);
    // A leaf's entry begins with its flags.
    const fromAt = this.#flag === PageFlag.leaf ? 4 : 0;
    for (let at = pageHeadBytes; at < dataAt; at += entryBytes) {
      made.writeUInt32LE(made.readUInt32LE(at + fromAt) + dataAt - at, at + fromAt);
    }
    this.#count = 0;
    this.#dataBytes = 0;
    if (this.#data.length > keptBytesMax) {
      this.#data = Buffer.allocUnsafeSlow(pageBytes);
      this.#made = Buffer.allocUnsafeSlow(pageBytes);
    }
    return made;
  }

  /** Room for an entry and its bytes. @returns where the entry begins. */
  #addEntry(dataBytes: number): number {
    const at = this.#count++ * entryBytes;
    if (at + entryBytes > this.#entries.length) this.#entries = grown(this.#entries, 0);
    if (this.#dataBytes + dataBytes > this.#data.length) {
      this.#data = grown(this.#data, this.#dataBytes + dataBytes);
    }
    return at;
  }

  #append(bytes: Uint8Array): void {
    this.#data.set(bytes, this.#dataBytes);
    this.#dataBytes += bytes.length;
  }
}

function grown(bytes: Buffer, lengthMin: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(Math.max(2 * bytes.length, lengthMin));
  bytes.copy(larger);
  return larger;
}

interface PageHead {
  readonly id: number;
  readonly flag: PageFlag;
  readonly count: number;
  /** Pages that follow and belong to this one. */
  readonly overflow: number;
}

export function writePageHead(page: Buffer, { id, flag, count, overflow }: PageHead): void {
  writeU64(page, 0, id);
  page.writeUInt16LE(flag, 8);
  page.writeUInt16LE(count, 10);
  page.writeUInt32LE(overflow, 12);
}

/** What a file says of itself; the transaction is the page's number, so that page 1 is the newer one. */
export interface FileMeta {
  readonly rootPage: number;
  readonly freelistPage: number;
  readonly pageCount: number;
}

/** @param id 0 or 1. @returns one page. */
export function metaPage(id: number, { rootPage, freelistPage, pageCount }: FileMeta): Buffer {
  const page = Buffer.alloc(pageBytes);
  writePageHead(page, { id, flag: PageFlag.meta, count: 0, overflow: 0 });
  const meta = page.subarray(pageHeadBytes);
  meta.writeUInt32LE(metaMagic, 0);
  meta.writeUInt32LE(metaVersion, 4);
  meta.writeUInt32LE(pageBytes, 8);
  writeU64(meta, 16, rootPage);
  writeU64(meta, 32, freelistPage);
  writeU64(meta, 40, pageCount);
  writeU64(meta, 48, id);
  meta.writeBigUInt64LE(fnv1a(meta.subarray(0, 56)), 56);
  return page;
}

/** The list of free pages of a file without any. @returns one page. */
export function emptyFreelistPage(id: number): Buffer {
  const page = Buffer.alloc(pageBytes);
  writePageHead(page, { id, flag: PageFlag.freelist, count: 0, overflow: 0 });
  return page;
}

/** Fowler, Noll and Vo's hash 1a of 64 bits. */
export function fnv1a(bytes: Uint8Array): bigint {
  let hash = 0xcbf2_9ce4_8422_2325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100_0000_01b3n);
  return hash;
}

export function writeU64(target: Buffer, at: number, value: number): void {
  target.writeUInt32LE(value >>> 0, at);
  target.writeUInt32LE(Math.floor(value / two32), at + 4);
}

function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * two32;
}
