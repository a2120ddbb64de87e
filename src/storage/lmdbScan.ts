// All rows of a table, read from the file by pages and not through LMDB: what a start needs of each row
// costs a fraction of two calls into the addon and a copy, and none of it is mapped into memory.
//
// Only while nobody writes: pages that the newest state reaches are then as they are. A start has read
// and checked all of them before (lmdbCheck.ts), so what is wrong here went wrong since.
import fs from "node:fs";
import { copyBytes, emptyBytes } from "../base/bytes.ts";
import { crc32c } from "../base/crc.ts";
import type { Table } from "./engine.ts";
import { EngineFault } from "./engineFault.ts";
import {
  type Database,
  depthMax,
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
type VisitRow = (key: Uint8Array, value: Uint8Array) => boolean;

/**
 * Visits the rows of `table` in key order.
 *
 * @throws {EngineFault} damaged.
 */
export function scanLmdbFile(file: string, table: Table, visit: VisitRow): void {
  const fd = fs.openSync(file, "r");
  try {
    new FileScan(fd, table).run(visit);
  } finally {
    fs.closeSync(fd);
  }
}

class FileScan {
  readonly #reader: PageReader;
  readonly #table: Table;
  #pageBytes = 4096;
  /** By level of the tree: copies, as others are read meanwhile. */
  readonly #levels: Buffer[] = [];
  #rows = 0;

  constructor(fd: number, table: Table) {
    this.#reader = new PageReader(fd);
    this.#table = table;
  }

  run(visit: VisitRow): void {
    const record = this.#record();
    if (record === undefined || record.root === noRoot) return;
    if (this.#page(record.root, record.depth, visit) && this.#rows !== record.rows) this.#fail();
  }

  /** Where the table's tree begins; undefined when the file has no such table. */
  #record(): Database | undefined {
    const first = readMeta(this.#reader.read(0, this.#pageBytes)) ?? this.#fail();
    this.#pageBytes = first.pageBytes;
    const second = readMeta(this.#reader.read(first.pageBytes, first.pageBytes)) ?? this.#fail();
    const { names } = second.transaction > first.transaction ? second : first;
    let record: Database | undefined;
    if (names.root === noRoot) return undefined;
    this.#nodes(names.root, names.depth, (page, at) => {
      const dataAt = at + nodeHeadBytes + page.readUInt16LE(at + 6);
      const name = page.toString("latin1", at + nodeHeadBytes, dataAt);
      if (name === tableNames[this.#table]) record = readDatabase(page, dataAt);
      return true;
    });
    return record;
  }

  #page(root: number, depth: number, visit: VisitRow): boolean {
    return this.#nodes(root, depth, (page, at) => {
      this.#rows++;
      const dataAt = at + nodeHeadBytes + page.readUInt16LE(at + 6);
      const length = page.readUInt32LE(at);
      return (page.readUInt16LE(at + 4) & NodeFlag.big) === 0
        ? this.#row(page, { from: dataAt, to: dataAt + length }, visit)
        : this.#row(this.#overflow(page, dataAt, length), { from: 0, to: length }, visit);
    });
  }

  /** Leaf nodes below `number`, in key order. @returns false when `visit` stopped. */
  #nodes(number: number, level: number, visit: (page: Buffer, at: number) => boolean): boolean {
    const page = this.#kept(number, level);
    const isLeaf = level === 1;
    const flags = page.readUInt16LE(10) & 0xff;
    if (flags !== (isLeaf ? PageFlag.leaf : PageFlag.branch)) this.#fail();
    const to = page.readUInt16LE(12);
    if (to > this.#pageBytes) this.#fail();
    for (let i = pageHeadBytes; i < to; i += 2) {
      const at = page.readUInt16LE(i);
      if (at + nodeHeadBytes > this.#pageBytes) this.#fail();
      if (isLeaf) {
        if (!visit(page, at)) return false;
        continue;
      }
      const child = page.readUInt32LE(at) + page.readUInt16LE(at + 4) * 2 ** 32;
      if (!this.#nodes(child, level - 1, visit)) return false;
    }
    return true;
  }

  #kept(number: number, level: number): Buffer {
    if (level < 1 || level > depthMax) this.#fail();
    const kept = this.#levels[level] ?? Buffer.alloc(this.#pageBytes);
    this.#levels[level] = kept;
    const count = this.#reader.read(number * this.#pageBytes, this.#pageBytes).copy(kept);
    if (count < this.#pageBytes || readNumber(kept, 0) !== number) this.#fail();
    return kept;
  }

  #overflow(page: Buffer, dataAt: number, length: number): Buffer {
    const data = Buffer.allocUnsafe(length);
    const first = readNumber(page, dataAt) * this.#pageBytes + pageHeadBytes;
    for (let done = 0; done < length; ) {
      const offset = first + done;
      // The first page begins behind its head; a read is of one block.
      const room = this.#pageBytes - (offset % this.#pageBytes);
      const got = this.#reader.read(offset, room).copy(data, done);
      if (got === 0) this.#fail();
      done += got;
    }
    return data;
  }

  #row(bytes: Buffer, { from, to }: { from: number; to: number }, visit: VisitRow): boolean {
    if (to > bytes.length || to - from < rowHeadBytes) this.#fail();
    const keyFrom = from + rowHeadBytes;
    const keyTo = keyFrom + bytes.readUInt16LE(from + 4);
    if (keyTo > to || bytes.readUInt32LE(from) !== crc32c(bytes, from + 4, to)) {
      this.#fail(bytes.subarray(keyFrom, keyFrom + 16));
    }
    // Half the cost of Buffer's own subarray.
    const { buffer, byteOffset } = bytes;
    const key = new Uint8Array(buffer, byteOffset + keyFrom, keyTo - keyFrom);
    return visit(key, new Uint8Array(buffer, byteOffset + keyTo, to - keyTo));
  }

  /** @param key of the row, or what stands in its place; empty for what leads to rows. */
  #fail(key: Uint8Array = emptyBytes): never {
    throw new EngineFault({ kind: "damaged", table: this.#table, key: copyBytes(key) });
  }
}
