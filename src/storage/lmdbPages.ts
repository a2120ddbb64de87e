// Pages of an LMDB file as bytes, read without LMDB: what lmdbCheck.ts needs of the format.
//
//   page                                  node, at a multiple of 2 in [upper, end of the page)
//    0 u64 its own number                  0 u32 bytes of data     (branch: u48 page of the child)
//   10 u16 flags                           4 u16 flags: 1 the data lies in overflow pages,
//   12 u16 end of the node offsets              2 the data is the record of a database
//   14 u16 start of the nodes              6 u16 bytes of the key
//        (overflow: u32 count of pages)    8 key, then data (big: u64 first overflow page)
//   16 u16 offsets of nodes, in key order
//
//   meta, pages 0 and 1, from byte 16                 database record, 48 bytes
//    0 u32 magic   4 u32 version   16 u64 map          0 u32 page bytes, in the first record
//   24 record of free pages   72 record of names       4 u16 flags   6 u16 depth
//  120 u64 last page   128 u64 transaction             8 u64 branch, leaf, overflow pages, rows, root
//
// Little-endian, as on every machine that Node runs on. LMDB's data version 1.
import fs from "node:fs";

/** LMDB's own bound of a tree. */
export const depthMax = 32;

/** All 16 bits of what a file's page carries: LMDB's others (dirty, loose, keep) are cleared by a write. */
export const PageFlag = { branch: 1, leaf: 2, overflow: 4, meta: 8 } as const;
/** A leaf's node carries one of these, or none; LMDB's third (4, many values to a key) is never ours. */
export const NodeFlag = { big: 1, database: 2 } as const;
/** Keys of the database of free pages are numbers; every other one of ours has no flag. */
export const integerKeys = 8;
export const pageHeadBytes = 16;
export const nodeHeadBytes = 8;
/** Of a database that holds nothing. */
export const noRoot: number = 2 ** 64;

export const metaMagic = 0xbeefc0de;
export const metaVersion = 1;
/** What both meta pages need of a file, whatever its page size. */
const metaEndBytes = 152;
const pageBytesMin = 512;
const pageBytesMax = 65_536;

export interface Database {
  readonly flags: number;
  readonly depth: number;
  readonly branchPages: number;
  readonly leafPages: number;
  readonly overflowPages: number;
  readonly rows: number;
  readonly root: number;
}

export interface Meta {
  readonly pageBytes: number;
  readonly free: Database;
  readonly names: Database;
  readonly lastPage: number;
  readonly transaction: number;
}

/** Length of a record. */
export const databaseBytes = 48;

export function readDatabase(bytes: Buffer, at: number): Database {
  return {
    flags: bytes.readUInt16LE(at + 4),
    depth: bytes.readUInt16LE(at + 6),
    branchPages: readNumber(bytes, at + 8),
    leafPages: readNumber(bytes, at + 16),
    overflowPages: readNumber(bytes, at + 24),
    rows: readNumber(bytes, at + 32),
    root: readNumber(bytes, at + 40),
  };
}

/** @returns undefined when the bytes at the start of a file's page are no meta page. */
export function readMeta(bytes: Buffer): Meta | undefined {
  const at = pageHeadBytes;
  if (bytes.length < metaEndBytes || bytes.readUInt16LE(10) !== PageFlag.meta) return undefined;
  if (bytes.readUInt32LE(at) !== metaMagic) return undefined;
  if (bytes.readUInt32LE(at + 4) !== metaVersion) return undefined;
  const pageBytes = bytes.readUInt32LE(at + 24);
  const isPower = (pageBytes & (pageBytes - 1)) === 0;
  if (!isPower || pageBytes < pageBytesMin || pageBytes > pageBytesMax) return undefined;
  return {
    pageBytes,
    free: readDatabase(bytes, at + 24),
    names: readDatabase(bytes, at + 72),
    lastPage: readNumber(bytes, at + 120),
    transaction: readNumber(bytes, at + 128),
  };
}

/** Inexact from 2^53 on, where nothing is right any more. */
export function readNumber(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}

/** A read brings this much; a tree that was written in order is read in order. */
const blockBytes = 256 * 1024;
const blocksMax = 32;

/** Reads a file by pages through a few kept blocks. */
export class PageReader {
  readonly #fd: number;
  /** By number, the one used last at the end. */
  readonly #blocks = new Map<number, Buffer<ArrayBuffer>>();
  #last: { readonly number: number; readonly bytes: Buffer } | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Bytes at `offset`; fewer where the file ends. Of one block: `count` divides the block's length.
   * They are valid until the next read.
   */
  read(offset: number, count: number): Buffer {
    const number = Math.floor(offset / blockBytes);
    const block = this.#last?.number === number ? this.#last.bytes : this.#block(number);
    const from = offset - number * blockBytes;
    return block.subarray(from, from + count);
  }

  #block(number: number): Buffer<ArrayBuffer> {
    let bytes = this.#blocks.get(number);
    if (bytes === undefined) bytes = this.#readBlock(number);
    else this.#blocks.delete(number);
    this.#blocks.set(number, bytes);
    this.#last = { number, bytes };
    return bytes;
  }

  /** Into the memory of the block that was not asked for longest. */
  #readBlock(number: number): Buffer<ArrayBuffer> {
    let memory = new ArrayBuffer(0);
    const [oldest] = this.#blocks;
    if (this.#blocks.size < blocksMax || oldest === undefined) memory = new ArrayBuffer(blockBytes);
    else {
      memory = oldest[1].buffer;
      this.#blocks.delete(oldest[0]);
    }
    const bytes = Buffer.from(memory);
    let length = 0;
    while (length < blockBytes) {
      const at = number * blockBytes + length;
      const got = fs.readSync(this.#fd, bytes, length, blockBytes - length, at);
      if (got === 0) break;
      length += got;
    }
    return bytes.subarray(0, length);
  }
}
