// HPACK against RFC 7541's own examples, an independent encoder, and broken input.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { ConnectionFault, ErrorCode } from "../../src/http2/frames.ts";
import { HpackDecoder } from "../../src/http2/hpack.ts";
import { huffmanDecode, huffmanDecodedBytesMax } from "../../src/http2/huffman.ts";
import { huffmanBytes, integerBytes, type Pair, TestEncoder, textBytes } from "./hpackEncoder.ts";

const listBytesMax = 65_536;

function decode(decoder: HpackDecoder, block: Buffer): Pair[] {
  assert.equal(decoder.decode(block, 0, block.length), true);
  return decoder.fields.slice(0, decoder.count).map(({ name, value }) => [name, value]);
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const pairs = (text: string): Pair[] =>
  text.split("|").map((line) => {
    const colon = line.indexOf(": ");
    return [line.slice(0, colon), line.slice(colon + 2)];
  });

const firstRequest = ":method: GET|:scheme: http|:path: /|:authority: www.example.com";
const secondRequest = `${firstRequest}|cache-control: no-cache`;
const thirdRequest =
  ":method: GET|:scheme: https|:path: /index.html|:authority: www.example.com|custom-key: custom-value";
const date21 = "date: Mon, 21 Oct 2013 20:13:21 GMT";
const date22 = "date: Mon, 21 Oct 2013 20:13:22 GMT";
const location = "location: https://www.example.com";
const cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const firstResponse = `:status: 302|cache-control: private|${date21}|${location}`;
const secondResponse = firstResponse.replace("302", "307");
const thirdResponse = `:status: 200|cache-control: private|${date22}|${location}|content-encoding: gzip|${cookie}`;
/** The response examples are for a table of 256 bytes. */
const table256 = "3fe101";

const examples = [
  {
    section: "C.2.1",
    blocks: [
      ["400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key: custom-header", 55],
    ],
  },
  { section: "C.2.2", blocks: [["040c2f73616d706c652f70617468", ":path: /sample/path", 0]] },
  { section: "C.2.3", blocks: [["100870617373776f726406736563726574", "password: secret", 0]] },
  { section: "C.2.4", blocks: [["82", ":method: GET", 0]] },
  {
    section: "C.3",
    blocks: [
      ["828684410f7777772e6578616d706c652e636f6d", firstRequest, 57],
      ["828684be58086e6f2d6361636865", secondRequest, 110],
      ["828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", thirdRequest, 164],
    ],
  },
  {
    section: "C.4",
    blocks: [
      ["828684418cf1e3c2e5f23a6ba0ab90f4ff", firstRequest, 57],
      ["828684be5886a8eb10649cbf", secondRequest, 110],
      ["828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", thirdRequest, 164],
    ],
  },
  {
    section: "C.5",
    blocks: [
      [
        `${table256}4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a32` +
          "3120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
        firstResponse,
        222,
      ],
      ["4803333037c1c0bf", secondResponse, 222],
      [
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738" +
          "666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d33" +
          "3630303b2076657273696f6e3d31",
        thirdResponse,
        215,
      ],
    ],
  },
  {
    section: "C.6",
    blocks: [
      [
        `${table256}488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29` +
          "ad171863c78f0b97c8e9ae82ae43d3",
        firstResponse,
        222,
      ],
      ["4883640effc1c0bf", secondResponse, 222],
      [
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7" +
          "b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
        thirdResponse,
        215,
      ],
    ],
  },
] as const;

for (const { section, blocks } of examples) {
  test(`RFC 7541, ${section}`, () => {
    const decoder = new HpackDecoder({ listBytesMax });
    for (const [block, want, tableBytes] of blocks) {
      assert.deepEqual(decode(decoder, hex(block)), pairs(want));
      assert.equal(decoder.tableBytes, tableBytes);
    }
  });
}

test("any list in any representation decodes to itself, and the tables agree", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/);
  const value = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)),
    maxLength: 60,
  });
  const lists = fc.array(fc.array(fc.tuple(name, value), { maxLength: 12 }), { maxLength: 12 });
  fc.assert(
    fc.property(lists, fc.nat(), (blocks, seed) => {
      const random = new Prng(seed);
      const encoder = new TestEncoder((below) => random.integer(below));
      const decoder = new HpackDecoder({ listBytesMax });
      for (const list of [...blocks, ...blocks]) {
        assert.deepEqual(decode(decoder, encoder.encode(list)), list);
        assert.equal(decoder.tableBytes, encoder.tableBytes);
      }
    }),
    { numRuns: 200 },
  );
});

test("Huffman: every octet, alone and beside others", () => {
  for (let char = 0; char < 256; char++) {
    const text = `a${String.fromCharCode(char)}~`;
    const coded = Uint8Array.from(huffmanBytes(text));
    const target = Buffer.alloc(huffmanDecodedBytesMax(coded.length));
    const length = huffmanDecode(coded, 0, coded.length, target);
    assert.equal(target.toString("latin1", 0, length), text, `octet ${char}`);
  }
});

test("broken blocks end in COMPRESSION_ERROR", () => {
  const rows = [
    { block: [0x80], why: "index 0" },
    { block: [0xbe], why: "index behind the tables" },
    { block: [0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], why: "an integer of 35 bits" },
    { block: [0xff, ...Array<number>(64).fill(0x80), 0x00], why: "an integer padded for ever" },
    { block: [0xff], why: "an integer cut off" },
    { block: [0x40], why: "a literal without a name" },
    { block: [0x00, 0x05, 0x61], why: "a string longer than the block" },
    { block: [0x00, 0x01, 0x61], why: "a literal without a value" },
    { block: [0x3f, 0xe2, 0x1f], why: "a table of 4097 bytes" },
    { block: [0x82, 0x20], why: "a table size update after a field" },
    { block: [0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00], why: "EOS in a name" },
    { block: [0x00, 0x81, 0x1c, 0x00], why: "Huffman padding of zeros" },
    { block: [0x00, 0x82, 0x1f, 0xff, 0x00], why: "Huffman padding of more than 7 bits" },
  ];
  for (const { block, why } of rows) {
    const decoder = new HpackDecoder({ listBytesMax });
    const bytes = Buffer.from(block);
    assert.throws(
      () => decoder.decode(bytes, 0, bytes.length),
      (fault) => fault instanceof ConnectionFault && fault.code === ErrorCode.compressionError,
      why,
    );
  }
});

test("random bytes decode or fault, and never do anything else", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 8 }), (blocks) => {
      const decoder = new HpackDecoder({ listBytesMax });
      for (const block of blocks) {
        try {
          decoder.decode(Buffer.from(block), 0, block.length);
        } catch (fault) {
          assert.ok(fault instanceof ConnectionFault);
          return;
        }
      }
    }),
    { numRuns: 1000 },
  );
});

test("a list beyond its bound is not collected, yet the table stays exact", () => {
  const decoder = new HpackDecoder({ listBytesMax: 200 });
  const bomb = [0x40, ...textBytes("a", false), ...textBytes("b".repeat(100), false)];
  const block = Buffer.from([
    ...bomb,
    ...Array<number>(5000).fill(0xbe),
    0x40,
    ...textBytes("c", false),
    ...textBytes("d", false),
  ]);
  assert.equal(decoder.decode(block, 0, block.length), false);
  assert.ok(decoder.count <= 2, `${decoder.count} fields kept`);
  assert.deepEqual(decode(decoder, Buffer.from([0xbe])), [["c", "d"]]);
  assert.equal(decoder.tableBytes, 133 + 34);
});

test("an entry larger than the table empties it", () => {
  const decoder = new HpackDecoder({ listBytesMax });
  decode(decoder, Buffer.from([0x40, ...textBytes("a", false), ...textBytes("b", false)]));
  assert.equal(decoder.tableBytes, 34);
  decode(
    decoder,
    Buffer.from([0x40, ...textBytes("a", false), ...textBytes("b".repeat(4064), false)]),
  );
  assert.equal(decoder.tableBytes, 0);
});

test("fields keep no hold on the block they came from", () => {
  const decoder = new HpackDecoder({ listBytesMax });
  const block = Buffer.from([0x40, ...textBytes("name", false), ...textBytes("value", true)]);
  decode(decoder, block);
  block.fill(0);
  assert.deepEqual(decode(decoder, Buffer.from(integerBytes(62, 0x80, 7))), [["name", "value"]]);
});
