// The short cut for plain puts sees the same put as the decoder, or leaves it to the decoder.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LeaseId, noLease } from "../../src/base/brand.ts";
import { decodePutRequest } from "../../src/proto/decodeRequests.ts";
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import { PlainPut } from "../../src/proto/plainPut.ts";
import { Malformed } from "../../src/proto/reader.ts";
import { Writer } from "../../src/proto/writer.ts";

const plain = new PlainPut();
const usual = { lease: noLease, prevKv: false, ignoreValue: false, ignoreLease: false };

/** @param before bytes in front, as of an earlier command; behind the message lies another one. */
function readWithin(message: Uint8Array, before: Uint8Array): boolean {
  const data = Buffer.concat([before, message, Buffer.from("0a01611201620a01611201", "hex")]);
  const from = before.length;
  const to = from + message.length;
  if (!plain.read(data, from, to)) return false;
  const request = decodePutRequest(message);
  assert.ok(!(request instanceof Malformed));
  assert.deepEqual(
    {
      ...usual,
      key: Uint8Array.from(data.subarray(plain.key.from, plain.key.to)),
      value: Uint8Array.from(data.subarray(plain.value.from, plain.value.to)),
    },
    { ...request, key: Uint8Array.from(request.key), value: Uint8Array.from(request.value) },
  );
  return true;
}

const bytes = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength });

test("a put of nothing but key and value is read, whatever its lengths", () => {
  const lengths = fc.constantFrom(1, 2, 127, 128, 129, 300, 16_383, 16_384, 20_000);
  fc.assert(
    fc.property(lengths, lengths, bytes(0, 9), (keyBytes, valueBytes, before) => {
      const request = {
        ...usual,
        key: new Uint8Array(keyBytes).fill(0x12),
        value: new Uint8Array(valueBytes).fill(0x0a),
      };
      assert.ok(readWithin(encodePutRequest(new Writer(), request), before));
    }),
  );
});

test("every other put is left to the decoder", () => {
  const put = { ...usual, key: Buffer.from("k"), value: Buffer.from("v") };
  const rows = [
    { change: { lease: LeaseId(7n) } },
    { change: { prevKv: true } },
    { change: { ignoreValue: true } },
    { change: { ignoreLease: true } },
    { change: { key: Buffer.alloc(0) } },
    { change: { value: Buffer.alloc(0) } },
    { change: { value: Buffer.alloc(1 << 21) } },
  ];
  for (const { change } of rows) {
    const message = encodePutRequest(new Writer(), { ...put, ...change });
    assert.equal(readWithin(message, Buffer.alloc(3)), false, Object.keys(change).join());
  }
  // A later field of the same number counts; a length of four bytes, the last of them without meaning.
  for (const hex of ["0a016b1201760a0178", "0a016b1284808000aaaaaaaa", "0a816b12", "0a016b", ""]) {
    assert.equal(readWithin(Buffer.from(hex, "hex"), Buffer.alloc(0)), false, hex);
  }
});

test("bytes of any kind are read as the decoder reads them, or not at all", () => {
  const piece = fc.constantFrom("0a", "12", "01", "00", "03", "80", "81", "ff", "6b", "18");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), bytes(0, 4), (pieces, before) => {
      readWithin(Buffer.from(pieces.join(""), "hex"), before);
    }),
    { numRuns: 5_000 },
  );
});
