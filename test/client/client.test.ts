// The typed client: what it asks, byte for byte, and what it makes of answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LeaseId } from "../../src/base/brand.ts";
import { type EtcdError, StatusCode } from "../../src/base/errors.ts";
import type { CallOptions, Channel, ClientStream } from "../../src/client/channel.ts";
import { Client } from "../../src/client/client.ts";
import { prefixEnd } from "../../src/client/requests.ts";
import { compare, op } from "../../src/client/txn.ts";
import { encodeMemberListResponse } from "../../src/proto/clusterCodec.ts";
import {
  decodeCompactionRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRangeRequest,
  decodeTxnRequest,
} from "../../src/proto/decodeRequests.ts";
import {
  encodeCompactionResponse,
  encodeDeleteRangeResponse,
  encodeHeaderIds,
  encodePutResponse,
  encodeRangeResponse,
  encodeTxnResponse,
} from "../../src/proto/encodeResponses.ts";
import { encodeKeyValue } from "../../src/proto/keyValue.ts";
import { encodeStatusResponse } from "../../src/proto/maintenanceCodec.ts";
import { Writer } from "../../src/proto/writer.ts";

const writer = new Writer();
const answerHeader = { ids: encodeHeaderIds(0xffff_ffff_ffff_fff0n, 7n), revision: 5, raftTerm: 3 };
const header = { clusterId: 0xffff_ffff_ffff_fff0n, memberId: 7n, revision: 5, term: 3 };
const row = encodeKeyValue({
  key: Buffer.from("k"),
  value: Buffer.from('{"a":1}'),
  createRevision: 2,
  modRevision: 4,
  version: 3,
  lease: LeaseId(-9n),
});

/** Notes what was asked and answers with `answer`, within a larger array as a batch would be. */
class FakeChannel implements Channel {
  path = "";
  message: Uint8Array = new Uint8Array();
  options: CallOptions = {};
  closed = false;
  readonly #answer: Uint8Array;

  constructor(answer: Uint8Array = new Uint8Array()) {
    this.#answer = Uint8Array.from(answer);
  }

  async unary(path: string, message: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    this.path = path;
    this.message = Uint8Array.from(message);
    this.options = options;
    const batch = new Uint8Array(10_000);
    batch.set(this.#answer, 100);
    return batch.subarray(100, 100 + this.#answer.length);
  }

  stream(): ClientStream {
    throw new Error("no stream was expected");
  }

  close(): void {
    this.closed = true;
  }
}

const utf8 = (value: unknown): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value;
/** The fields that are not zero, bytes as text. */
const told = (request: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(request)
      .map(([name, value]) => [name, utf8(value)])
      .filter(([, value]) => value !== "" && value !== 0 && value !== 0n && value !== false),
  );

test("ranges say which keys they mean", async () => {
  const rows = [
    { range: "a", want: { key: "a" } },
    { range: Uint8Array.of(0x61), want: { key: "a" } },
    { range: { prefix: "a/" }, want: { key: "a/", rangeEnd: "a0" } },
    { range: { prefix: Uint8Array.of(1, 255) }, want: { key: "\x01\xff", rangeEnd: "\x02" } },
    { range: { prefix: "" }, want: { key: "\0", rangeEnd: "\0" } },
    { range: { from: "a", to: "c" }, want: { key: "a", rangeEnd: "c" } },
    { range: { from: "a" }, want: { key: "a", rangeEnd: "\0" } },
    { range: { from: "" }, want: { key: "\0", rangeEnd: "\0" } },
    { range: { all: true }, want: { key: "\0", rangeEnd: "\0" } },
  ] as const;
  for (const { range, want } of rows) {
    const channel = new FakeChannel();
    const client = new Client(channel);
    await client.getAll(range);
    assert.equal(channel.path, "/etcdserverpb.KV/Range");
    assert.deepEqual(told(decodeRangeRequest(channel.message)), want);
    await client.delete(range);
    assert.equal(channel.path, "/etcdserverpb.KV/DeleteRange");
    assert.deepEqual(told(decodeDeleteRangeRequest(channel.message)), want);
  }
  assert.deepEqual([...prefixEnd(Uint8Array.of(255, 255))], [0], "no key comes after all of 0xff");
});

test("every option reaches its field", async () => {
  const channel = new FakeChannel();
  const client = new Client(channel);
  await client.getAll("k", {
    limit: 1,
    revision: 2,
    sortBy: "mod",
    order: "descend",
    serializable: true,
    keysOnly: true,
    countOnly: true,
    minModRevision: 3,
    maxModRevision: 4,
    minCreateRevision: 5,
    maxCreateRevision: 6,
    timeoutMs: 77,
  });
  assert.deepEqual(told(decodeRangeRequest(channel.message)), {
    key: "k",
    limit: 1,
    revision: 2,
    sortOrder: 2,
    sortTarget: 3,
    serializable: true,
    keysOnly: true,
    countOnly: true,
    minModRevision: 3,
    maxModRevision: 4,
    minCreateRevision: 5,
    maxCreateRevision: 6,
  });
  assert.equal(channel.options.timeoutMs, 77);
  await client.put("k", "ü", {
    lease: -1n,
    previous: true,
    ignoreValue: true,
    ignoreLease: true,
  });
  assert.equal(channel.path, "/etcdserverpb.KV/Put");
  assert.deepEqual(told(decodePutRequest(channel.message)), {
    key: "k",
    value: "\xc3\xbc",
    lease: -1n,
    prevKv: true,
    ignoreValue: true,
    ignoreLease: true,
  });
  await client.delete("k", { previous: true });
  assert.deepEqual(told(decodeDeleteRangeRequest(channel.message)), { key: "k", prevKv: true });
  await client.compact(9, { physical: true });
  assert.deepEqual(told(decodeCompactionRequest(channel.message)), { revision: 9, physical: true });
});

test("a pair is read with ease and keeps no batch alive", async () => {
  const answer = { kind: "range", revision: 5, rows: [row], more: true, count: 9 } as const;
  const client = new Client(new FakeChannel(encodeRangeResponse(writer, answerHeader, answer)));
  const pair = await client.get("k");
  assert.ok(pair);
  assert.deepEqual([pair.keyText(), pair.text(), pair.json()], ["k", '{"a":1}', { a: 1 }]);
  assert.deepEqual([pair.createRevision, pair.modRevision, pair.version], [2, 4, 3]);
  assert.equal(pair.lease, -9n);
  assert.ok(pair.value.buffer.byteLength < 200);
  const all = await client.getAll("k");
  assert.deepEqual([all.header, all.more, all.count, all.pairs.length], [header, true, 9, 1]);
});

test("a key that is not there is undefined", async () => {
  const answer = { kind: "range", revision: 5, rows: [], more: false, count: 0 } as const;
  const client = new Client(new FakeChannel(encodeRangeResponse(writer, answerHeader, answer)));
  assert.equal(await client.get("k"), undefined);
});

test("puts, deletes and compactions give header and previous pairs", async () => {
  const putAnswer = { kind: "put", revision: 5, prevRow: row } as const;
  const put = new Client(new FakeChannel(encodePutResponse(writer, answerHeader, putAnswer)));
  const putResult = await put.put("k", "v", { previous: true });
  assert.deepEqual([putResult.header, putResult.previous?.keyText()], [header, "k"]);
  const deletion = { kind: "deleteRange", revision: 5, deleted: 1, prevRows: [row] } as const;
  const deleting = new FakeChannel(encodeDeleteRangeResponse(writer, answerHeader, deletion));
  const deleted = await new Client(deleting).delete("k");
  assert.deepEqual([deleted.deleted, deleted.previous[0]?.keyText()], [1, "k"]);
  const compacting = new FakeChannel(encodeCompactionResponse(writer, answerHeader));
  assert.deepEqual(await new Client(compacting).compact(3), header);
});

test("a transaction is built, sent once and answered", async () => {
  const results = [
    { kind: "put", revision: 5, prevRow: undefined },
    { kind: "range", revision: 5, rows: [row], more: false, count: 1 },
  ] as const;
  const answer = { kind: "txn", revision: 5, succeeded: true, results } as const;
  const channel = new FakeChannel(encodeTxnResponse(writer, answerHeader, answer));
  const client = new Client(channel);
  const result = await client
    .txn()
    .if(compare("a").version("=", 0), compare("b").value("!=", "x"), compare("c").lease(">", 4n))
    .if(compare("d").modRevision("<", 9), compare("e").createRevision("=", 0))
    .then(op.put("k", "v"), op.get({ prefix: "p" }))
    .else(op.delete("k"), op.txn(client.txn().then(op.put("in", "ner"))))
    .commit();
  const request = decodeTxnRequest(channel.message);
  assert.ok("compare" in request);
  assert.deepEqual(
    request.compare.map((row) => [utf8(row.key), row.target, row.result, row.operand?.kind]),
    [
      ["a", 0, 0, "version"],
      ["b", 3, 3, "value"],
      ["c", 4, 1, "lease"],
      ["d", 2, 2, "mod"],
      ["e", 1, 0, "create"],
    ],
  );
  assert.deepEqual(
    [request.success, request.failure].map((ops) => ops.map(({ kind }) => kind)),
    [
      ["put", "range"],
      ["deleteRange", "txn"],
    ],
  );
  assert.equal(result.succeeded, true);
  const [first, second] = result.results;
  assert.equal(first?.kind, "put");
  assert.equal(second?.kind === "range" && second.pairs[0]?.text(), '{"a":1}');
});

test("awaiting a transaction that was not committed is told, not hung", async () => {
  // Unknown, as the compiler refuses what this is about.
  const txn: unknown = new Client(new FakeChannel()).txn();
  await assert.rejects(async () => txn, /sent by commit/);
});

test("the cluster is described", async () => {
  const members = [
    {
      id: 2n ** 63n,
      name: "one",
      peerUrls: ["http://p"],
      clientUrls: ["http://c"],
      isLearner: true,
    },
  ];
  const list = new FakeChannel(encodeMemberListResponse(writer, answerHeader, { members }));
  assert.deepEqual(await new Client(list).memberList(), { header, members });
  assert.deepEqual([...list.message], [8, 1], "linearizable");
  const answer = {
    version: "3.5.0",
    leader: 2n ** 63n,
    raftIndex: 11,
    raftTerm: 3,
    raftAppliedIndex: 10,
    dbSizeBytes: 100,
    dbSizeInUseBytes: 50,
    errors: ["bad"],
    isLearner: false,
  };
  const status = new FakeChannel(encodeStatusResponse(writer, answerHeader, answer));
  assert.deepEqual(await new Client(status).status(), { header, ...answer });
});

test("an answer that does not parse fails the call; close reaches the channel", async () => {
  const channel = new FakeChannel(Uint8Array.of(0x0a, 0xff));
  const client = new Client(channel);
  await assert.rejects(client.get("k"), (error: EtcdError) => error.code === StatusCode.internal);
  client.close();
  assert.ok(channel.closed);
});
