// Cutting bytes into frames, and the encoder of answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteQueue } from "../../src/http2/byteQueue.ts";
import { FrameReader, framePayloadBytesMax } from "../../src/http2/frames.ts";
import { HpackDecoder } from "../../src/http2/hpack.ts";
import { Allowance, ByteBudget } from "../../src/http2/limits.ts";
import { literalFields, ResponseBlocks, UsualFields } from "../../src/http2/responseBlocks.ts";
import { frameBytes } from "./rawPeer.ts";

interface Piece {
  readonly type: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

function readAll(chunks: readonly Buffer[]): Piece[] {
  const pieces: Piece[] = [];
  const reader = new FrameReader();
  const onFrame = (frame: {
    type: number;
    streamId: number;
    bytes: Buffer;
    from: number;
    to: number;
  }): boolean => {
    const { type, streamId } = frame;
    pieces.push({
      type,
      streamId,
      payload: Buffer.from(frame.bytes.subarray(frame.from, frame.to)),
    });
    return true;
  };
  for (const chunk of chunks) {
    reader.push(chunk, 0, { onFrame });
    // A reader that kept a view of the chunk would read these zeros.
    chunk.fill(0);
  }
  return pieces;
}

test("frames come out whole however the bytes are cut", () => {
  const piece = fc
    .tuple(fc.nat(12), fc.nat(0x7fff_ffff), fc.uint8Array({ maxLength: 40 }))
    .map(([type, streamId, bytes]): Piece => ({ type, streamId, payload: Buffer.from(bytes) }));
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 8 }),
      fc.array(fc.nat(30), { maxLength: 60 }),
      (pieces, cuts) => {
        const whole = Buffer.concat(
          pieces.map((p) => frameBytes(p.type, 0, p.streamId, p.payload)),
        );
        const chunks: Buffer[] = [];
        let at = 0;
        for (const cut of cuts) {
          chunks.push(Buffer.from(whole.subarray(at, at + cut)));
          at += cut;
        }
        chunks.push(Buffer.from(whole.subarray(at)));
        assert.deepEqual(readAll(chunks), pieces);
      },
    ),
  );
});

test("the largest frame, byte by byte", () => {
  const payload = Buffer.alloc(framePayloadBytesMax, 7);
  const bytes = frameBytes(0, 0, 1, payload);
  const chunks = Array.from(bytes, (byte) => Buffer.from([byte]));
  assert.deepEqual(readAll(chunks), [{ type: 0, streamId: 1, payload }]);
});

test("ByteQueue gives back what was put in, in any portions", () => {
  const bytes = fc.uint8Array({ maxLength: 600 });
  fc.assert(
    fc.property(fc.array(fc.tuple(bytes, fc.nat(700)), { maxLength: 40 }), (steps) => {
      const queue = new ByteQueue();
      let model = Buffer.alloc(0);
      for (const [put, wanted] of steps) {
        queue.push(put);
        model = Buffer.concat([model, put]);
        const count = Math.min(wanted, model.length);
        const target = Buffer.alloc(count + 2);
        queue.moveTo(target, 1, count);
        assert.deepEqual(target.subarray(1, count + 1), model.subarray(0, count));
        model = model.subarray(count);
        assert.equal(queue.length, model.length);
      }
    }),
  );
});

const usual = new UsualFields({
  header: ["content-type", "application/grpc"],
  trailer: ["grpc-status", "0"],
});
const failed = literalFields([
  ["grpc-status", "5"],
  ["grpc-message", "no"],
]);

class Reader {
  readonly #decoder = new HpackDecoder({ listBytesMax: 65_536 });

  get tableBytes(): number {
    return this.#decoder.tableBytes;
  }

  read(block: Uint8Array): string {
    const bytes = Buffer.from(block);
    assert.ok(this.#decoder.decode(bytes, 0, bytes.length));
    const fields = this.#decoder.fields.slice(0, this.#decoder.count);
    return fields.map(({ name, value }) => `${name}=${value}`).join(" ");
  }
}

const head = ":status=200 content-type=application/grpc";

test("answers repeat their two fields by index", () => {
  const blocks = new ResponseBlocks(usual);
  const peer = new Reader();
  assert.equal(peer.read(blocks.headWith(200, failed)), `${head} grpc-status=5 grpc-message=no`);
  assert.equal(peer.read(blocks.head()), head);
  assert.equal(peer.read(blocks.trailersWith(failed)), "grpc-status=5 grpc-message=no");
  assert.equal(peer.read(blocks.trailers()), "grpc-status=0");
  assert.equal(blocks.head().length, 2);
  assert.equal(blocks.trailers().length, 1);
  for (let i = 0; i < 3; i++) {
    assert.equal(peer.read(blocks.head()), head);
    assert.equal(peer.read(blocks.trailers()), "grpc-status=0");
  }
  assert.equal(
    peer.read(blocks.headWith(415, failed)),
    ":status=415 content-type=application/grpc grpc-status=5 grpc-message=no",
  );
  assert.equal(peer.tableBytes, usual.tableBytes);
});

test("a smaller table of the peer is acknowledged and respected", () => {
  const rows = [
    { sizes: [65_536], tableBytes: usual.tableBytes, first: head, why: "growth needs no word" },
    { sizes: [usual.tableBytes], tableBytes: usual.tableBytes, first: head, why: "just enough" },
    { sizes: [usual.tableBytes - 1], tableBytes: 0, first: head, why: "too small for both" },
    { sizes: [0, 4096], tableBytes: 0, first: head, why: "the smallest counts" },
  ];
  for (const { sizes, tableBytes, first, why } of rows) {
    for (const settled of [false, true]) {
      const blocks = new ResponseBlocks(usual);
      const peer = new Reader();
      if (settled) for (const block of [blocks.head(), blocks.trailers()]) peer.read(block);
      for (const size of sizes) blocks.onTableSize(size);
      const update = Math.min(...sizes) < 4096;
      const block = blocks.head();
      assert.equal(((block[0] ?? 0) & 0xe0) === 0x20, update, `${why}: update`);
      assert.equal(peer.read(block), first, why);
      for (let i = 0; i < 2; i++) {
        assert.equal(peer.read(blocks.trailers()), "grpc-status=0", why);
        assert.equal(peer.read(blocks.head()), head, why);
      }
      assert.equal(peer.tableBytes, tableBytes, why);
    }
  }
});

test("the update precedes whichever block comes first", () => {
  const makers: readonly ((blocks: ResponseBlocks) => Uint8Array)[] = [
    (blocks) => blocks.trailers(),
    (blocks) => blocks.trailersWith(failed),
    (blocks) => blocks.headWith(200, failed),
  ];
  for (const make of makers) {
    const blocks = new ResponseBlocks(usual);
    blocks.onTableSize(0);
    assert.equal(make(blocks)[0], 0x20);
    assert.notEqual(make(blocks)[0], 0x20);
  }
});

test("Allowance: a burst, then the rate, never more than the burst", () => {
  const allowance = new Allowance({ burstMax: 10, perSecMax: 2 });
  for (let i = 0; i < 10; i++) assert.ok(allowance.take(1));
  allowance.refill(1000);
  assert.deepEqual([allowance.take(1), allowance.take(1), allowance.take(1)], [true, true, false]);
  allowance.earn(1000);
  assert.deepEqual([allowance.take(10), allowance.take(1)], [true, false]);
});

test("ByteBudget counts in its parent, and refuses without counting", () => {
  const parent = new ByteBudget(100);
  const one = new ByteBudget(80, parent);
  const other = new ByteBudget(80, parent);
  assert.ok(one.take(80));
  assert.ok(!one.take(1), "own maximum");
  assert.ok(!other.take(21), "the parent's maximum");
  assert.ok(other.take(20));
  one.give(80);
  assert.deepEqual([one.bytes, other.bytes, parent.bytes], [0, 20, 20]);
});
