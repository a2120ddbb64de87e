// The encoded pair: exact bytes, accessors, the row without its value.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LeaseId, noLease } from "../../src/base/brand.ts";
import { spanOf, toLatin1 } from "../../src/base/bytes.ts";
import {
  isTombstone,
  pairOf,
  type RowPlace,
  RowWriter,
  rowAt,
  rowCreateRevision,
  rowKeyText,
  rowLease,
  rowModRevision,
  rowOfStored,
  rowValue,
  rowVersion,
  withoutValue,
} from "../../src/mvcc/row.ts";
import { decodeKeyValue } from "../../src/proto/keyValue.ts";
import { Malformed } from "../../src/proto/reader.ts";
import { bytes } from "./support.ts";

interface Sample {
  readonly why: string;
  readonly key?: string;
  readonly value?: string;
  readonly lease?: bigint;
  readonly main?: number;
  readonly version?: number;
}

const samples: readonly Sample[] = [
  { why: "the usual pair" },
  { why: "a zero field is left out", value: "" },
  { why: "all bytes", key: "\0\x01\x7f\x80\xff", value: "\0\xff" },
  { why: "a key longer than the copying loop", key: "k".repeat(600) },
  { why: "a value with a length of three bytes", value: "v".repeat(20_000) },
  { why: "a value that gets a buffer of its own", value: "v".repeat(3000) },
  { why: "a small lease", lease: 7n },
  { why: "the largest lease", lease: 2n ** 63n - 1n },
  { why: "a negative lease takes ten bytes", lease: -5n },
  { why: "the smallest lease", lease: -(2n ** 63n) },
  { why: "a revision above 32 bits", main: 2 ** 40 + 5, version: 2 ** 33 },
];

test("a row is the protobuf encoding of its pair, and its fields are read back", () => {
  const writer = new RowWriter(1024);
  for (const {
    why,
    key = "key",
    value = "value",
    lease = 0n,
    main = 300,
    version = 2,
  } of samples) {
    const head = { created: main - 1, main, version };
    const place = writer.put(
      head,
      pairOf(bytes(key), bytes(value)),
      lease === 0n ? noLease : LeaseId(lease),
    );
    const row = rowAt(place);
    const stored = storedAt(place);
    const pair = decodeKeyValue(row);
    assert.ok(!(pair instanceof Malformed), why);
    assert.deepEqual(
      { ...pair, key: toLatin1(pair.key), value: toLatin1(pair.value) },
      { key, createRevision: main - 1, modRevision: main, version, value, lease },
      why,
    );
    assert.equal(rowKeyText(row), key, why);
    assert.equal(rowCreateRevision(row), main - 1, why);
    assert.equal(rowModRevision(row), main, why);
    assert.equal(rowVersion(row), version, why);
    assert.equal(toLatin1(rowValue(row)), value, why);
    assert.equal(rowLease(row), lease, why);
    const short = withoutValue(row);
    assert.equal(rowValue(short).length, 0, why);
    assert.equal(rowLease(short), lease, `${why}: keys_only keeps the lease`);
    assert.equal(rowVersion(short), version, why);
    assert.equal(isTombstone(stored), false, why);
    assert.deepEqual(Buffer.from(rowOfStored(stored)), Buffer.from(row), why);
  }
});

test("a tombstone's row is the kv of its event: key and mod revision", () => {
  const place = new RowWriter().tombstone(spanOf(bytes("key")), 70_000);
  assert.equal(isTombstone(storedAt(place)), true);
  const row = rowAt(place);
  const pair = decodeKeyValue(row);
  assert.ok(!(pair instanceof Malformed));
  assert.deepEqual(
    { ...pair, key: toLatin1(pair.key), value: pair.value.length },
    { key: "key", createRevision: 0, modRevision: 70_000, version: 0, value: 0, lease: 0n },
  );
});

test("later rows never touch earlier ones", () => {
  const writer = new RowWriter(512);
  const rows = Array.from({ length: 300 }, (_, i) => {
    const head = { created: i, main: i, version: 1 };
    return rowAt(writer.put(head, pairOf(bytes(`k${i}`), bytes("x".repeat(i))), noLease));
  });
  rows.forEach((row, i) => {
    assert.equal(rowKeyText(row), `k${i}`);
    assert.equal(rowValue(row).length, i);
  });
});

test("a row does not hold on to the bytes that its value came in", () => {
  const entry = new Uint8Array(4_000_000);
  const head = { created: 2, main: 2, version: 1 };
  const row = rowAt(
    new RowWriter(1024).put(head, pairOf(bytes("k"), entry.subarray(5, 15)), noLease),
  );
  assert.notEqual(row.buffer, entry.buffer);
  assert.ok(row.buffer.byteLength <= 1024);
});

const storedAt = ({ slab, from, to }: RowPlace): Uint8Array => slab.subarray(from - 1, to);
