// What the reader takes and what it refuses, byte by byte.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeCompactionRequest,
  decodePutRequest,
  decodeTxnRequest,
} from "../../src/proto/decodeRequests.ts";
import { decodeHealthCheckRequest } from "../../src/proto/healthCodec.ts";
import { Malformed, nestedTooDeep, Reader } from "../../src/proto/reader.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const tenBytes = "ffffffffffffffffff";

test("malformed puts are refused as etcd refuses them", () => {
  const rows = [
    { input: "18 ffffffffffffffffffff 01", why: "a varint of eleven bytes" },
    { input: "0a 05 61", why: "a string longer than what is left" },
    { input: "0a ffffffffffffffffff 01", why: "a length above 2^63" },
    { input: "0a ffffffff0f", why: "a length of 4 GiB" },
    { input: "18 ff", why: "a varint without its end" },
    { input: "18", why: "a tag without its value" },
    { input: "00 01", why: "field number 0" },
    { input: "08 01", why: "key as a varint" },
    { input: "22 01 01", why: "a flag as bytes" },
    { input: "19 0000000000000000", why: "lease as fixed64" },
    { input: "7b", why: "a group that does not end" },
    { input: "7c", why: "the end of no group" },
    { input: "7e", why: "wire type 6" },
    { input: "7f", why: "wire type 7" },
    { input: "f8ffffffff0f 01", why: "a tag of more than 32 bits" },
    { input: "79 00000000000000", why: "seven bytes for fixed64" },
    { input: "7d 000000", why: "three bytes for fixed32" },
    { input: "0a 01 61 ff", why: "a tag without its end, after a good field" },
  ];
  for (const { input, why } of rows) {
    const decoded = decodePutRequest(hex(input));
    assert.ok(decoded instanceof Malformed, why);
    assert.match(decoded.why, /^(proto: |unexpected EOF)/, why);
  }
});

test("odd puts are taken as etcd takes them", () => {
  const rows = [
    { input: "", want: { key: "", lease: 0n, prevKv: false }, why: "an empty message" },
    {
      input: "8a00 01 61",
      want: { key: "61", lease: 0n, prevKv: false },
      why: "a tag in two bytes",
    },
    { input: "0a 8100 61", want: { key: "61", lease: 0n, prevKv: false }, why: "a length in two" },
    {
      input: "7b 08 01 83 01 84 01 7c 0a0161",
      want: { key: "61", lease: 0n, prevKv: false },
      why: "unknown groups, one in the other, are skipped",
    },
    { input: "20 02", want: { key: "", lease: 0n, prevKv: true }, why: "any number but 0 is true" },
    {
      input: "20 80808080808080808001",
      want: { key: "", lease: 0n, prevKv: true },
      why: "true by its highest bit",
    },
    {
      input: "0a0161 0a0162",
      want: { key: "62", lease: 0n, prevKv: false },
      why: "the last one wins",
    },
    { input: `18 ${tenBytes} 01`, want: { key: "", lease: -1n, prevKv: false }, why: "minus one" },
    {
      input: `18 ${tenBytes} 7f`,
      want: { key: "", lease: -1n, prevKv: false },
      why: "bits above the 64th are dropped",
    },
    {
      input: "18 ffffffffffffffff7f",
      want: { key: "", lease: 2n ** 63n - 1n, prevKv: false },
      why: "the largest lease",
    },
    {
      input: "18 80808080808080808001",
      want: { key: "", lease: -(2n ** 63n), prevKv: false },
      why: "the smallest lease",
    },
    {
      input: "18 8080808080808010",
      want: { key: "", lease: 2n ** 53n, prevKv: false },
      why: "the first lease that a number could confuse with its neighbour",
    },
    {
      input: "f8ffffff0f 01",
      want: { key: "", lease: 0n, prevKv: false },
      why: "the largest field number",
    },
  ];
  for (const { input, want, why } of rows) {
    const decoded = decodePutRequest(hex(input));
    assert.ok(!(decoded instanceof Malformed), why);
    const { key, lease, prevKv } = decoded;
    assert.deepEqual({ key: Buffer.from(key).toString("hex"), lease, prevKv }, want, why);
  }
});

test("64-bit counters are clamped to the safe integers", () => {
  const rows = [
    { input: "08 ffffffffffffff0f", want: Number.MAX_SAFE_INTEGER, why: "2^53 - 1" },
    { input: "08 8080808080808010", want: Number.MAX_SAFE_INTEGER, why: "2^53" },
    { input: "08 ffffffffffffffff7f", want: Number.MAX_SAFE_INTEGER, why: "2^63 - 1" },
    { input: "08 80808080808080808001", want: Number.MIN_SAFE_INTEGER, why: "-2^63" },
    { input: `08 ${tenBytes} 01`, want: -1, why: "minus one" },
    { input: "08 8080808010", want: 2 ** 32, why: "2^32, the first bit of the high half" },
    { input: "08 ffffffff0f", want: 2 ** 32 - 1, why: "the low half alone is unsigned" },
  ];
  for (const { input, want, why } of rows) {
    const decoded = decodeCompactionRequest(hex(input));
    assert.deepEqual(decoded, { revision: want, physical: false }, why);
  }
});

test("a nested message does not read on into its parent", () => {
  // success { op { put { key: 5 bytes, of which 1 is within } } } and then bytes of the txn itself.
  const decoded = decodeTxnRequest(hex("12 05 12 03 0a 05 61 1a 04 1a 02 0a 00"));
  assert.ok(decoded instanceof Malformed);
});

test("nesting has a bound, and reaching it is told apart", () => {
  for (const depth of [1, 129, 151]) {
    assert.ok(!(decodeTxnRequest(nestedTxn(depth)) instanceof Malformed), `depth ${depth}`);
  }
  for (const depth of [152, 10_000, 100_000]) {
    assert.equal(decodeTxnRequest(nestedTxn(depth)), nestedTooDeep, `depth ${depth}`);
  }
});

test("strings must be UTF-8", () => {
  assert.deepEqual(decodeHealthCheckRequest(hex("0a 02 c3a9")), { service: "é" });
  assert.deepEqual(decodeHealthCheckRequest(hex("0a 03 efbbbf")), { service: "\ufeff" });
  for (const bad of ["0a 01 ff", "0a 02 c328", "0a 03 eda080", "0a 02 c080"]) {
    assert.ok(decodeHealthCheckRequest(hex(bad)) instanceof Malformed, bad);
  }
});

test("after a fault every read gives zero and no message goes on", () => {
  const reader = new Reader(hex("0a 05 61 10 01"));
  assert.equal(reader.tag(), 0x0a);
  assert.equal(reader.bytes().length, 0);
  const { fault } = reader;
  assert.ok(fault instanceof Malformed);
  assert.equal(reader.tag(), 0);
  assert.equal(reader.int64(), 0);
  assert.equal(reader.uint64Exact(), 0n);
  assert.equal(reader.bool(), false);
  const outer = reader.enter();
  assert.equal(reader.tag(), 0);
  reader.leave(outer);
  assert.equal(reader.tag(), 0);
  assert.equal(reader.fault, fault, "the first fault is the one that is told");
});

/** `depth` txns, each the only op of the one around it. */
function nestedTxn(depth: number): Uint8Array {
  // Built from the inside with exact lengths; joined once, as 100,000 levels are a megabyte.
  const prefixes: Buffer[] = [];
  let length = 0;
  for (let level = 1; level < depth; level++) {
    const txn = prefixOf(0x22, length);
    const op = prefixOf(0x12, length + txn.length);
    prefixes.push(txn, op);
    length += txn.length + op.length;
  }
  return Buffer.concat(prefixes.toReversed());
}

function prefixOf(tag: number, length: number): Buffer {
  const bytes = [tag];
  for (let rest = length; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}
