// Frames: what goes in comes out, and nothing hostile gets past the checks.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { pack } from "msgpackr";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import type { Message } from "../../src/raft/message.ts";
import { type Entry, EntryKind } from "../../src/raft/types.ts";
import {
  decodeFrame,
  FrameKind,
  type FrameLimits,
  FrameWriter,
  frameKind,
} from "../../src/transport/frame.ts";

const from = MemberId(0xffff_ffff_ffff_ffffn);
const to = MemberId(1n);
const large = Number.MAX_SAFE_INTEGER;

const counter = fc.oneof(fc.nat(300), fc.nat(2 ** 31 - 1), fc.maxSafeNat());
const term = counter.map(Term);
const index = counter.map(LogIndex);
const data = fc.uint8Array({ maxLength: 600 });
const ids = fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(MemberId), { maxLength: 5 });
const kind = fc.constantFrom(EntryKind.normal, EntryKind.barrier, EntryKind.membership);

const entriesAfter = (prevIndex: LogIndex): fc.Arbitrary<Entry[]> =>
  fc
    .array(fc.record({ term: fc.nat(3).map(Term), kind, data }), { maxLength: 20 })
    .map((rows) => rows.map((row, i) => ({ ...row, index: LogIndex(prevIndex + 1 + i) })));

const append: fc.Arbitrary<Message> = fc
  .record({ prevIndex: fc.nat(2 ** 31).map(LogIndex), term, prevTerm: term, commit: index })
  .chain((head) =>
    entriesAfter(head.prevIndex).map((entries) => ({ kind: "append", from, to, ...head, entries })),
  );

const envelope = { from: fc.constant(from), to: fc.constant(to), term };
const bool = fc.boolean();
const anyMessage: fc.Arbitrary<Message> = fc.oneof(
  append,
  fc.record({
    kind: fc.constant("appendReply" as const),
    ...envelope,
    rejected: bool,
    index,
    hintIndex: index,
    hintTerm: term,
  }),
  fc.record({
    kind: fc.constant("heartbeat" as const),
    ...envelope,
    commit: index,
    readId: counter,
  }),
  fc.record({ kind: fc.constant("heartbeatReply" as const), ...envelope, readId: counter }),
  fc.record({
    kind: fc.constant("vote" as const),
    ...envelope,
    pre: bool,
    lastIndex: index,
    lastTerm: term,
    transfer: bool,
  }),
  fc.record({ kind: fc.constant("voteReply" as const), ...envelope, pre: bool, granted: bool }),
  fc.record({
    kind: fc.constant("forward" as const),
    ...envelope,
    datas: fc.array(data, { maxLength: 8 }),
  }),
  fc.record({ kind: fc.constant("readIndex" as const), ...envelope, requestId: counter }),
  fc.record({
    kind: fc.constant("readIndexReply" as const),
    ...envelope,
    requestId: counter,
    index,
  }),
  fc.record({ kind: fc.constant("timeoutNow" as const), ...envelope }),
  fc.record({
    kind: fc.constant("snapshot" as const),
    ...envelope,
    meta: fc.record({
      index,
      term,
      membership: fc.record({ voters: ids, outgoing: ids, learners: ids }),
    }),
  }),
);

function frameOf(messages: readonly Message[], limits?: FrameLimits): Uint8Array {
  const writer = new FrameWriter(limits);
  for (const message of messages) assert.ok(writer.add(message));
  return writer.finish();
}

test("every message comes out as it went in, in order", () => {
  fc.assert(
    fc.property(fc.array(anyMessage, { maxLength: 6 }), (messages) => {
      const decoded = decodeFrame({ from, to, bytes: frameOf(messages) });
      assert.deepEqual(plain(decoded), plain({ kind: "messages", messages }));
    }),
    { numRuns: 300 },
  );
});

// Buffers and plain arrays of the same bytes are the same to us.
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString("hex")}`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
}

test("no damaged frame throws, and none gives more than it holds", () => {
  const change = fc.record({ at: fc.nat(), byte: fc.nat(255) });
  fc.assert(
    fc.property(
      fc.array(anyMessage, { maxLength: 4 }),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.nat(),
      (messages, changes, cut) => {
        const bytes = frameOf(messages);
        for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
        decodeFrame({ from, to, bytes });
        const short = decodeFrame({
          from,
          to,
          bytes: frameOf(messages).subarray(0, -1 - (cut % 5)),
        });
        assert.equal(short.kind, "bad");
      },
    ),
    { numRuns: 500 },
  );
});

/** A frame around any header bytes. */
function rawFrame(header: Uint8Array, options: { claimedBytes?: number; payload?: number[] } = {}) {
  const prefix = Buffer.from([1, FrameKind.raft, 0, 0, 0, 0]);
  prefix.writeUInt32LE(options.claimedBytes ?? header.length, 2);
  return Buffer.concat([prefix, header, Buffer.from(options.payload ?? [])]);
}
const packed = (...numbers: readonly unknown[]): Uint8Array => Buffer.from(pack(numbers));
const bytes = (...values: readonly number[]): Uint8Array => Buffer.from(values);

test("hostile headers are told apart by a reason", () => {
  const float64 = (value: number): Uint8Array => {
    const number = Buffer.from([0x92, 3, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0]);
    number.writeDoubleBE(value, 3);
    return number;
  };
  const rows = [
    { frame: bytes(), why: /version/, what: "nothing" },
    { frame: bytes(1, 1, 0), why: /version/, what: "less than a prefix" },
    { frame: bytes(2, 1, 1, 0, 0, 0, 0x90), why: /version/, what: "another version" },
    { frame: bytes(1, 9, 1, 0, 0, 0, 0x90), why: /version/, what: "an unknown lane" },
    { frame: bytes(1, 2, 1, 0, 0, 0, 0x90), why: /version/, what: "the bulk lane" },
    { frame: rawFrame(bytes(0x90), { claimedBytes: 0xffff_ffff }), why: /cut off/, what: "4 GiB" },
    { frame: rawFrame(bytes()), why: /not an array/, what: "no header" },
    { frame: rawFrame(bytes(0xdd, 0xff, 0xff, 0xff, 0xff)), why: /too many/, what: "2^32 numbers" },
    { frame: rawFrame(bytes(0xdd, 0, 1)), why: /cut off/, what: "half an array head" },
    { frame: rawFrame(bytes(0xdc, 0xff, 0xff)), why: /cut off/, what: "65,535 numbers in 3 bytes" },
    { frame: rawFrame(bytes(0xdb, 0xff, 0xff, 0xff, 0xff)), why: /not an array/, what: "string" },
    {
      frame: rawFrame(bytes(0x91, 0xc6, 0xff, 0xff, 0xff, 0xff)),
      why: /type 0xc6/,
      what: "bin 32",
    },
    { frame: rawFrame(bytes(0x91, 0xd4, 0x70, 0)), why: /type 0xd4/, what: "extension 0x70" },
    { frame: rawFrame(bytes(0xd4, 0x72, 0x40)), why: /not an array/, what: "record definition" },
    { frame: rawFrame(bytes(0x91, 0x82, 1, 1, 2, 2)), why: /type 0x82/, what: "a map" },
    { frame: rawFrame(bytes(0x91, 0xcf, 0, 0, 0, 0, 0, 0, 0, 1)), why: /0xcf/, what: "a bigint" },
    { frame: rawFrame(Buffer.alloc(100_000, 0x91)), why: /type 0x91/, what: "depth 100,000" },
    { frame: rawFrame(packed(10, -1)), why: /type 0xff/, what: "a negative term" },
    { frame: rawFrame(packed(10, -70_000)), why: /type 0xd2/, what: "a very negative term" },
    { frame: rawFrame(packed(10, 2 ** 53)), why: /no counter/, what: "term 2^53" },
    { frame: rawFrame(float64(Number.NaN)), why: /no counter/, what: "not a number" },
    { frame: rawFrame(float64(-0)), why: /no counter/, what: "minus zero" },
    { frame: rawFrame(packed(10, 1.5)), why: /no counter/, what: "a fraction" },
    {
      frame: rawFrame(bytes(0x92, 10, 1, 0)),
      why: /after its end/,
      what: "bytes after the header",
    },
  ];
  refuseAll(rows);
});

test("hostile messages are told apart by a reason", () => {
  const append = (...rest: readonly number[]): Uint8Array => packed(1, 5, 10, 5, 10, ...rest);
  const rows = [
    { frame: rawFrame(packed(10, 1), { payload: [7] }), why: /after its end/, what: "a tail" },
    { frame: rawFrame(packed(0, 1)), why: /unknown message kind 0/, what: "kind 0" },
    { frame: rawFrame(packed(12, 1)), why: /unknown message kind 12/, what: "a kind of tomorrow" },
    { frame: rawFrame(packed(3, 1, 5)), why: /cut off/, what: "half a heartbeat" },
    { frame: rawFrame(packed(6, 1, 2, 0)), why: /flag/, what: "a flag of 2" },
    {
      frame: rawFrame(append(1, 1, 5, 3, 1, 1), { payload: [0] }),
      why: /kind 3/,
      what: "entry kind",
    },
    { frame: rawFrame(append(2, 1, 5, 0, 3, 1)), why: /payload is cut/, what: "no payload" },
    { frame: rawFrame(append(1, 0, 5, 0, 0)), why: /run/, what: "an empty run" },
    { frame: rawFrame(append(1, 0, 5, 0, 2, 0, 0)), why: /run/, what: "a run too long" },
    { frame: rawFrame(append(large, 0)), why: /too many entries/, what: "2^53 entries" },
    { frame: rawFrame(append(1, large, 5, 0, 1, 1)), why: /payload is cut/, what: "2^53 bytes" },
    {
      frame: rawFrame(append(1, 2, 5, 0, 1, 1), { payload: [1, 2] }),
      why: /differ/,
      what: "an entry shorter than the payload",
    },
    {
      frame: rawFrame(packed(1, 5, large, 5, 1, 1, 0, 5, 0, 1, 0)),
      why: /index/,
      what: "index 2^53",
    },
    {
      frame: rawFrame(packed(11, 5, 1, 1, 60_000, 60_000, 0)),
      why: /too many/,
      what: "120,000 ids",
    },
  ];
  refuseAll(rows);
});

function refuseAll(rows: readonly { frame: Uint8Array; why: RegExp; what: string }[]): void {
  for (const { frame, why, what } of rows) {
    const before = process.memoryUsage().arrayBuffers;
    const decoded = decodeFrame({ from, to, bytes: frame });
    assert.equal(decoded.kind, "bad", what);
    assert.match(decoded.kind === "bad" ? decoded.why : "", why, what);
    assert.ok(process.memoryUsage().arrayBuffers - before < 10_000_000, `${what}: big memory`);
  }
}

const heartbeat: Message = {
  kind: "heartbeat",
  from,
  to,
  term: Term(1),
  commit: LogIndex(2),
  readId: 3,
};
const forward = (...lengths: readonly number[]): Message => ({
  kind: "forward",
  from,
  to,
  term: Term(0),
  datas: lengths.map((length) => new Uint8Array(length)),
});

test("a full frame takes no more, stays whole, and the next one does", () => {
  const limits = { frameBytesMax: 1_000, messagesMax: 3, entriesMax: 4 };
  const rows = [
    { held: [heartbeat, heartbeat, heartbeat], next: heartbeat, why: "messagesMax" },
    { held: [forward(1, 1, 1)], next: forward(1, 1), why: "entriesMax" },
    { held: [forward(600)], next: forward(600), why: "frameBytesMax" },
  ];
  for (const { held, next, why } of rows) {
    const writer = new FrameWriter(limits);
    for (const message of held) assert.equal(writer.add(message), true, why);
    assert.equal(writer.add(next), false, why);
    const first = decodeFrame({ from, to, bytes: writer.finish() }, limits);
    assert.equal(first.kind === "messages" && first.messages.length, held.length, why);
    assert.equal(writer.add(next), true, why);
    assert.equal(writer.count, 1, why);
  }
  assert.throws(() => new FrameWriter(limits).add(forward(2_000)), /larger than a frame/);
});

test("a receiver keeps the same limits", () => {
  const limits = { frameBytesMax: 1_000, messagesMax: 3, entriesMax: 4 };
  const rows = [
    { frame: frameOf([heartbeat, heartbeat, heartbeat, heartbeat]), why: /too many messages/ },
    { frame: frameOf([forward(1, 1, 1), forward(1, 1)]), why: /too many entries/ },
    { frame: frameOf([forward(1_000)]), why: /too large/ },
  ];
  for (const { frame, why } of rows) {
    const decoded = decodeFrame({ from, to, bytes: frame }, limits);
    assert.match(decoded.kind === "bad" ? decoded.why : "", why);
  }
});

test("a frame owns its memory and an entry never pins a much larger frame", () => {
  const frame = frameOf([forward(100_000), forward(300), forward(50_000)]);
  assert.equal(frame.byteLength, frame.buffer.byteLength, "transferable");
  assert.equal(frameKind(frame), FrameKind.raft);
  const decoded = decodeFrame({ from, to, bytes: frame });
  assert.ok(decoded.kind === "messages");
  const datas = decoded.messages.map((m) => (m.kind === "forward" ? m.datas[0] : undefined));
  assert.equal(datas[0]?.buffer, frame.buffer, "most of the frame: a view");
  assert.equal(datas[1]?.buffer.byteLength, 300, "a small part: a copy");
});
