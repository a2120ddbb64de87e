// Files that the builder makes, read back by a reader of its own.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Mistake } from "../../src/base/assert.ts";
import { DbFileWriter, headPages } from "../../src/bolt/dbFile.ts";
import { pageBytes } from "../../src/bolt/page.ts";
import { type BoltFile, readBolt } from "../support/boltReader.ts";

const seed = Number(process.env.QUORLET_SEED ?? 5);

type Rows = readonly (readonly [key: string, value: Buffer])[];

function fileOf(buckets: Readonly<Record<string, Rows>>): BoltFile {
  const pages: Buffer[] = [];
  const writer = new DbFileWriter((bytes, fillBytes) => {
    pages.push(Buffer.from(bytes), Buffer.alloc(fillBytes));
    assert.equal((bytes.length + fillBytes) % pageBytes, 0);
  });
  for (const [name, rows] of Object.entries(buckets)) {
    const bucket = writer.bucket(name);
    for (const [key, value] of rows) bucket.add(Buffer.from(key, "latin1"), value);
  }
  const shape = writer.finish();
  return readBolt(Buffer.concat([...headPages(shape), ...pages]));
}

function assertHolds(file: BoltFile, buckets: Readonly<Record<string, Rows>>): void {
  assert.deepEqual([...file.buckets.keys()], Object.keys(buckets).sort());
  for (const [name, rows] of Object.entries(buckets)) {
    const got = file.buckets.get(name) ?? [];
    assert.equal(got.length, rows.length, name);
    rows.forEach(([key, value], i) => {
      assert.equal(got[i]?.key.toString("latin1"), key);
      assert.ok(got[i]?.value.equals(value), `the value of ${name}/${key}`);
    });
  }
}

/** Rows whose keys ascend. */
const rowsOf = (count: number, valueBytes: number): Rows =>
  Array.from({ length: count }, (_, i) => {
    return [`${i}`.padStart(8, "0"), Buffer.alloc(valueBytes, i)] as const;
  });

test("what goes in comes out, and the tree is as high as it must be", () => {
  const cases = [
    { rows: rowsOf(0, 0), levels: 0, why: "no row" },
    { rows: rowsOf(1, 0), levels: 0, why: "an empty value" },
    { rows: rowsOf(1, 1024 - 16 - 16 - 8), levels: 0, why: "a quarter of a page" },
    { rows: rowsOf(1, 1024 - 16 - 16 - 7), levels: 1, why: "a byte more" },
    { rows: rowsOf(1, pageBytes - 16 - 16 - 8), levels: 1, why: "a whole page" },
    { rows: rowsOf(1, pageBytes - 16 - 16 - 7), levels: 1, why: "a byte of a second page" },
    { rows: rowsOf(1, 1_600_000), levels: 1, why: "hundreds of pages" },
    { rows: rowsOf(2, 2_500_000), levels: 2, why: "more than a draft keeps room for" },
    { rows: rowsOf(2, pageBytes), levels: 2, why: "a page run each" },
    { rows: rowsOf(170, 3_000), levels: 2, why: "a branch that is full" },
    // The 171st child opens a second branch, which takes one of the first along.
    { rows: rowsOf(171, 3_000), levels: 3, why: "one child more" },
    { rows: rowsOf(1_000, 3_000), levels: 3, why: "many pages" },
    { rows: rowsOf(5_000, 3), levels: 2, why: "small rows" },
  ];
  for (const { rows, levels, why } of cases) {
    const file = fileOf({ key: rows });
    assertHolds(file, { key: rows });
    assert.equal(file.levels.get("key"), levels, why);
  }
});

test("buckets come in any order, and so many that their root is a tree", () => {
  const names = Array.from({ length: 300 }, (_, i) => `b${(i * 7) % 300}`);
  const buckets = Object.fromEntries(names.map((name, i) => [name, rowsOf(i % 40, i)]));
  assertHolds(fileOf(buckets), buckets);
  assertHolds(fileOf({}), {});
});

test("any rows", () => {
  const bytes = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 300 }) },
    { weight: 1, arbitrary: fc.integer({ min: 3_900, max: 4_200 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 40_000 }) },
  );
  const key = fc.oneof(
    { weight: 9, arbitrary: fc.string({ minLength: 1, maxLength: 20, unit: "binary-ascii" }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 9_000 }).map((n) => "k".repeat(n)) },
  );
  const bucket = fc
    .uniqueArray(fc.tuple(key, bytes), { maxLength: 150, selector: ([name]) => name })
    .map((rows): Rows => {
      const sorted = rows.toSorted(([a], [b]) => (a < b ? -1 : 1));
      return sorted.map(([name, length]) => [name, Buffer.alloc(length, name.length)]);
    });
  const file = fc.record({ alarm: bucket, key: bucket, lease: bucket });
  fc.assert(
    fc.property(file, (buckets) => assertHolds(fileOf(buckets), buckets)),
    { seed, numRuns: 60 },
  );
});

test("keys that do not ascend, or cannot be, are mistakes", () => {
  const value = Buffer.alloc(1);
  for (const keys of [["b", "a"], ["a", "a"], [""], ["k".repeat(32_769)]]) {
    const rows = keys.map((key) => [key, value] as const);
    assert.throws(() => fileOf({ key: rows }), Mistake, keys.join(" ").slice(0, 9));
  }
});
