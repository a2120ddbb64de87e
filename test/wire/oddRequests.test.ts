// Requests at the edge of the format, each with the status that a real etcd gives it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { encodeMessage } from "../support/messages.ts";
import { type RunningCluster, Server } from "../support/server.ts";
import { WireClient } from "../support/wireClient.ts";

interface Row {
  readonly why: string;
  readonly method: string;
  readonly bytes: Uint8Array;
  /** 0: the call succeeds. */
  readonly code: number;
  /** Undefined: the wording of the decoder is its own affair. */
  readonly text?: string;
  /** The release that brought this answer; earlier ones are not asked. */
  readonly since?: string;
  /** The release that ended it; that one and later ones are not asked. */
  readonly before?: string;
}

const key = Buffer.from("k");
const everything = { key, range_end: Buffer.from([0]) };
const range = "/etcdserverpb.KV/Range";
const put = "/etcdserverpb.KV/Put";
const txn = "/etcdserverpb.KV/Txn";
const invalidSort = { code: 3, text: "etcdserver: invalid sort option", since: "3.6" };

const rows: readonly Row[] = [
  {
    why: "an empty message",
    method: put,
    bytes: hex(""),
    code: 3,
    text: "etcdserver: key is not provided",
  },
  { why: "bytes cut short", method: put, bytes: hex("0a05"), code: 13 },
  { why: "a tag alone", method: put, bytes: hex("0a"), code: 13 },
  { why: "wrong wire type", method: put, bytes: hex("0801"), code: 13 },
  {
    why: "varint of 11 bytes",
    method: range,
    bytes: hex("0a016b18ffffffffffffffffffff01"),
    code: 13,
  },
  { why: "field number 0", method: range, bytes: hex("0a016b0001"), code: 13 },
  { why: "wire type 7", method: range, bytes: hex("0a016b0f"), code: 13 },
  { why: "a group that does not end", method: range, bytes: hex("0a016b8b01"), code: 13 },
  { why: "the end of no group", method: range, bytes: hex("0a016b8c01"), code: 13 },
  { why: "an unknown group is skipped", method: range, bytes: hex("0a016b8b018c01"), code: 0 },
  { why: "a bool of 2 is true", method: range, bytes: hex("0a016b4802"), code: 0 },
  {
    why: "unknown method",
    method: "/etcdserverpb.KV/Nope",
    bytes: hex(""),
    code: 12,
    text: "unknown method Nope for service etcdserverpb.KV",
  },
  {
    why: "unknown service",
    method: "/no.Such/Nope",
    bytes: hex(""),
    code: 12,
    text: "unknown service no.Such",
  },
  {
    why: "a value above max-request-bytes",
    method: put,
    bytes: putOf(1_600_000),
    code: 3,
    text: "etcdserver: request is too large",
  },
  { why: "a value just below it", method: put, bytes: putOf(1_572_864 - 100), code: 0 },
  {
    why: "a message above the transport's limit",
    method: put,
    bytes: putOf(2_200_000),
    code: 8,
    text: "grpc: received message larger than max (2200008 vs. 2097152)",
  },
  { why: "txns nested 100 deep", method: txn, bytes: nestedTxn(100), code: 0 },
  {
    why: "txns nested 10,000 deep",
    method: txn,
    bytes: nestedTxn(10_000),
    code: 3,
    text: "etcdserver: too many operations in txn request",
  },
  {
    why: "unknown sort order is none",
    method: range,
    bytes: encodeMessage("RangeRequest", { ...everything, sort_order: 3 }),
    code: 0,
    before: "3.6",
  },
  {
    why: "negative sort order is none",
    method: range,
    bytes: encodeMessage("RangeRequest", { ...everything, sort_order: -1 }),
    code: 0,
    before: "3.6",
  },
  {
    why: "unknown sort target",
    method: range,
    bytes: encodeMessage("RangeRequest", { ...everything, sort_target: 9 }),
    ...invalidSort,
  },
];

test("Quorlet answers odd requests as listed, on every member", async () => {
  await using server = await Server.start({ members: 3 });
  for (const endpoint of server.endpoints) await askAll(server, endpoint, rows);
});

const binary = findEtcd();
test("a real etcd answers them as listed", { skip: binary ? false : noEtcdReason }, async () => {
  assert.ok(binary);
  await using etcd = await Etcd.start({ binary, flags: ["--unsafe-no-fsync"] });
  const { version } = binary;
  const known = rows.filter(
    ({ since = version, before }) => since <= version && (before === undefined || version < before),
  );
  await askAll(etcd, etcd.endpoints[0] ?? "", known);
});

async function askAll(cluster: RunningCluster, endpoint: string, list: readonly Row[]) {
  const client = new WireClient(endpoint);
  try {
    for (const { why, method, bytes, code, text } of list) {
      const answer = await client.call(method, bytes);
      const got = answer.kind === "ok" ? { code: 0, text: "" } : answer;
      assert.equal(got.code, code, `${cluster.name}, ${why}: ${got.text}`);
      if (text !== undefined) assert.equal(got.text, text, `${cluster.name}, ${why}`);
    }
  } finally {
    client.close();
  }
}

function hex(text: string): Uint8Array {
  return Buffer.from(text, "hex");
}

function putOf(valueBytes: number): Uint8Array {
  return encodeMessage("PutRequest", { key, value: Buffer.alloc(valueBytes) });
}

/** Written by hand: builders of messages refuse such depths themselves. */
function nestedTxn(depth: number): Uint8Array {
  let message: Uint8Array = new Uint8Array(0);
  for (let level = 0; level < depth; level++) message = field(2, field(4, message));
  return message;
}

function field(number: number, body: Uint8Array): Uint8Array {
  const size: number[] = [];
  let rest = body.length;
  for (; rest > 0x7f; rest >>>= 7) size.push((rest & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([number * 8 + 2, ...size, rest]), body]);
}
