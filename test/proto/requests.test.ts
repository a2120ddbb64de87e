// The hand-written request codecs against protobufjs, which reads src/proto/*.proto.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  decodeCompactionRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRangeRequest,
  decodeTxnRequest,
} from "../../src/proto/decodeRequests.ts";
import {
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
  encodeRangeRequest,
  encodeTxnRequest,
} from "../../src/proto/encodeRequests.ts";
import { Malformed } from "../../src/proto/reader.ts";
import { Writer } from "../../src/proto/writer.ts";
import { encodeMessage, messageType } from "../support/messages.ts";
import {
  compactionFields,
  compactionRequests,
  deleteRangeFields,
  deleteRangeRequests,
  putFields,
  putRequests,
  rangeFields,
  rangeRequests,
  txnFields,
  txnRequests,
} from "./arbitraries.ts";
import { comparable, withUnknownFields } from "./comparable.ts";

interface Codec<T> {
  readonly name: string;
  readonly requests: fc.Arbitrary<T>;
  readonly fields: (request: T) => object;
  readonly encode: (writer: Writer, request: T) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => T | Malformed;
}

agrees({
  name: "RangeRequest",
  requests: rangeRequests,
  fields: rangeFields,
  encode: encodeRangeRequest,
  decode: decodeRangeRequest,
});
agrees({
  name: "PutRequest",
  requests: putRequests,
  fields: putFields,
  encode: encodePutRequest,
  decode: decodePutRequest,
});
agrees({
  name: "DeleteRangeRequest",
  requests: deleteRangeRequests,
  fields: deleteRangeFields,
  encode: encodeDeleteRangeRequest,
  decode: decodeDeleteRangeRequest,
});
agrees({
  name: "TxnRequest",
  requests: txnRequests,
  fields: txnFields,
  encode: encodeTxnRequest,
  decode: decodeTxnRequest,
});
agrees({
  name: "CompactionRequest",
  requests: compactionRequests,
  fields: compactionFields,
  encode: encodeCompactionRequest,
  decode: decodeCompactionRequest,
});

function agrees<T>({ name, requests, fields, encode, decode }: Codec<T>): void {
  const writer = new Writer();

  test(`${name}: encodes to the bytes of protobufjs`, () => {
    const property = fc.property(requests, (request) => {
      const wanted = Buffer.from(encodeMessage(name, fields(request))).toString("hex");
      assert.equal(Buffer.from(encode(writer, request)).toString("hex"), wanted);
    });
    fc.assert(property, { numRuns: 300 });
  });

  test(`${name}: decodes what protobufjs encodes, between unknown fields too`, () => {
    const property = fc.property(requests, fc.infiniteStream(fc.nat(1000)), (request, stream) => {
      const plain = encodeMessage(name, fields(request));
      const pick = (below: number): number => (stream.next().value ?? 0) % below;
      const mixed = withUnknownFields(messageType(name), plain, pick);
      assert.deepEqual(comparable(decode(plain)), comparable(request));
      assert.deepEqual(comparable(decode(mixed)), comparable(request));
    });
    fc.assert(property, { numRuns: 300 });
  });

  test(`${name}: a cut message is malformed or a smaller one, never an accident`, () => {
    const property = fc.property(requests, (request) => {
      const whole = Buffer.from(encode(writer, request));
      for (let length = 0; length < whole.length; length++) {
        // What follows the cut is still in memory; it must not be read.
        decode(whole.subarray(0, length));
      }
      if (whole.length > 0)
        assert.ok(decode(Buffer.concat([whole, whole.subarray(0, 1)])) instanceof Malformed);
    });
    fc.assert(property, { numRuns: 50 });
  });

  test(`${name}: any bytes decode to a request or to Malformed`, () => {
    const property = fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const decoded = decode(bytes);
      if (decoded instanceof Malformed) assert.notEqual(decoded.why, "");
    });
    fc.assert(property, { numRuns: 3000 });
  });
}

test("byte strings of a decoded request are views into the input", () => {
  const input = Buffer.from(
    encodeMessage("PutRequest", { key: Buffer.from("k"), value: Buffer.from("value") }),
  );
  const request = decodePutRequest(input);
  assert.ok(!(request instanceof Malformed));
  assert.equal(request.value.buffer, input.buffer);
  input.fill(0x78);
  assert.equal(Buffer.from(request.value).toString(), "xxxxx");
});

test("the later member of a oneof replaces the earlier one", () => {
  const op = Buffer.from("0a030a0161" + "1a030a0162", "hex");
  const txn = decodeTxnRequest(Buffer.concat([Buffer.from([0x12, op.length]), op]));
  assert.ok(!(txn instanceof Malformed));
  assert.deepEqual(
    txn.success.map((each) => each.kind),
    ["deleteRange"],
  );
});
