// Reads a bbolt file as bbolt does, and is stricter: every page is reached once, and keys are where the
// branches say. Shares nothing with what writes such files.
import assert from "node:assert/strict";
import { crc32c } from "@node-rs/crc32";

const pageBytes = 4096;
const flags = { branch: 1, leaf: 2, meta: 4, freelist: 16 };

export interface BoltRow {
  readonly key: Buffer;
  readonly value: Buffer;
}

export interface BoltFile {
  readonly buckets: ReadonlyMap<string, readonly BoltRow[]>;
  /** Levels of pages of each bucket; 0: it lies within the entry that names it. */
  readonly levels: ReadonlyMap<string, number>;
}

interface Meta {
  readonly root: number;
  readonly freelist: number;
  readonly pages: number;
  readonly transaction: bigint;
}

interface Entry extends BoltRow {
  readonly isBucket: boolean;
}

/** @throws for what bbolt, or its check, would not take. */
export function readBolt(file: Buffer): BoltFile {
  assert.equal(file.length % pageBytes, 0, "whole pages");
  const metas = [readMeta(file, 0), readMeta(file, 1)];
  const meta = metas.reduce((a, b) => (a.transaction > b.transaction ? a : b));
  assert.equal(file.length, meta.pages * pageBytes);
  const reader = new Reader(file, meta);
  const root = reader.tree(meta.root);
  const buckets = new Map<string, readonly BoltRow[]>();
  const levels = new Map<string, number>();
  for (const { key, value, isBucket } of root.entries) {
    assert.ok(isBucket, "the root holds buckets alone");
    const name = key.toString("latin1");
    const page = Number(value.readBigUInt64LE(0));
    const { entries, height } = page === 0 ? reader.nested(value.subarray(16)) : reader.tree(page);
    assert.ok(!entries.some((entry) => entry.isBucket));
    buckets.set(name, entries);
    levels.set(name, height);
  }
  reader.end();
  return { buckets, levels };
}

/** As etcdutl's snapshot status counts: the CRC of names, keys and values, and how many rows there are. */
export function statusOf({ buckets }: BoltFile): { hash: number; totalKey: number } {
  let hash = 0;
  let totalKey = 0;
  for (const [name, rows] of buckets) {
    hash = crc32c(name, hash);
    for (const { key, value } of rows) {
      hash = crc32c(value, crc32c(key, hash));
      totalKey++;
    }
  }
  return { hash, totalKey };
}

function readMeta(file: Buffer, id: number): Meta {
  const page = file.subarray(id * pageBytes);
  assert.equal(page.readBigUInt64LE(0), BigInt(id));
  assert.equal(page.readUInt16LE(8), flags.meta);
  const meta = page.subarray(16);
  assert.equal(meta.readUInt32LE(0), 0xed0cdaed, "magic");
  assert.equal(meta.readUInt32LE(4), 2, "version");
  assert.equal(meta.readUInt32LE(8), pageBytes);
  let sum = 14_695_981_039_346_656_037n;
  for (const byte of meta.subarray(0, 56)) {
    sum = ((sum ^ BigInt(byte)) * 1_099_511_628_211n) % 2n ** 64n;
  }
  assert.equal(meta.readBigUInt64LE(56), sum, "checksum of a meta page");
  return {
    root: Number(meta.readBigUInt64LE(16)),
    freelist: Number(meta.readBigUInt64LE(32)),
    pages: Number(meta.readBigUInt64LE(40)),
    transaction: meta.readBigUInt64LE(48),
  };
}

class Reader {
  readonly #file: Buffer;
  readonly #seen: Uint8Array;

  constructor(file: Buffer, { pages, freelist }: Meta) {
    this.#file = file;
    this.#seen = new Uint8Array(pages);
    this.#seen.fill(1, 0, 2);
    const list = this.#page(freelist);
    assert.equal(list.readUInt16LE(8), flags.freelist);
    assert.equal(list.readUInt16LE(10), 0, "no page is free");
  }

  tree(id: number): { readonly entries: readonly Entry[]; readonly height: number } {
    const page = this.#page(id);
    if (page.readUInt16LE(8) === flags.leaf) return { entries: leafEntries(page), height: 1 };
    assert.equal(page.readUInt16LE(8), flags.branch);
    const count = page.readUInt16LE(10);
    assert.ok(count >= 2, `a branch with ${count} children`);
    const all: Entry[] = [];
    let height = 0;
    for (let at = 16; at < 16 + 16 * count; at += 16) {
      const from = at + page.readUInt32LE(at);
      const key = page.subarray(from, from + page.readUInt32LE(at + 4));
      const child = this.tree(Number(page.readBigUInt64LE(at + 8)));
      assert.deepEqual(child.entries[0]?.key, key, "a branch names the first key of a page");
      assert.ok(height === 0 || height === child.height, "leaves are equally deep");
      height = child.height;
      for (const entry of child.entries) all.push(entry);
    }
    inOrder(all);
    return { entries: all, height: height + 1 };
  }

  nested(page: Buffer): { readonly entries: readonly Entry[]; readonly height: number } {
    assert.equal(page.readBigUInt64LE(0), 0n);
    assert.equal(page.readUInt16LE(8), flags.leaf);
    assert.ok(page.length <= pageBytes / 4);
    return { entries: leafEntries(page), height: 0 };
  }

  end(): void {
    assert.ok(
      this.#seen.every((times) => times === 1),
      "every page is reached",
    );
  }

  #page(id: number): Buffer {
    const at = id * pageBytes;
    assert.equal(Number(this.#file.readBigUInt64LE(at)), id, "a page knows its number");
    const pages = 1 + this.#file.readUInt32LE(at + 12);
    for (let each = id; each < id + pages; each++) {
      assert.equal(this.#seen[each], 0, `page ${each} is reached once`);
      this.#seen[each] = 1;
    }
    return this.#file.subarray(at, at + pages * pageBytes);
  }
}

function leafEntries(page: Buffer): readonly Entry[] {
  const entries: Entry[] = [];
  const count = page.readUInt16LE(10);
  for (let at = 16; at < 16 + 16 * count; at += 16) {
    const keyAt = at + page.readUInt32LE(at + 4);
    const valueAt = keyAt + page.readUInt32LE(at + 8);
    const end = valueAt + page.readUInt32LE(at + 12);
    assert.ok(keyAt >= 16 + 16 * count && end <= page.length, "bytes within their page");
    entries.push({
      isBucket: page.readUInt32LE(at) === 1,
      key: page.subarray(keyAt, valueAt),
      value: page.subarray(valueAt, end),
    });
  }
  inOrder(entries);
  return entries;
}

function inOrder(entries: readonly Entry[]): void {
  for (let i = 1; i < entries.length; i++) {
    const [before, after] = [entries[i - 1], entries[i]];
    assert.ok(before && after && Buffer.compare(before.key, after.key) < 0, "keys ascend");
  }
}
