// Whether an LMDB file is whole, before LMDB maps it: LMDB trusts every page, and follows a damaged one
// out of its map, which ends the process with all of its members. Each page that is reachable is read
// once: tree, order of keys, page counts, and the frame of each row (tables.ts).
import fs from "node:fs";
import { crc32c } from "../base/crc.ts";
import {
  type Database,
  databaseBytes,
  depthMax,
  integerKeys,
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
import { ownerTableName, rowHeadBytes, tableNames } from "./tables.ts";

const metaPages = 2;
const freePages = "free pages";

export interface StoreDamage {
  readonly page: number;
  readonly offset: number;
  readonly what: string;
}

/** @returns the first damage found; undefined when all is well. */
export function checkLmdbFile(file: string): StoreDamage | undefined {
  const fd = fs.openSync(file, "r");
  try {
    new Check(fd).run();
    return undefined;
  } catch (error) {
    if (error instanceof Damage) return error.found;
    throw error;
  } finally {
    fs.closeSync(fd);
  }
}

class Damage extends Error {
  readonly found: StoreDamage;

  constructor(found: StoreDamage) {
    super(found.what);
    this.found = found;
  }
}

/** Keys of a page lie in [from, to); an end that is open is undefined. */
interface Bounds {
  readonly from: Buffer | undefined;
  readonly to: Buffer | undefined;
}

interface Node {
  readonly flags: number;
  readonly key: Buffer;
  /** Of a branch: the child's page. Of a leaf: bytes of data. */
  readonly number: number;
  readonly dataAt: number;
}

interface Table {
  readonly name: string;
  readonly record: Database;
}

interface Counts {
  branchPages: number;
  leafPages: number;
  overflowPages: number;
  rows: number;
}

type OnRow = (node: Node, page: { readonly number: number; readonly bytes: Buffer }) => void;

class Check {
  readonly #reader: PageReader;
  readonly #meta: Meta;
  readonly #pageBytes: number;
  readonly #filePages: number;
  /** A bit for each page that something leads to. */
  readonly #seen: Uint8Array;
  #freeBeyond = 0;
  /** By level of the tree, from the leaves. */
  readonly #levels: Buffer[] = [];
  #counts: Counts = { branchPages: 0, leafPages: 0, overflowPages: 0, rows: 0 };

  constructor(fd: number) {
    this.#reader = new PageReader(fd);
    this.#pageBytes = 4096;
    this.#meta = this.#newestMeta();
    this.#pageBytes = this.#meta.pageBytes;
    this.#filePages = Math.floor(fs.fstatSync(fd).size / this.#pageBytes);
    this.#seen = new Uint8Array((this.#filePages >>> 3) + 1);
  }

  run(): void {
    const { free, names } = this.#meta;
    this.#walk(free, freePages, (node, page) => this.#takeFree(node, page));
    // The file may be shorter than it says, by free pages at its end.
    if (this.#meta.lastPage + 1 > this.#filePages + this.#freeBeyond) {
      this.#fail(this.#filePages, "the file ends before its last page");
    }
    const tables: Table[] = [];
    this.#walk(names, "names", (node, page) => {
      const isRecord = node.flags === NodeFlag.database && node.number === databaseBytes;
      if (!isRecord) this.#fail(page.number, "no record of a table");
      tables.push({
        name: node.key.toString("latin1"),
        record: readDatabase(page.bytes, node.dataAt),
      });
    });
    this.#checkNames(tables);
    for (const { name, record } of tables) {
      this.#walk(record, `table ${name}`, (node, page) => this.#checkRow(node, page));
    }
  }

  // A table that is not there would be made anew, empty. One that a crash found being made has no rows yet.
  #checkNames(tables: readonly Table[]): void {
    const page = this.#meta.names.root;
    const known = Object.values(tableNames);
    const stranger = tables.find(({ name }) => name !== ownerTableName && !known.includes(name));
    if (stranger !== undefined)
      this.#fail(page, `no table is called ${JSON.stringify(stranger.name)}`);
    const missing = known.find((name) => tables.every((table) => table.name !== name));
    const isMade = tables.some(({ name, record }) => name === ownerTableName || record.rows > 0);
    if (missing !== undefined && isMade) this.#fail(page, `table ${missing} is missing`);
  }

  #newestMeta(): Meta {
    const first = readMeta(this.#reader.read(0, this.#pageBytes));
    if (first === undefined) return this.#fail(0, "no meta page");
    const { pageBytes } = first;
    const second = readMeta(this.#reader.read(pageBytes, pageBytes));
    if (second?.pageBytes !== pageBytes) return this.#fail(1, "no meta page");
    // They take turns; a new file has 0 in both.
    for (const [page, { transaction }] of [first, second].entries()) {
      const isTurn = transaction === 0 || transaction % 2 === page;
      if (!isTurn || !Number.isSafeInteger(transaction)) this.#fail(page, "no such transaction");
    }
    return second.transaction > first.transaction ? second : first;
  }

  #walk(database: Database, name: string, onRow: OnRow): void {
    this.#counts = { branchPages: 0, leafPages: 0, overflowPages: 0, rows: 0 };
    const { root, depth, flags } = database;
    const isIndexed = name === freePages;
    if (flags !== (isIndexed ? integerKeys : 0)) this.#fail(0, `${name}: no such flags`);
    if (root === noRoot ? depth !== 0 : depth === 0 || depth > depthMax) {
      this.#fail(0, `${name}: no such depth`);
    }
    if (root !== noRoot) {
      this.#page(
        root,
        { level: depth, isIndexed, bounds: { from: undefined, to: undefined } },
        onRow,
      );
    }
    const { branchPages, leafPages, overflowPages, rows } = this.#counts;
    const isRight =
      branchPages === database.branchPages &&
      leafPages === database.leafPages &&
      overflowPages === database.overflowPages &&
      rows === database.rows;
    if (!isRight) this.#fail(root === noRoot ? 0 : root, `${name}: pages or rows are missing`);
  }

  #page(
    number: number,
    at: { level: number; isIndexed: boolean; bounds: Bounds },
    onRow: OnRow,
  ): void {
    const bytes = this.#kept(at.level, this.#take(number, 1));
    const flags = bytes.readUInt16LE(10);
    const isLeaf = at.level === 1;
    if (flags !== (isLeaf ? PageFlag.leaf : PageFlag.branch))
      this.#fail(number, "no such kind of page");
    const nodes = this.#nodes(number, bytes, isLeaf);
    this.#checkOrder(number, nodes, { ...at, isLeaf });
    if (isLeaf) {
      this.#counts.leafPages++;
      this.#counts.rows += nodes.length;
      for (const node of nodes) onRow(node, { number, bytes });
      return;
    }
    this.#counts.branchPages++;
    for (const [i, node] of nodes.entries()) {
      const bounds = {
        from: i === 0 ? at.bounds.from : node.key,
        to: nodes[i + 1]?.key ?? at.bounds.to,
      };
      this.#page(node.number, { ...at, level: at.level - 1, bounds }, onRow);
    }
  }

  /** A copy that stays while pages further down are read. */
  #kept(level: number, page: Buffer): Buffer {
    const kept = this.#levels[level] ?? Buffer.alloc(this.#pageBytes);
    this.#levels[level] = kept;
    page.copy(kept);
    return kept;
  }

  #nodes(number: number, bytes: Buffer, isLeaf: boolean): readonly Node[] {
    const [lower, upper] = [bytes.readUInt16LE(12), bytes.readUInt16LE(14)];
    const count = (lower - pageHeadBytes) / 2;
    const isSound = lower > pageHeadBytes && lower % 2 === 0 && lower <= upper;
    if (!isSound || upper > this.#pageBytes) this.#fail(number, "no such bounds");
    const nodes: Node[] = [];
    let length = 0;
    for (let i = 0; i < count; i++) {
      const at = readU16(bytes, pageHeadBytes + 2 * i);
      if (at < upper || at % 2 !== 0 || at + nodeHeadBytes > this.#pageBytes) {
        this.#fail(number, "no such row");
      }
      const flags = readU16(bytes, at + 4);
      const dataAt = at + nodeHeadBytes + readU16(bytes, at + 6);
      const low = readU16(bytes, at) + readU16(bytes, at + 2) * 65_536;
      const inline = isLeaf ? ((flags & NodeFlag.big) !== 0 ? 8 : low) : 0;
      if (dataAt + inline > this.#pageBytes) this.#fail(number, "a row beyond its page");
      length += evenOf(dataAt + inline - at);
      const keyFrom = bytes.byteOffset + at + nodeHeadBytes;
      const key = Buffer.from(bytes.buffer, keyFrom, dataAt - at - nodeHeadBytes);
      nodes.push({ flags, key, number: isLeaf ? low : low + flags * 2 ** 32, dataAt });
    }
    // Nodes lie without gaps: none overlaps another.
    if (length !== this.#pageBytes - upper) this.#fail(number, "rows over rows");
    return nodes;
  }

  #checkOrder(
    number: number,
    nodes: readonly Node[],
    at: { isLeaf: boolean; isIndexed: boolean; bounds: Bounds },
  ): void {
    const { from, to } = at.bounds;
    const compare = at.isIndexed ? compareIndexes : compareKeys;
    // The first key of a branch stands for everything below the second.
    let previous = from;
    for (let i = at.isLeaf ? 0 : 1; i < nodes.length; i++) {
      const key = nodes[i]?.key ?? Buffer.alloc(0);
      if (at.isIndexed && key.length !== 8) this.#fail(number, "no such key");
      const isFirst = i === 0;
      const order = previous === undefined ? 1 : compare(key, previous);
      if (order < 0 || (order === 0 && !isFirst)) this.#fail(number, "keys out of order");
      previous = key;
    }
    if (to !== undefined && previous !== undefined && nodes.length > 0 && previous !== from) {
      if (compare(previous, to) >= 0) this.#fail(number, "keys out of order");
    }
  }

  /** A list of page numbers: how many, then each. */
  #takeFree(node: Node, page: { readonly number: number; readonly bytes: Buffer }): void {
    // Keys are the transactions that let go of them.
    if (readNumber(node.key, 0) > this.#meta.transaction) this.#fail(page.number, "no such key");
    const list = this.#dataOf(node, page);
    const count = list.length >= 8 ? readNumber(list, 0) : -1;
    if (count < 0 || 8 * (count + 1) > list.length)
      this.#fail(page.number, "no list of free pages");
    for (let i = 1; i <= count; i++) {
      const free = readNumber(list, 8 * i);
      if (free < metaPages || free > this.#meta.lastPage)
        this.#fail(page.number, "no such free page");
      this.#markSeen(free, page.number);
    }
  }

  #checkRow(node: Node, page: { readonly number: number; readonly bytes: Buffer }): void {
    const isInline = this.#isInline(node, page.number);
    // No view for each of a million rows.
    const isWhole = isInline
      ? isWholeRow(node.key, page.bytes, { from: node.dataAt, to: node.dataAt + node.number })
      : isWholeRow(node.key, this.#dataOf(node, page), { from: 0, to: node.number });
    if (isWhole) return;
    const key = node.key.subarray(0, 32).toString("hex");
    this.#fail(page.number, `row ${key} fails its checksum`);
  }

  /** Any other flag sends LMDB into the row's bytes as if they were pages of its own. */
  #isInline({ flags }: Node, page: number): boolean {
    if (flags !== 0 && flags !== NodeFlag.big) this.#fail(page, "no such kind of row");
    return flags === 0;
  }

  #dataOf(node: Node, page: { readonly number: number; readonly bytes: Buffer }): Buffer {
    const { number: length, dataAt } = node;
    if (this.#isInline(node, page.number)) return page.bytes.subarray(dataAt, dataAt + length);
    const first = readNumber(page.bytes, dataAt);
    const count = Math.floor((pageHeadBytes - 1 + length) / this.#pageBytes) + 1;
    const head = this.#take(first, count);
    const isOverflow = head.readUInt16LE(10) === PageFlag.overflow;
    if (!isOverflow || head.readUInt32LE(12) !== count) this.#fail(first, "no overflow page");
    this.#counts.overflowPages += count;
    const data = Buffer.allocUnsafe(count * this.#pageBytes);
    for (let i = 0; i < count; i++) this.#bytesOf(first + i).copy(data, i * this.#pageBytes);
    return data.subarray(pageHeadBytes, pageHeadBytes + length);
  }

  /** The bytes of the first of `count` pages that nothing else leads to. */
  #take(first: number, count: number): Buffer {
    if (first < metaPages || first + count - 1 > this.#meta.lastPage) {
      this.#fail(0, `no page ${first}`);
    }
    if (first + count > this.#filePages) this.#fail(first, "the file ends before it");
    for (let i = 0; i < count; i++) this.#markSeen(first + i, first);
    const bytes = this.#bytesOf(first);
    if (readNumber(bytes, 0) !== first) this.#fail(first, "another page in its place");
    return bytes;
  }

  #bytesOf(page: number): Buffer {
    return this.#reader.read(page * this.#pageBytes, this.#pageBytes);
  }

  #markSeen(page: number, from: number): void {
    const bit = 1 << (page & 7);
    const at = page >>> 3;
    if (page >= this.#filePages) {
      this.#freeBeyond++;
      return;
    }
    const seen = this.#seen[at] ?? 0;
    if ((seen & bit) !== 0) this.#fail(from, `page ${page} is used twice`);
    this.#seen[at] = seen | bit;
  }

  #fail(page: number, what: string): never {
    throw new Damage({ page, offset: page * this.#pageBytes, what });
  }
}

/** The row's frame in bytes [from, to) is of this key, and its checksum is right. */
function isWholeRow(
  key: Buffer,
  bytes: Buffer,
  { from, to }: { readonly from: number; readonly to: number },
): boolean {
  const keyFrom = from + rowHeadBytes;
  if (to < keyFrom + key.length || readU16(bytes, from + 4) !== key.length) return false;
  for (let i = 0; i < key.length; i++) if (bytes[keyFrom + i] !== key[i]) return false;
  const checksum = readU16(bytes, from) + readU16(bytes, from + 2) * 65_536;
  return checksum === crc32c(bytes, from + 4, to);
}

function compareKeys(a: Buffer, b: Buffer): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

// A quarter of what Buffer's own costs, which looks at its argument first.
const readU16 = (bytes: Buffer, at: number): number =>
  (bytes[at] ?? 0) + ((bytes[at + 1] ?? 0) << 8);

const evenOf = (count: number): number => (count + 1) & ~1;

function compareIndexes(a: Buffer, b: Buffer): number {
  return readNumber(a, 0) - readNumber(b, 0);
}
