// The bulk lane's frames and rows: what goes in comes out, and nothing else is believed.
import assert from "node:assert/strict";
import test from "node:test";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import { crc32c } from "../../src/base/crc.ts";
import { Prng } from "../../src/base/prng.ts";
import {
  chunkBytesMax,
  decodeImageFrame,
  encodeImageFrame,
  type ImageFrame,
  imageHeadBytes,
  Refusal,
  sealChunk,
} from "../../src/member/imageFrames.ts";
import { ChunksToRows, RowsFault, RowsToChunks } from "../../src/member/imageRows.ts";
import { type EngineBatch, Table, type TableRow } from "../../src/storage/engine.ts";
import { MemoryEngine } from "../../src/storage/memory.ts";

const transfer = 2 ** 33 + 7;
const membership = {
  voters: [MemberId(1n), MemberId(2n ** 64n - 1n)],
  outgoing: [MemberId(1n)],
  learners: [MemberId(3n)],
};
const meta = { index: LogIndex(9), term: Term(2), membership };
const offer = { kind: "offer", transfer, meta, leaderTerm: Term(3) } as const;
const end = {
  kind: "end",
  transfer,
  sequence: 5,
  leaderTerm: Term(3),
  rows: 10,
  bytes: 2 ** 40,
  digest: 0xffffffff,
} as const;
const ack = { kind: "ack", transfer, next: 4, got: 9, done: false } as const;
const frames: readonly Exclude<ImageFrame, { kind: "chunk" }>[] = [
  ...[offer, end, ack, { ...ack, done: true }],
  { kind: "refuse", transfer, why: Refusal.stale },
  { kind: "abort", transfer },
];

function chunkOf(bytes: Uint8Array, sequence = 1): Buffer {
  const frame = Buffer.alloc(imageHeadBytes + bytes.length);
  frame.set(bytes, imageHeadBytes);
  sealChunk(frame, { transfer, sequence });
  return frame;
}

/** The same bytes with some changed, under a right checksum. */
function forged(frame: Uint8Array, at: number, bytes: readonly number[]): Buffer {
  const copy = Buffer.from(frame);
  copy.set(bytes, at);
  copy.writeUInt32LE(crc32c(copy, 6), 2);
  return copy;
}

for (const frame of frames) {
  test(`${frame.kind}: what is written is read`, () => {
    assert.deepEqual(decodeImageFrame(encodeImageFrame(frame)), frame);
  });

  test(`${frame.kind}: each flipped bit, missing or extra byte is found out`, () => {
    const bytes = encodeImageFrame(frame);
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const copy = Buffer.from(bytes);
      copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.equal(typeof decodeImageFrame(copy), "string", `bit ${bit}`);
    }
    for (let to = 0; to < bytes.length; to++) {
      assert.equal(typeof decodeImageFrame(bytes.subarray(0, to)), "string", `${to} bytes`);
    }
    const longer = Buffer.concat([bytes, Buffer.of(0)]);
    assert.equal(decodeImageFrame(forged(longer, 0, [1])), "the body is wrong");
  });
}

test("a chunk is read as a view of its frame", () => {
  const frame = decodeImageFrame(chunkOf(Buffer.from("rows"), 7));
  assert.ok(typeof frame !== "string" && frame.kind === "chunk");
  assert.equal(frame.sequence, 7);
  assert.equal(Buffer.from(frame.bytes).toString(), "rows");
});

const offered = encodeImageFrame(offer);
const counted = imageHeadBytes + 24;
const forgeries = [
  { name: "another version", bytes: forged(offered, 0, [2]) },
  { name: "another kind", bytes: forged(offered, 1, [1]) },
  { name: "no type", bytes: forged(offered, 6, [7]) },
  { name: "a head byte that is kept free", bytes: forged(offered, 7, [1]) },
  { name: "a transfer beyond the safe integers", bytes: forged(offered, 15, [0xff]) },
  { name: "an offer with a sequence", bytes: forged(offered, 16, [1]) },
  { name: "an offer at index 0", bytes: forged(offered, imageHeadBytes, [0]) },
  {
    name: "an offer of a term above its leader's",
    bytes: forged(offered, imageHeadBytes + 8, [4]),
  },
  { name: "more voters than bytes", bytes: forged(offered, counted, [64]) },
  { name: "more voters than there may be", bytes: forged(offered, counted, [255]) },
  { name: "fewer voters than bytes", bytes: forged(offered, counted, [1]) },
  { name: "an empty chunk", bytes: chunkOf(Buffer.alloc(0)) },
  { name: "a chunk in place of the offer", bytes: chunkOf(Buffer.of(1), 0) },
  { name: "a chunk above the bound", bytes: chunkOf(Buffer.alloc(chunkBytesMax + 1)) },
  { name: "an ack of what has not arrived", bytes: forged(encodeImageFrame(ack), 16, [10]) },
  {
    name: "a refusal without a reason",
    bytes: forged(
      encodeImageFrame({ kind: "refuse", transfer, why: Refusal.busy }),
      imageHeadBytes,
      [99],
    ),
  },
];
for (const { name, bytes } of forgeries) {
  test(`refused under a right checksum: ${name}`, () => {
    assert.equal(typeof decodeImageFrame(bytes), "string");
  });
}

async function engineWith(puts: EngineBatch["puts"]): Promise<MemoryEngine> {
  const engine = new MemoryEngine({ defer: (run) => setImmediate(run) });
  await new Promise((done) => engine.submit({ puts, deletes: [] }, done));
  return engine;
}

test("rows of all sizes pass through chunks cut anywhere, a few at a time", async () => {
  const random = new Prng(7);
  const sizes = [0, 1, 7, 300, chunkBytesMax - 9, chunkBytesMax, 3 * chunkBytesMax + 5];
  const puts = Array.from({ length: 400 }, (_, i) => ({
    table: (i % 2 === 0 ? Table.key : Table.lease) as Table,
    key: Buffer.from(`key ${String(i).padStart(1 + random.integer(400), "0")}`),
    value: Buffer.alloc(i < 30 ? (sizes[i % sizes.length] ?? 0) : random.integer(2_000), i),
  }));
  const engine = await engineWith(puts);
  const source = new RowsToChunks(engine.pin());
  const sink = new ChunksToRows();
  const rows: TableRow[] = [];
  while (!source.isEnded) {
    const frame = source.next(1 + random.integer(50));
    if (frame === undefined) continue;
    assert.ok(frame.length <= imageHeadBytes + chunkBytesMax);
    assert.equal(frame.length, frame.buffer.byteLength, "it owns its memory");
    sink.push(frame.subarray(imageHeadBytes));
    for (let row = sink.next(); row !== undefined; row = sink.next()) rows.push(row);
    assert.ok(sink.isDrained);
  }
  assert.ok(sink.isBetweenRows);
  assert.deepEqual(sink.totals, source.totals);
  assert.equal(rows.length, puts.length);
  const expected: TableRow[] = [];
  engine.pin().next((row) => expected.push(row) > 0);
  const plain = ({ table, key, value }: TableRow) => [table, Buffer.from(key), Buffer.from(value)];
  assert.deepEqual(rows.map(plain), expected.map(plain));
});

function rowHead(table: number, keyBytes: number, valueBytes: number): Buffer {
  const head = Buffer.alloc(7);
  head[0] = table;
  head.writeUInt16LE(keyBytes, 1);
  head.writeUInt32LE(valueBytes, 3);
  return head;
}

for (const { name, head } of [
  { name: "of no table", head: rowHead(6, 1, 0) },
  { name: "without a key", head: rowHead(1, 0, 0) },
  { name: "with a key above the bound", head: rowHead(1, 512, 0) },
  { name: "that claims 4 GiB", head: rowHead(1, 1, 0xffffffff) },
]) {
  test(`a row ${name} is refused, whole or in two chunks`, () => {
    const whole = new ChunksToRows();
    whole.push(Buffer.concat([head, Buffer.alloc(20)]));
    assert.throws(() => whole.next(), RowsFault);
    const cut = new ChunksToRows();
    cut.push(head.subarray(0, 5));
    assert.equal(cut.next(), undefined);
    assert.ok(!cut.isBetweenRows);
    cut.push(Buffer.concat([head.subarray(5), Buffer.alloc(20)]));
    assert.throws(() => cut.next(), RowsFault);
  });
}
