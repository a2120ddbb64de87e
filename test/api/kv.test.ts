// The KV methods over a fake member: who is asked, with which bytes, and what the caller is told.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Headers } from "../../src/api/header.ts";
import { KvService } from "../../src/api/kv.ts";
import { CommandKind } from "../../src/apply/command.ts";
import type { Outcome } from "../../src/apply/outcome.ts";
import { noLease, Revision, Term } from "../../src/base/brand.ts";
import {
  EtcdError,
  errCanceled,
  errCompacted,
  errDuplicateKey,
  errEmptyKey,
  errFutureRevision,
  errKeyNotFound,
  errNoLeader,
  errRequestTooLarge,
  errStopped,
  errTimeout,
  errTooManyOps,
  StatusCode,
} from "../../src/base/errors.ts";
import { bindMethods } from "../../src/grpc/bind.ts";
import type { ReadCompletion } from "../../src/member/service.ts";
import { encodeKeyValue } from "../../src/proto/keyValue.ts";
import { Writer } from "../../src/proto/writer.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import { emptyRange, emptyTxn, FakeCall, FakeMember } from "./fakeMember.ts";

const utf8 = (text: string): Buffer => Buffer.from(text);
const header = { cluster_id: "17293822569102704641", member_id: "9223372036854775810" };
const key = utf8("k");
const row = encodeKeyValue({
  key,
  createRevision: 2,
  modRevision: 3,
  version: 2,
  value: utf8("old"),
  lease: noLease,
});
const pair = {
  key,
  create_revision: "2",
  mod_revision: "3",
  version: "2",
  value: utf8("old"),
};

test("a write enters the log as the caller's own bytes, unknown fields and all", () => {
  const rows = [
    { method: "Put", kind: CommandKind.put, message: encodeMessage("PutRequest", { key }) },
    {
      method: "DeleteRange",
      kind: CommandKind.deleteRange,
      message: encodeMessage("DeleteRangeRequest", { key }),
    },
    { method: "Txn", kind: CommandKind.txn, message: encodeMessage("TxnRequest", putTxn()) },
    { method: "Compact", kind: CommandKind.compact, message: new Uint8Array(0) },
  ];
  for (const { method, kind, message } of rows) {
    const unknownField = Buffer.from("c03e05", "hex");
    const bytes = Buffer.concat([message, unknownField]);
    const { member, call } = run(method, bytes);
    const [proposed] = member.proposed;
    assert.equal(proposed?.kind, kind, method);
    assert.deepEqual(proposed.body, bytes, method);
    assert.deepEqual(call.answers, [], `${method} waits for the outcome`);
  }
});

test("outcomes become answers with the header of now", () => {
  const rows: readonly { method: string; outcome: Outcome; want: object }[] = [
    {
      method: "Put",
      outcome: { kind: "put", revision: Revision(12), prevRow: undefined },
      want: { header: { ...header, revision: "12", raft_term: "8" } },
    },
    {
      method: "Put",
      outcome: { kind: "put", revision: Revision(12), prevRow: row },
      want: { header: { ...header, revision: "12", raft_term: "8" }, prev_kv: pair },
    },
    {
      method: "DeleteRange",
      outcome: { kind: "deleteRange", revision: Revision(13), deleted: 1, prevRows: [row] },
      want: {
        header: { ...header, revision: "13", raft_term: "8" },
        deleted: "1",
        prev_kvs: [pair],
      },
    },
    {
      method: "Txn",
      outcome: {
        kind: "txn",
        revision: Revision(14),
        succeeded: true,
        results: [{ kind: "put", revision: Revision(14), prevRow: undefined }],
      },
      want: {
        header: { ...header, revision: "14", raft_term: "8" },
        succeeded: true,
        responses: [{ response_put: { header: { revision: "14" } } }],
      },
    },
  ];
  for (const { method, outcome, want } of rows) {
    const { member, call } = run(method, requestOf(method));
    // The term may move while the command is on its way: the answer tells the latest.
    member.term = Term(8);
    member.proposed[0]?.completion.onOutcome(outcome);
    assert.deepEqual(answerOf(call, `${method}Response`), want, method);
  }
});

test("refusals reach the caller as they are", () => {
  for (const method of ["Put", "DeleteRange", "Txn", "Compact"]) {
    const applied = run(method, requestOf(method));
    const error = errFutureRevision;
    applied.member.proposed[0]?.completion.onOutcome({ kind: "refused", error });
    assert.deepEqual(applied.call.answers, [errFutureRevision], method);
    const lost = run(method, requestOf(method));
    lost.member.proposed[0]?.completion.onRefused(errTimeout);
    assert.deepEqual(lost.call.answers, [errTimeout], method);
  }
});

test("what a check refuses is neither proposed nor read", () => {
  const large = Buffer.alloc(1_572_864);
  const rows = [
    { method: "Put", fields: {}, want: errEmptyKey, why: "no key" },
    { method: "Put", fields: { key, value: large }, want: errRequestTooLarge, why: "too large" },
    { method: "Put", fields: { value: large }, want: errEmptyKey, why: "size comes last" },
    { method: "DeleteRange", fields: {}, want: errEmptyKey, why: "no key" },
    { method: "DeleteRange", fields: { key: large }, want: errRequestTooLarge, why: "too large" },
    { method: "Range", fields: {}, want: errEmptyKey, why: "no key" },
    { method: "Range", fields: { serializable: true }, want: errEmptyKey, why: "no key" },
    { method: "Txn", fields: { success: [{}] }, want: errKeyNotFound, why: "an empty op" },
    { method: "Txn", fields: putTxn(large), want: errRequestTooLarge, why: "too large" },
    {
      method: "Txn",
      fields: { success: [{ request_put: { key } }, { request_put: { key } }] },
      want: errDuplicateKey,
      why: "put twice",
    },
    {
      method: "Txn",
      fields: { success: [{ request_range: {} }] },
      want: errEmptyKey,
      why: "reads are checked too",
    },
  ];
  for (const { method, fields, want, why } of rows) {
    const { member, call } = run(method, encodeMessage(`${method}Request`, fields));
    assert.deepEqual(call.answers, [want], `${method}: ${why}`);
    assert.equal(member.proposed.length + member.reads.length + member.ranges.length, 0, method);
  }
});

test("a compaction padded with unknown fields is too large like any other request", () => {
  for (const physical of ["1000", "1001"]) {
    const padding = Buffer.concat([
      Buffer.from(`${physical}d23e80d45f`, "hex"),
      Buffer.alloc(1_567_232),
    ]);
    const { member, call } = run("Compact", Buffer.concat([padding, padding.subarray(2)]));
    assert.deepEqual(call.answers, [errRequestTooLarge]);
    assert.equal(member.proposed.length, 0);
  }
});

test("malformed requests are refused with INTERNAL, whatever the method", () => {
  for (const method of ["Range", "Put", "DeleteRange", "Txn", "Compact"]) {
    const { call } = run(method, Buffer.from("0a05", "hex"));
    const [error] = call.answers;
    assert.ok(error instanceof EtcdError, method);
    assert.equal(error.code, StatusCode.internal);
    assert.match(error.message, /^grpc: error unmarshalling request: /);
  }
});

test("a txn nested beyond measure has too many operations", () => {
  let message: Buffer = Buffer.alloc(0);
  for (let depth = 0; depth < 2000; depth++) message = within(0x12, within(0x22, message));
  assert.deepEqual(run("Txn", message).call.answers, [errTooManyOps]);
});

test("a serializable range is answered at once, another after the read index", () => {
  const message = encodeMessage("RangeRequest", { key, range_end: utf8("z"), limit: 3 });
  const local = run("Range", encodeMessage("RangeRequest", { key, serializable: true }));
  assert.equal(local.member.reads.length, 0);
  assert.equal(local.call.answers.length, 1);

  const { member, call } = run("Range", message);
  assert.deepEqual(call.answers, []);
  // The bytes of the request were the caller's only within the call.
  message.fill(0xff);
  member.rangeResult = () => ({ ...emptyRange, rows: [row], more: true, count: 5 });
  member.reads[0]?.onReady();
  assert.deepEqual(answerOf(call, "RangeResponse"), {
    header: { ...header, revision: "9", raft_term: "7" },
    kvs: [pair],
    more: true,
    count: "5",
  });
  const [request] = member.ranges;
  assert.deepEqual(Buffer.from(request?.key ?? []), key);
  assert.deepEqual(Buffer.from(request?.rangeEnd ?? []), utf8("z"));
  assert.equal(request?.limit, 3);
});

test("a read that is refused, early or late", () => {
  const early = run("Range", encodeMessage("RangeRequest", { key }));
  early.member.reads[0]?.onRefused(errStopped);
  assert.deepEqual(early.call.answers, [errStopped]);
  for (const method of ["Range", "Txn"]) {
    const read = { key, revision: 5 };
    const late = run(
      method,
      method === "Range" ? encodeMessage("RangeRequest", read) : readTxn(read),
    );
    late.member.rangeResult = refuse;
    late.member.txnResult = refuse;
    late.member.reads[0]?.onReady();
    assert.deepEqual(late.call.answers, [errCompacted], method);
  }
});

test("nothing is read for a caller who went away", () => {
  const { member, call } = run("Range", encodeMessage("RangeRequest", { key }));
  call.cancelled = true;
  member.reads[0]?.onReady();
  assert.deepEqual(call.answers, [errCanceled]);
  assert.equal(member.ranges.length, 0);
});

test("a mistake of our own is not turned into a refusal", () => {
  const { member } = run("Range", encodeMessage("RangeRequest", { key }));
  member.rangeResult = () => {
    throw new TypeError("ours");
  };
  assert.throws(() => member.reads[0]?.onReady(), TypeError);
});

test("which txns are reads, and which of them are linearizable", () => {
  const range = (serializable: boolean) => ({ request_range: { key, serializable } });
  const nested = { request_txn: { success: [range(true)] } };
  const compare = [{ key, version: 0 }];
  const rows = [
    { txn: {}, want: "local", why: "nothing to do" },
    { txn: { compare }, want: "local", why: "etcd takes compares alone for serializable" },
    { txn: { success: [range(true)], failure: [range(true)] }, want: "local", why: "all are" },
    { txn: { success: [range(true)], failure: [range(false)] }, want: "read", why: "one is not" },
    { txn: { success: [range(false)] }, want: "read", why: "linearizable" },
    { txn: { success: [nested] }, want: "write", why: "a nested txn never counts as a read" },
    { txn: { failure: [{ request_put: { key } }] }, want: "write", why: "also if not taken" },
    { txn: { success: [{ request_delete_range: { key } }] }, want: "write", why: "a delete" },
  ];
  for (const { txn, want, why } of rows) {
    const { member } = run("Txn", encodeMessage("TxnRequest", txn));
    const got = {
      local: member.txns.length,
      read: member.reads.length,
      write: member.proposed.length,
    };
    assert.deepEqual(got, { local: 0, read: 0, write: 0, [want]: 1 }, why);
  }
});

test("a linearizable txn of reads is answered from the state after the read index", () => {
  const message = readTxn({ key });
  const { member, call } = run("Txn", message);
  message.fill(0xff);
  member.txnResult = () => ({
    kind: "txn",
    revision: Revision(9),
    succeeded: true,
    results: [{ ...emptyRange, rows: [row], count: 1 }],
  });
  member.reads[0]?.onReady();
  assert.deepEqual(answerOf(call, "TxnResponse"), {
    header: { ...header, revision: "9", raft_term: "7" },
    succeeded: true,
    responses: [{ response_range: { header: { revision: "9" }, kvs: [pair], count: "1" } }],
  });
  assert.equal(member.txns[0]?.success.length, 1);
});

test("the answer of a txn that wrote is not begun when its caller cannot take it", () => {
  const told = { ...emptyRange, rows: [row], count: 1 };
  const nested = { ...emptyTxn, results: [told] };
  const outcome: Outcome = { ...emptyTxn, results: [told, nested] };
  const serve = (answerBytesMax: number) => {
    const { member, call } = run("Txn", requestOf("Txn"));
    call.answerBytesMax = answerBytesMax;
    member.proposed[0]?.completion.onOutcome(outcome);
    return call.answers[0];
  };
  assert.ok(Buffer.isBuffer(serve(2 * row.length)));
  const refused = serve(2 * row.length - 1);
  assert.ok(refused instanceof EtcdError && refused.code === StatusCode.resourceExhausted);
});

test("a read that waited long for its quorum is told of, served or refused", () => {
  const message = encodeMessage("RangeRequest", { key });
  const facts = { prefix: "read-only range ", request: 'key:"k"' };
  const rows = [
    { waitMs: 100, end: (read: ReadCompletion) => read.onReady(), want: [] },
    {
      waitMs: 7_000,
      end: (read: ReadCompletion) => read.onReady(),
      want: [{ tookMs: 7_000, ...facts, response: "range_response_count:0 size:28" }],
    },
    {
      waitMs: 7_000,
      end: (read: ReadCompletion) => read.onRefused(errTimeout),
      want: [{ tookMs: 7_000, ...facts, response: "", error: errTimeout.message }],
    },
  ];
  for (const { waitMs, end, want } of rows) {
    const { member } = run("Range", message);
    member.clockMs += waitMs;
    const [read] = member.reads;
    if (read !== undefined) end(read);
    assert.deepEqual(member.told, want);
  }
});

test("compaction answers at once, or when the store has dropped the old revisions", () => {
  const compacted: Outcome = { kind: "compact", revision: Revision(9) };
  const refused = (error: EtcdError): Outcome => ({ kind: "refused", error });
  const rows = [
    { physical: false, outcome: compacted, waits: false, why: "logical" },
    { physical: true, outcome: compacted, waits: true, why: "physical" },
    { physical: true, outcome: refused(errCompacted), waits: true, why: "one may still run" },
    {
      physical: true,
      outcome: refused(errFutureRevision),
      waits: false,
      why: "nothing to wait for",
    },
    { physical: false, outcome: refused(errCompacted), waits: false, why: "refused" },
  ];
  for (const { physical, outcome, waits, why } of rows) {
    const message = encodeMessage("CompactionRequest", { revision: 5, physical });
    const { member, call } = run("Compact", message);
    member.proposed[0]?.completion.onOutcome(outcome);
    assert.equal(call.answers.length, waits ? 0 : 1, why);
    // Writes go on meanwhile; the header tells the revision at the answer.
    if (waits) member.state.revision = Revision(20);
    for (const done of member.compactions) done();
    assert.equal(call.answers.length, 1, why);
    if (outcome.kind === "refused") assert.equal(call.answers[0], outcome.error, why);
    else {
      const revision = waits ? "20" : "9";
      const want = { header: { ...header, revision, raft_term: "7" } };
      assert.deepEqual(answerOf(call, "CompactionResponse"), want, why);
    }
  }
});

test("an answer above the send limit is refused, not sent, and the next one goes out", () => {
  const member = new FakeMember();
  const kv = new KvService(member, new Headers(member), new Writer(10_000));
  const message = encodeMessage("RangeRequest", { key, serializable: true });
  for (const rows of [1000, 1]) {
    const call = new FakeCall();
    member.rangeResult = () => ({ ...emptyRange, rows: Array(rows).fill(row) });
    kv.range(call, message);
    const [answer] = call.answers;
    if (rows === 1) assert.deepEqual(answerOf(call, "RangeResponse").kvs, [pair]);
    else assert.ok(answer instanceof EtcdError && answer.code === StatusCode.resourceExhausted);
  }
});

test("hasleader: true fails at once without a leader", () => {
  const message = encodeMessage("RangeRequest", { key, serializable: true });
  const rows = [
    { headers: { hasleader: "true" }, leader: 0n, want: true, why: "asked for, none there" },
    { headers: { hasleader: "true" }, leader: 3n, want: false, why: "asked for, there" },
    { headers: { hasleader: "false" }, leader: 0n, want: false, why: "not asked for" },
    { headers: {}, leader: 0n, want: false, why: "not asked for" },
  ] as const;
  for (const { headers, leader, want, why } of rows) {
    const member = new FakeMember();
    Object.assign(member, { leader });
    const call = new FakeCall(headers);
    bindMethods(member).unary.get("/etcdserverpb.KV/Range")?.(call, message);
    assert.equal(call.answers[0] === errNoLeader, want, why);
  }
});

function run(method: string, message: Uint8Array): { member: FakeMember; call: FakeCall } {
  const member = new FakeMember();
  const call = new FakeCall();
  const unary = bindMethods(member).unary.get(`/etcdserverpb.KV/${method}`);
  assert.ok(unary !== undefined, method);
  unary(call, message);
  return { member, call };
}

function requestOf(method: string): Uint8Array {
  if (method === "Txn") return encodeMessage("TxnRequest", putTxn());
  if (method === "Compact") return encodeMessage("CompactionRequest", { revision: 5 });
  return encodeMessage(`${method}Request`, { key });
}

function putTxn(value: Uint8Array = utf8("v")): object {
  return { success: [{ request_put: { key, value } }] };
}

function readTxn(range: object): Uint8Array {
  return encodeMessage("TxnRequest", { success: [{ request_range: range }] });
}

function answerOf(call: FakeCall, type: string): Record<string, unknown> {
  const [answer, ...more] = call.answers;
  assert.deepEqual(more, [], "one answer only");
  assert.ok(Buffer.isBuffer(answer), String(answer));
  return decodeMessage(type, answer);
}

const refuse = (): never => {
  throw errCompacted;
};

function within(tag: number, inner: Buffer): Buffer {
  const prefix = [tag];
  let length = inner.length;
  for (; length >= 0x80; length >>>= 7) prefix.push((length & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([...prefix, length]), inner]);
}
