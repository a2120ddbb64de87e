// What LMDB takes on trust and acts on before it reads a row: kinds of pages, kinds of rows, names of
// tables. One bit of it may end the process, or hide a table; a start finds each.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { Table } from "../../src/storage/engine.ts";
import { EngineFault } from "../../src/storage/engineFault.ts";
import { checkLmdbFile } from "../../src/storage/lmdbCheck.ts";
import { openLmdbHome } from "../../src/storage/lmdbHome.ts";
import { framedBytes, RowFramer } from "../../src/storage/lmdbRows.ts";
import { scanLmdbFile } from "../../src/storage/lmdbScan.ts";
import { nodeLmdb } from "../../src/storage/nodeLmdb.ts";
import { ownerTableName, tableNames } from "../../src/storage/tables.ts";
import { homeOptions, numbered, submit } from "./storeFixture.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorlet-bits-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));
const directory = path.join(folder, "store");
const file = path.join(directory, "data.mdb");
const pageBytes = 4096;

const home = openLmdbHome(homeOptions(directory));
const lease = numbered(0, 2, 9, Table.lease);
await submit(home.engine, {
  puts: [...numbered(0, 30, 200), ...numbered(50, 51, 9_000), ...lease],
});
await submit(home.engine, { puts: numbered(0, 1, 8, Table.meta), deletes: numbered(3, 4, 0) });
await home.close();
const whole = fs.readFileSync(file);
const pages = Array.from({ length: whole.length / pageBytes }, (_, i) => i * pageBytes);

/** Whether the bytes from `at` on, changed so, are found to be damage. */
function isFound(at: number, bytes: Buffer): boolean {
  const fd = fs.openSync(file, "r+");
  try {
    fs.writeSync(fd, bytes, 0, bytes.length, at);
    return checkLmdbFile(file) !== undefined;
  } finally {
    fs.writeSync(fd, whole, at, bytes.length, at);
    fs.closeSync(fd);
  }
}

/** Bits of `count` bytes that may change unnoticed. */
function unnoticed(at: number, count: number): string[] {
  const missed: string[] = [];
  for (let bit = 0; bit < 8 * count; bit++) {
    const byte = at + (bit >>> 3);
    const flipped = Buffer.of((whole[byte] ?? 0) ^ (1 << (bit & 7)));
    if (!isFound(byte, flipped)) missed.push(`bit ${bit & 7} of byte ${byte}`);
  }
  return missed;
}

// The others are free, or of an older state.
const used = pages.slice(2).filter((page) => unnoticed(page, 1).length === 0);

const u16 = (at: number): number => whole.readUInt16LE(at);

/** Where the nodes of a leaf or branch are. */
const nodesOf = (page: number): number[] =>
  Array.from({ length: (u16(page + 12) - 16) / 2 }, (_, i) => page + u16(page + 16 + 2 * i));

const kind = { branch: 1, leaf: 2, overflow: 4 };
const leaves = used.filter((page) => u16(page + 10) === kind.leaf);
const isName = (node: number): boolean => u16(node + 4) === 2;
const namesPage = leaves.find((page) => nodesOf(page).some(isName)) ?? 0;

test("the kind of a page, in all of its bits", () => {
  assert.equal(checkLmdbFile(file), undefined);
  for (const each of Object.values(kind)) {
    const those = used.filter((page) => u16(page + 10) === each);
    assert.ok(those.length > 0, `kind ${each}`);
    for (const page of those) assert.deepEqual(unnoticed(page + 10, 2), []);
  }
});

test("the kind of a row, in all of its bits", () => {
  const flags = new Set<number>();
  // Of a full page, the ends.
  const nodes = leaves.flatMap((page) => [
    ...nodesOf(page).slice(0, 2),
    ...nodesOf(page).slice(-1),
  ]);
  for (const node of nodes) {
    flags.add(u16(node + 4));
    assert.deepEqual(unnoticed(node + 4, 2), []);
  }
  assert.deepEqual([...flags].sort(), [0, 1, 2], "rows, long rows, tables");
});

test("who reads by pages finds the kinds that went bad since", () => {
  const rows = leaves.filter((page) => nodesOf(page).length > 8);
  assert.ok(rows.length > 0);
  for (const at of rows.flatMap((page) => [page + 10, (nodesOf(page)[0] ?? 0) + 4])) {
    for (let bit = 0; bit < 16; bit++) {
      const harmed = path.join(folder, "harmed");
      const image = Buffer.from(whole);
      image.writeUInt16LE(u16(at) ^ (1 << bit), at);
      fs.writeFileSync(harmed, image);
      const read = () => scanLmdbFile(harmed, { table: Table.key, isChecked: true }, () => true);
      assert.throws(read, EngineFault, `bit ${bit} from byte ${at}`);
    }
  }
});

test("the name of a table", () => {
  const names = nodesOf(namesPage);
  assert.equal(names.length, Object.keys(tableNames).length + 1);
  for (const node of names) assert.deepEqual(unnoticed(node + 8, u16(node + 6)), []);
});

test("the number of a state: its turn, and that it is one", () => {
  for (const at of [0, pageBytes].map((page) => page + 16 + 128)) {
    const missed = unnoticed(at, 8).map((bit) => Number(bit.split(" ").at(-1)) - at);
    assert.ok(!missed.includes(7), "more than a number counts");
    assert.ok(isFound(at, Buffer.of((whole[at] ?? 0) ^ 1)), "out of turn");
  }
});

test("a table's record beyond the end of its page", () => {
  const page = Buffer.from(whole.subarray(namesPage, namesPage + pageBytes));
  const [nodes, from] = [nodesOf(namesPage), u16(namesPage + 14)];
  const last = Math.max(...nodes) - namesPage;
  // A long row's data takes 8 bytes in its page; a record 48.
  page.writeUInt16LE(3, last + 4);
  page.copyWithin(from + 40, from, pageBytes - 40);
  page.writeUInt16LE(from + 40, 14);
  for (const [i, node] of nodes.entries()) {
    page.writeUInt16LE(node - namesPage + 40, 16 + 2 * i);
  }
  assert.ok(isFound(namesPage, page));
});

/** A store with these tables, made one after another; `withRow` has one row. */
function makeTables(names: readonly string[], withRow?: string): string {
  const made = fs.mkdtempSync(path.join(folder, "made-"));
  const env = new nodeLmdb.Env();
  env.open({ path: made, mapSize: 1 << 20, maxDbs: 9, noMetaSync: true });
  for (const name of names) {
    const table = env.openDbi({ name, create: true, keyIsBuffer: true });
    if (name !== withRow) continue;
    const row = { table: Table.meta, key: Buffer.of(1), value: Buffer.of(2) };
    const framer = new RowFramer();
    framer.start(framedBytes({ puts: [row], deletes: [] }));
    const txn = env.beginTxn();
    txn.putBinary(table, row.key, Buffer.from(framer.frame(row)), { keyIsBuffer: true });
    txn.commit();
  }
  env.close();
  return made;
}

const all = Object.values(tableNames);

test("a store that a crash left with some of its tables opens", async () => {
  for (let count = 0; count <= all.length; count++) {
    const store = makeTables(all.slice(0, count));
    const opened = openLmdbHome(homeOptions(store, { mayRebuild: false }));
    await submit(opened.engine, { puts: numbered(0, 3, 10) });
    await opened.close();
  }
});

test("a store in which a table is missing is damaged, once it has been made", () => {
  const what = (names: readonly string[], withRow?: string): string | undefined =>
    checkLmdbFile(path.join(makeTables(names, withRow), "data.mdb"))?.what;
  const fewer = all.filter((name) => name !== "lease");
  assert.equal(what(fewer, "meta"), "table lease is missing");
  assert.equal(what([...fewer, ownerTableName]), "table lease is missing");
  assert.equal(what([...all, "leasf"]), 'no table is called "leasf"');
  assert.equal(what([...all, ownerTableName], "meta"), undefined);
});
