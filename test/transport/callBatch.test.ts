// Batches of calls and answers: plain msgpack, and nothing else is taken.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { pack, unpackMultiple } from "msgpackr";
import type { StatusCode } from "../../src/base/errors.ts";
import {
  type AnswerVisitor,
  BatchWriter,
  type CallVisitor,
  readAnswers,
  readCalls,
} from "../../src/transport/callBatch.ts";

const copied = (value: unknown): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value;

/** Notes every record as its name and fields. */
function recorder(): { readonly seen: unknown[]; readonly visitor: CallVisitor & AnswerVisitor } {
  const seen: unknown[] = [];
  const note =
    (name: string) =>
    (...fields: readonly unknown[]): void =>
      void seen.push([name, ...fields.map(copied)]);
  const visitor = {
    onDefine: note("define"),
    onCall: note("call"),
    onCancel: note("cancel"),
    onHeader: note("header"),
    onOpen: note("open"),
    onMessage: note("message"),
    onHalfClose: note("end"),
    onCredit: note("credit"),
    onPart: note("part"),
    onAnswer: note("answer"),
    onFailure: note("failure"),
    onLeader: note("leader"),
    onEnd: note("end"),
  };
  return { seen, visitor };
}

const message = Uint8Array.of(1, 2, 3);
const u32 = 0xffff_ffff;
const calls = [
  { write: (w: BatchWriter) => w.define(3, "/a.B/ü"), want: [1, 3, "/a.B/ü"], name: "define" },
  {
    write: (w: BatchWriter) => w.call({ id: u32, method: 200, timeoutMs: 30_000 }, message),
    want: [2, u32, 200, 30_000, message],
    name: "call",
  },
  { write: (w: BatchWriter) => w.cancel(127), want: [3, 127], name: "cancel" },
  { write: (w: BatchWriter) => w.header("token", "x"), want: [7, "token", "x"], name: "header" },
  {
    write: (w: BatchWriter) => w.open({ id: 128, method: 1, creditBytes: 1 << 20, flags: 1 }),
    want: [16, 128, 1, 1 << 20, 1],
    name: "open",
  },
  { write: (w: BatchWriter) => w.message(9, message), want: [17, 9, message], name: "message" },
  { write: (w: BatchWriter) => w.end(9), want: [18, 9], name: "end" },
  { write: (w: BatchWriter) => w.credit(9, 65_536), want: [19, 9, 65_536], name: "credit" },
];
const answers = [
  { write: (w: BatchWriter) => w.part(70_000, message), want: [8, 70_000, message], name: "part" },
  {
    write: (w: BatchWriter) => w.answer(70_000, message),
    want: [4, 70_000, message],
    name: "answer",
  },
  {
    write: (w: BatchWriter) => w.failure(1, { code: 14 as StatusCode, message: "gone ✗" }),
    want: [5, 1, 14, "gone ✗"],
    name: "failure",
  },
  {
    write: (w: BatchWriter) => w.leader({ leader: 2n ** 64n - 1n, term: 2 ** 40, self: 2n ** 33n }),
    want: [6, 2n ** 64n - 1n, 2n ** 40n, 2n ** 33n],
    name: "leader",
  },
  {
    write: (w: BatchWriter) => w.message(9, new Uint8Array()),
    want: [17, 9, new Uint8Array()],
    name: "message",
  },
  { write: (w: BatchWriter) => w.end(9), want: [18, 9], name: "end" },
];

const plain = (values: unknown): unknown => {
  if (Array.isArray(values)) return values.map(plain);
  if (values instanceof Uint8Array) return Buffer.from(values).toString("hex");
  return typeof values === "bigint" && values < 2n ** 53n ? Number(values) : values;
};

test("any msgpack library reads a batch", () => {
  for (const rows of [calls, answers]) {
    const writer = new BatchWriter();
    for (const { write } of rows) write(writer);
    assert.deepEqual(plain(unpackMultiple(writer.finish())), plain(rows.map(({ want }) => want)));
    assert.ok(writer.isEmpty);
  }
});

test("a batch of any msgpack library is read", () => {
  for (const [rows, read] of [
    [calls, readCalls],
    [answers, readAnswers],
  ] as const) {
    const [ours, theirs] = [recorder(), recorder()];
    const writer = new BatchWriter();
    for (const { write } of rows) write(writer);
    assert.equal(read(writer.finish(), ours.visitor), true);
    assert.deepEqual(
      ours.seen.map((record) => (record as unknown[])[0]),
      rows.map(({ name }) => name),
    );
    const foreign = Buffer.concat(rows.map(({ want }) => pack(want)));
    assert.equal(read(foreign, theirs.visitor), true);
    assert.deepEqual(theirs.seen, ours.seen);
  }
});

test("a large message is carried whole and costs the next batch nothing", () => {
  const writer = new BatchWriter();
  const large = new Uint8Array(3 << 20).fill(7);
  writer.answer(1, large);
  const { seen, visitor } = recorder();
  assert.ok(readAnswers(writer.finish(), visitor));
  assert.deepEqual(seen, [["answer", 1, Buffer.from(large).toString("hex")]]);
  writer.end(1);
  assert.equal(writer.finish().buffer.byteLength, 3);
});

test("what is no batch is refused, without reading past its end or taking what it claims", () => {
  const rows = [
    { hex: "c1", why: "a byte that msgpack does not use" },
    { hex: "94", why: "nothing after the head" },
    { hex: "930401", why: "a record cut off" },
    { hex: "930401c6ffffffff", why: "4 GiB in nine bytes" },
    { hex: "930401c7ff0001", why: "an extension for bytes" },
    { hex: "d470 01", why: "extension 0x70" },
    { hex: "d572400193a161a162", why: "a record definition" },
    { hex: "dd00000003 04 01 c400", why: "a long array head" },
    { hex: "ddffffffff", why: "an array of 4 G" },
    { hex: "92".repeat(100_000), why: "a hundred thousand levels" },
    { hex: "9304ff c400", why: "a negative id" },
    { hex: "9304cb3ff0000000000000 c400", why: "a float as id" },
    { hex: "9304cf0000000100000000 c400", why: "an id above 32 bits" },
    { hex: "930401a161", why: "text for bytes" },
    { hex: "940401c40000", why: "a field too many" },
    { hex: "9263 01", why: "an unknown kind" },
    { hex: "930401c40000", why: "a trailing byte" },
    { hex: "8104c0", why: "a map" },
  ];
  for (const { hex, why } of rows) {
    const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
    assert.equal(readAnswers(bytes, recorder().visitor), false, why);
    assert.equal(readCalls(bytes, recorder().visitor), false, why);
  }
});

test("random bytes do no harm", () => {
  const check = (bytes: Uint8Array): void => {
    for (const read of [readCalls, readAnswers]) {
      const { seen, visitor } = recorder();
      read(bytes, visitor);
      assert.ok(seen.length <= bytes.length);
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), check), { numRuns: 500 });
  const record = fc.tuple(
    fc.integer({ min: 0x91, max: 0x96 }),
    fc.integer({ min: 0, max: 20 }),
    fc.uint8Array(),
  );
  fc.assert(
    fc.property(fc.array(record), (records) =>
      check(Buffer.concat(records.map(([head, kind, rest]) => Buffer.from([head, kind, ...rest])))),
    ),
    { numRuns: 500 },
  );
});
