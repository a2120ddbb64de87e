// Rows: their bytes, and their fields read in place.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LeaseId, noLease } from "../../src/base/brand.ts";
import {
  decodeKeyValue,
  encodeKeyValue,
  keyValueBytes,
  rowCreateRevision,
  rowKey,
  rowLease,
  rowModRevision,
  rowValue,
  rowVersion,
  withoutValue,
  writeKeyValue,
} from "../../src/proto/keyValue.ts";
import { encodeMessage } from "../support/messages.ts";
import { pairFields, pairs } from "./arbitraries.ts";
import { comparable } from "./comparable.ts";

test("a row has the bytes of protobufjs, and decodes to the pair", () => {
  const property = fc.property(pairs, (pair) => {
    const row = encodeKeyValue(pair);
    const theirs = Buffer.from(encodeMessage("mvccpb.KeyValue", pairFields(pair)));
    assert.equal(row.toString("hex"), theirs.toString("hex"));
    assert.deepEqual(comparable(decodeKeyValue(row)), comparable(pair));
  });
  fc.assert(property, { numRuns: 500 });
});

test("fields read in place equal the decoded ones", () => {
  const property = fc.property(pairs, (pair) => {
    // In the middle of other bytes, which must not be read.
    const size = keyValueBytes(pair);
    const space = Buffer.alloc(size + 20, 0xff);
    assert.equal(writeKeyValue(pair, space, 10), 10 + size);
    assert.ok(space.subarray(0, 10).every((byte) => byte === 0xff));
    assert.ok(space.subarray(10 + size).every((byte) => byte === 0xff));
    const row = space.subarray(10, 10 + size);
    const fields = {
      key: rowKey(row),
      createRevision: rowCreateRevision(row),
      modRevision: rowModRevision(row),
      version: rowVersion(row),
      value: rowValue(row),
      lease: rowLease(row),
    };
    assert.deepEqual(comparable(fields), comparable(pair));
  });
  fc.assert(property, { numRuns: 500 });
});

test("withoutValue keeps all but the value", () => {
  const property = fc.property(pairs, (pair) => {
    const row = encodeKeyValue(pair);
    const before = row.toString("hex");
    const wanted = encodeKeyValue({ ...pair, value: new Uint8Array(0) });
    assert.equal(Buffer.from(withoutValue(row)).toString("hex"), wanted.toString("hex"));
    assert.equal(row.toString("hex"), before, "the row itself stays as it was");
  });
  fc.assert(property, { numRuns: 500 });
});

test("lease ids keep all of their 64 bits", () => {
  const none = { key: Buffer.from("k"), createRevision: 2, modRevision: 2, version: 1 };
  const value = Buffer.from("v");
  for (const id of [1n, 127n, 128n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, -1n, -(2n ** 63n)]) {
    assert.equal(rowLease(encodeKeyValue({ ...none, value, lease: LeaseId(id) })), id);
  }
  assert.equal(rowLease(encodeKeyValue({ ...none, value, lease: noLease })), 0n);
});

test("views of a row share its memory", () => {
  const row = encodeKeyValue({
    key: Buffer.from("key"),
    createRevision: 2,
    modRevision: 300,
    version: 1,
    value: Buffer.from("value"),
    lease: noLease,
  });
  assert.equal(rowValue(row).buffer, row.buffer);
  assert.equal(rowKey(row).buffer, row.buffer);
});

test("a row cut in the middle of a value is a mistake, not a wrong answer", () => {
  const row = encodeKeyValue({
    key: Buffer.from("key"),
    createRevision: 2,
    modRevision: 3,
    version: 1,
    value: Buffer.from("a longer value"),
    lease: LeaseId(5n),
  });
  assert.throws(() => rowLease(row.subarray(0, -6)), /ends within its row/);
});
