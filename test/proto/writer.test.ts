// The writer's scratch buffer: growth, limit, what it keeps.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EtcdError, StatusCode } from "../../src/base/errors.ts";
import { Reader } from "../../src/proto/reader.ts";
import { varintBytes, Writer } from "../../src/proto/writer.ts";

test("a message larger than the buffer comes out whole, and the next one clean", () => {
  const writer = new Writer();
  for (const length of [10, 4096, 100_000, 3_000_000, 5]) {
    const value = Buffer.alloc(length, length % 251);
    writer.bytes(0x12, value);
    writer.integer(0x08, length);
    const reader = new Reader(writer.finish());
    assert.equal(reader.tag(), 0x08);
    assert.equal(reader.int64(), length);
    assert.equal(reader.tag(), 0x12);
    assert.ok(Buffer.from(reader.bytes()).equals(value), `length ${length}`);
    assert.equal(reader.tag(), 0);
  }
});

test("finish gives a view of the buffer, which the next message overwrites", () => {
  const writer = new Writer();
  writer.bytes(0x0a, Buffer.from("first"));
  const first = writer.finish();
  writer.bytes(0x0a, Buffer.from("other"));
  const second = writer.finish();
  assert.equal(first.buffer, second.buffer);
  assert.equal(Buffer.from(first).toString("latin1"), "\n\u0005other");
});

test("the buffer of a huge message is given up", () => {
  const writer = new Writer();
  writer.bytes(0x0a, Buffer.alloc(2_000_000));
  const huge = writer.finish();
  writer.bool(0x08, true);
  const small = writer.finish();
  assert.notEqual(small.buffer, huge.buffer);
  assert.ok(small.buffer.byteLength < 10_000);
});

test("a message above the limit is refused, and the writer goes on", () => {
  const writer = new Writer(10_000);
  writer.bytes(0x0a, Buffer.alloc(6_000));
  assert.throws(
    () => writer.bytes(0x0a, Buffer.alloc(6_000)),
    (error) => {
      assert.ok(error instanceof EtcdError);
      assert.equal(error.code, StatusCode.resourceExhausted);
      assert.equal(error.message, "grpc: trying to send message larger than max (12003 vs. 10000)");
      return true;
    },
  );
  writer.bytes(0x0a, Buffer.alloc(9_990));
  assert.equal(writer.finish().length, 9_993);
});

test("varintBytes is ⌈bits / 7⌉", () => {
  for (let bits = 1; bits <= 64; bits++) {
    const lowest = 1n << BigInt(bits - 1);
    for (const value of [lowest, lowest * 2n - 1n]) {
      const low = Number(BigInt.asUintN(32, value));
      assert.equal(varintBytes(low, Number(value >> 32n)), Math.ceil(bits / 7), `${value}`);
    }
  }
  assert.equal(varintBytes(0, 0), 1);
});

test("64-bit numbers come back as they were", () => {
  const writer = new Writer();
  const numbers = [1, 127, 128, 2 ** 31, 2 ** 32, 2 ** 35, Number.MAX_SAFE_INTEGER];
  for (const number of [...numbers, ...numbers.map((each) => -each)]) {
    writer.integer(0x08, number);
    const reader = new Reader(writer.finish());
    reader.tag();
    assert.equal(reader.int64(), number);
  }
  for (const id of [1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
    writer.id(0x08, id);
    const reader = new Reader(writer.finish());
    reader.tag();
    assert.equal(reader.uint64Exact(), id);
  }
});
