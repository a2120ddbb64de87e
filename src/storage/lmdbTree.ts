// The rows of one table of an LMDB file, read by pages and not through LMDB: what a reader needs of each row
// costs a fraction of two calls into the addon and a copy, and none of it is mapped into memory.
//
// Only while the pages of that table stay as they are: nobody writes, or a read transaction holds them.
import fs from "node:fs";
import { copyBytes, emptyBytes } from "../base/bytes.ts";
import { crc32c } from "../base/crc.ts";
import type { Table } from "./engine.ts";
import { EngineFault } from "./engineFault.ts";
import {
  type Database,
  databaseBytes,
  depthMax,
  type Meta,
  NodeFlag,
  nodeHeadBytes,
  noRoot,
  PageFlag,
  PageReader,
  pageHeadBytes,
  readDatabase,
  readMeta,
  readNumber,
} from "./lmdbPages.ts";
import { rowHeadBytes, tableNames } from "./tables.ts";

/** @returns false to stop; the bytes are valid only within the call. */
export type VisitRow = (key: Uint8Array, value: Uint8Array) => boolean;

/** Data that is this long lies in pages of its own, which are read in one go. */
const longBytesMin = 32 * 1024;

/** The newest state of a file that is open. */
export class LmdbTrees {
  readonly #fd: number;
  readonly #reader: PageReader;
  readonly #fileBytes: number;
  readonly #meta: Meta | undefined;

  constructor(fd: number) {
    this.#fd = fd;
    this.#reader = new PageReader(fd);
    this.#fileBytes = fs.fstatSync(fd).size;
    const first = readMeta(this.#reader.read(0, 4096));
    const second = first && readMeta(this.#reader.read(first.pageBytes, first.pageBytes));
    this.#meta = first && second && second.transaction > first.transaction ? second : first;
  }

  /**
   * The rows of a table, from the first on; their checksums are compared unless they `isChecked`.
   *
   * @throws {EngineFault} damaged; so does reading them.
   */
  rows(table: Table, { isChecked } = { isChecked: false }): TreeRows {
    const { names, pageBytes } = this.#meta ?? fail(table);
    const file = { reader: this.#reader, fd: this.#fd, fileBytes: this.#fileBytes };
    const parts = { ...file, pageBytes, table, isChecked };
    let record: Database | undefined;
    const nodes = new TreeNodes({ ...parts, record: names });
    nodes.next((page, at) => {
      const dataAt = at + nodeHeadBytes + page.readUInt16LE(at + 6);
      const isRecord = page.readUInt16LE(at + 4) === NodeFlag.database;
      if (!isRecord || dataAt + databaseBytes > pageBytes) nodes.fail();
      if (page.toString("latin1", at + nodeHeadBytes, dataAt) !== tableNames[table]) return true;
      record = readDatabase(page, dataAt);
      return false;
    });
    return new TreeRows({ ...parts, record: record ?? emptyTree });
  }
}

const emptyTree = {
  flags: 0,
  depth: 0,
  branchPages: 0,
  leafPages: 0,
  overflowPages: 0,
  rows: 0,
  root: noRoot,
};

interface TreeParts {
  readonly fd: number;
  /** Nothing that is reachable lies behind it. */
  readonly fileBytes: number;
  readonly reader: PageReader;
  readonly pageBytes: number;
  readonly table: Table;
  readonly isChecked: boolean;
  readonly record: Database;
}

/** The leaf nodes of a tree in key order. */
class TreeNodes {
  readonly #parts: TreeParts;
  /** By level, the root first: copies, as others are read meanwhile. */
  readonly #pages: Buffer[] = [];
  /** Where the offset of the next node stands in each, and behind the last. */
  readonly #next: number[] = [];
  readonly #ends: number[] = [];
  /** Pages from the root to the one that is visited. */
  #level = 0;

  constructor(parts: TreeParts) {
    this.#parts = parts;
    const { root, depth } = parts.record;
    if (root === noRoot) return;
    if (depth < 1 || depth > depthMax) this.fail();
    this.#enter(root);
  }

  /** Visits nodes until `visit` says no: that one has been visited. @returns false when none is left. */
  next(visit: (page: Buffer, at: number) => boolean): boolean {
    const { depth } = this.#parts.record;
    const { pageBytes } = this.#parts;
    while (this.#level > 0) {
      const i = this.#level - 1;
      const page = this.#pages[i] ?? this.fail();
      const end = this.#ends[i] ?? 0;
      let next = this.#next[i] ?? 0;
      if (next >= end) {
        this.#level--;
        continue;
      }
      if (this.#level < depth) {
        this.#next[i] = next + 2;
        const at = this.#nodeAt(page, next);
        this.#enter(page.readUInt32LE(at) + page.readUInt16LE(at + 4) * 2 ** 32);
        continue;
      }
      while (next < end) {
        const at = page.readUInt16LE(next);
        if (at + nodeHeadBytes > pageBytes) this.fail();
        next += 2;
        this.#next[i] = next;
        if (!visit(page, at)) return true;
      }
    }
    return false;
  }

  /** @param key of the row, or what stands in its place; empty for what leads to rows. */
  fail(key: Uint8Array = emptyBytes): never {
    return fail(this.#parts.table, key);
  }

  #nodeAt(page: Buffer, next: number): number {
    const at = page.readUInt16LE(next);
    return at + nodeHeadBytes > this.#parts.pageBytes ? this.fail() : at;
  }

  #enter(number: number): void {
    const { reader, pageBytes, fileBytes, record } = this.#parts;
    if ((number + 1) * pageBytes > fileBytes) this.fail();
    const i = this.#level++;
    const page = this.#pages[i] ?? Buffer.alloc(pageBytes);
    this.#pages[i] = page;
    const count = reader.read(number * pageBytes, pageBytes).copy(page);
    if (count < pageBytes || readNumber(page, 0) !== number) this.fail();
    const flags = page.readUInt16LE(10);
    if (flags !== (this.#level === record.depth ? PageFlag.leaf : PageFlag.branch)) this.fail();
    const end = page.readUInt16LE(12);
    if (end > pageBytes) this.fail();
    this.#next[i] = pageHeadBytes;
    this.#ends[i] = end;
  }
}

export class TreeRows {
  readonly #parts: TreeParts;
  readonly #nodes: TreeNodes;
  /** Memory for data in pages of its own; of the row that is visited. */
  #data = Buffer.alloc(0);
  #count = 0;

  constructor(parts: TreeParts) {
    this.#parts = parts;
    this.#nodes = new TreeNodes(parts);
  }

  /**
   * Visits the rows that follow, until `visit` says no: that one has been visited.
   *
   * @returns false when no row is left.
   * @throws {EngineFault} damaged.
   */
  next(visit: VisitRow): boolean {
    const more = this.#nodes.next((page, at) => {
      this.#count++;
      const dataAt = at + nodeHeadBytes + page.readUInt16LE(at + 6);
      const length = page.readUInt32LE(at);
      const flags = page.readUInt16LE(at + 4);
      if (flags !== 0 && flags !== NodeFlag.big) this.#nodes.fail();
      return flags === 0
        ? this.#row(page, { from: dataAt, to: dataAt + length }, visit)
        : this.#row(this.#overflow(page, dataAt, length), { from: 0, to: length }, visit);
    });
    if (!more && this.#count !== this.#parts.record.rows) this.#nodes.fail();
    return more;
  }

  #overflow(page: Buffer, dataAt: number, length: number): Buffer {
    const { fd, fileBytes, pageBytes, reader } = this.#parts;
    if (dataAt + 8 > pageBytes) this.#nodes.fail();
    const first = readNumber(page, dataAt) * pageBytes + pageHeadBytes;
    if (first + length > fileBytes) this.#nodes.fail();
    if (this.#data.length < length) this.#data = Buffer.allocUnsafeSlow(length);
    const data = this.#data;
    for (let done = 0; done < length; ) {
      const offset = first + done;
      let got: number;
      if (length >= longBytesMin) got = fs.readSync(fd, data, done, length - done, offset);
      // The first page begins behind its head; a read is of one block.
      else
        got = reader
          .read(offset, pageBytes - (offset % pageBytes))
          .copy(data, done, 0, length - done);
      if (got === 0) this.#nodes.fail();
      done += got;
    }
    return data;
  }

  #row(bytes: Buffer, { from, to }: { from: number; to: number }, visit: VisitRow): boolean {
    if (to > bytes.length || to - from < rowHeadBytes) this.#nodes.fail();
    const keyFrom = from + rowHeadBytes;
    const keyTo = keyFrom + bytes.readUInt16LE(from + 4);
    const { isChecked } = this.#parts;
    const passes = isChecked || bytes.readUInt32LE(from) === crc32c(bytes, from + 4, to);
    if (keyTo > to || !passes) {
      this.#nodes.fail(bytes.subarray(keyFrom, Math.min(keyFrom + 16, to)));
    }
    // Half the cost of Buffer's own subarray.
    const { buffer, byteOffset } = bytes;
    const key = new Uint8Array(buffer, byteOffset + keyFrom, keyTo - keyFrom);
    return visit(key, new Uint8Array(buffer, byteOffset + keyTo, to - keyTo));
  }
}

function fail(table: Table, key: Uint8Array = emptyBytes): never {
  throw new EngineFault({ kind: "damaged", table, key: copyBytes(key) });
}
