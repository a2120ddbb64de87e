// The Watch codecs against protobufjs, and against bytes written down by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LeaseId } from "../../src/base/brand.ts";
import { encodeHeaderIds } from "../../src/proto/encodeResponses.ts";
import { encodeKeyValue } from "../../src/proto/keyValue.ts";
import { Malformed } from "../../src/proto/reader.ts";
import type { WatchCreateRequest, WatchRequest } from "../../src/proto/watch.ts";
import {
  decodeWatchRequest,
  decodeWatchResponse,
  encodeEvent,
  encodeWatchRequest,
  encodeWatchResponse,
  writeWatchHead,
} from "../../src/proto/watchCodec.ts";
import { Writer } from "../../src/proto/writer.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";

const bytesArb = fc.uint8Array({ maxLength: 40 });
const int64Arb = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const idArb = fc.oneof(fc.integer({ min: -3, max: 300 }).map(BigInt), int64Arb);
const idOf = (id: bigint): number | bigint => (Number.isSafeInteger(Number(id)) ? Number(id) : id);
const createArb = fc.record({
  key: bytesArb,
  rangeEnd: bytesArb,
  startRevision: fc.maxSafeInteger(),
  progressNotify: fc.boolean(),
  filters: fc.uniqueArray(fc.nat(3), { maxLength: 3 }),
  prevKv: fc.boolean(),
  watchId: idArb,
  fragment: fc.boolean(),
});

test("requests: what protobufjs writes is read, and what clients write protobufjs reads", () => {
  fc.assert(
    fc.property(createArb, (fields) => {
      const create: WatchCreateRequest = { ...fields, watchId: idOf(fields.watchId) };
      const wire = encodeMessage("WatchRequest", {
        create_request: {
          key: fields.key,
          range_end: fields.rangeEnd,
          start_revision: fields.startRevision,
          progress_notify: fields.progressNotify,
          filters: fields.filters,
          prev_kv: fields.prevKv,
          watch_id: fields.watchId.toString(),
          fragment: fields.fragment,
        },
      });
      const want: WatchRequest = { kind: "create", create };
      assert.deepEqual(plain(decodeWatchRequest(wire)), plain(want));
      const ours = encodeWatchRequest(new Writer(), want);
      assert.deepEqual(
        plain(decodeMessage("WatchRequest", ours)),
        plain(decodeMessage("WatchRequest", wire)),
      );
      const cancel: WatchRequest = { kind: "cancel", watchId: create.watchId };
      const canceled = encodeMessage("WatchRequest", {
        cancel_request: { watch_id: fields.watchId.toString() },
      });
      assert.deepEqual(decodeWatchRequest(canceled), cancel);
      assert.deepEqual(
        decodeMessage("WatchRequest", encodeWatchRequest(new Writer(), cancel)),
        decodeMessage("WatchRequest", canceled),
      );
    }),
  );
});

test("requests by their bytes", () => {
  const empty = { kind: "create", create: { ...noCreate } };
  const rows: readonly { hex: string; want: unknown; why: string }[] = [
    { hex: "", want: { kind: "none" }, why: "nothing is set" },
    { hex: "1a00", want: { kind: "progress" }, why: "progress" },
    { hex: "0a00", want: empty, why: "create with nothing in it" },
    { hex: "12020800", want: { kind: "cancel", watchId: 0 }, why: "cancel of id 0" },
    {
      hex: "120b08ffffffffffffffffff01",
      want: { kind: "cancel", watchId: -1 },
      why: "a negative id",
    },
    { hex: "120c0801", want: undefined, why: "a length beyond the end" },
    {
      hex: "0a042a020001",
      want: { kind: "create", create: { ...noCreate, filters: [0, 1] } },
      why: "packed filters",
    },
    {
      hex: "0a0428002801",
      want: { kind: "create", create: { ...noCreate, filters: [0, 1] } },
      why: "filters one by one",
    },
    { hex: "0a00120208071a00", want: { kind: "progress" }, why: "the last of a oneof counts" },
    { hex: "22020801", want: { kind: "none" }, why: "an unknown field" },
    { hex: "0a0308", want: undefined, why: "cut off" },
    { hex: "0800", want: undefined, why: "a known field with another wire type" },
  ];
  for (const { hex, want, why } of rows) {
    const got = decodeWatchRequest(Buffer.from(hex, "hex"));
    if (want === undefined) assert.ok(got instanceof Malformed, why);
    else assert.deepEqual(plain(got), plain(want), why);
  }
});

test("a million repeated filters keep no memory", () => {
  const filters = Buffer.alloc(1_000_000, 1);
  const packed = Buffer.concat([Buffer.from([0x2a]), varint(filters.length), filters]);
  const request = decodeWatchRequest(
    Buffer.concat([Buffer.from([0x0a]), varint(packed.length), packed]),
  );
  assert.ok(!(request instanceof Malformed) && request.kind === "create", "it is a create");
  assert.deepEqual(request.create.filters, [1]);
});

test("answers: head and shared events read as one message, whatever stood there before", () => {
  const pair = (value: string) => ({
    key: Buffer.from("k"),
    createRevision: 3,
    modRevision: 300,
    version: 2,
    value: Buffer.from(value),
    lease: LeaseId(-5n),
  });
  const [row, prev] = [encodeKeyValue(pair("v".repeat(200))), encodeKeyValue(pair("old"))];
  const events = [
    encodeEvent("put", row, undefined),
    encodeEvent("put", row, prev),
    encodeEvent("delete", encodeKeyValue({ ...pair(""), version: 0, createRevision: 0 }), prev),
  ];
  const writer = new Writer();
  for (const event of events.toReversed()) writer.raw(event);
  const mark = writer.mark();
  const header = { ids: encodeHeaderIds(7n, 2n ** 64n - 1n), revision: 301, raftTerm: 4 };
  for (const watchId of [0, 5, -1, 2 ** 40, -(2n ** 63n), 2n ** 63n - 1n]) {
    writer.rewind(mark);
    writeWatchHead(writer, header, { ...plainHead, watchId, fragment: watchId === 5 });
    const bytes = Buffer.from(writer.view());
    const theirs = decodeMessage("WatchResponse", bytes) as { events: { type?: number }[] };
    assert.equal(theirs.events.length, 3, "events");
    assert.equal(theirs.events[2]?.type, 1, "a delete");
    const ours = decodeWatchResponse(bytes);
    assert.ok(!(ours instanceof Malformed), "it is an answer");
    assert.equal(ours.watchId, watchId);
    assert.equal(ours.fragment, watchId === 5);
    assert.equal(ours.header.memberId, 2n ** 64n - 1n);
    assert.deepEqual(
      ours.events.map((event) => event.type),
      [0, 0, 1],
    );
    assert.deepEqual(
      ours.events.map((event) => event.prevKv !== undefined),
      [false, true, true],
    );
    assert.equal(ours.events[1]?.kv?.lease, -5n);
  }
});

test("answers without events by their bytes", () => {
  const header = { ids: encodeHeaderIds(1n, 2n), revision: 9, raftTerm: 3 };
  const nine = "0a080801100218092003";
  const rows = [
    { head: { created: true }, hex: `${nine}1801` },
    { head: { canceled: true, watchId: 4 }, hex: `${nine}10042001` },
    {
      head: { canceled: true, compactRevision: 300, watchId: 1 },
      hex: `${nine}1001200128ac02`,
    },
    {
      head: { created: true, canceled: true, watchId: -1, cancelReason: "no" },
      hex: `${nine}10ffffffffffffffffff011801200132026e6f`,
    },
  ];
  for (const { head, hex } of rows) {
    const bytes = encodeWatchResponse(new Writer(), header, { ...plainHead, ...head });
    assert.equal(Buffer.from(bytes).toString("hex"), hex, JSON.stringify(head));
  }
});

const plainHead = {
  watchId: 0,
  created: false,
  canceled: false,
  compactRevision: 0,
  cancelReason: "",
  fragment: false,
};
const noCreate: WatchCreateRequest = {
  key: new Uint8Array(0),
  rangeEnd: new Uint8Array(0),
  startRevision: 0,
  progressNotify: false,
  filters: [],
  prevKv: false,
  watchId: 0,
  fragment: false,
};

/** Byte strings as hex, so that views and copies compare. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, field: unknown) => {
      if (typeof field === "bigint") return `${field}n`;
      // Buffers come here as what their toJSON made of them.
      if (isBufferJson(field)) return Buffer.from(field.data).toString("hex");
      return field instanceof Uint8Array ? Buffer.from(field).toString("hex") : field;
    }),
  );
}

function isBufferJson(field: unknown): field is { data: number[] } {
  return typeof field === "object" && field !== null && "type" in field && field.type === "Buffer";
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
