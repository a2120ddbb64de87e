// Ranges over many keys as the KV service answers them: step by step, in parts, with the bytes that one
// answer at once would have.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Headers } from "../../src/api/header.ts";
import { KvService } from "../../src/api/kv.ts";
import { keysPerStep, longRangeKeys } from "../../src/apply/longRange.ts";
import { range } from "../../src/apply/range.ts";
import { EtcdError, errCanceled, StatusCode } from "../../src/base/errors.ts";
import { encodeRangeRequest } from "../../src/proto/encodeRequests.ts";
import { encodeRangeResponse } from "../../src/proto/encodeResponses.ts";
import { Writer } from "../../src/proto/writer.ts";
import { query, StoreHarness } from "../mvcc/support.ts";
import { encodeMessage } from "../support/messages.ts";
import { FakeCall, FakeMember } from "./fakeMember.ts";

const valueBytes = 300;
const keyCount = 2 * longRangeKeys;
const request = { ...query({ from: "k", to: "l" }), serializable: false };
const message = encodeRangeRequest(new Writer(), request).slice();

function served() {
  const harness = new StoreHarness();
  for (let i = 0; i < keyCount; i++) harness.put(`k${i}`, "v".repeat(valueBytes));
  const member = new FakeMember();
  member.store = harness.store;
  const headers = new Headers(member);
  const kv = new KvService(member, headers, new Writer());
  const call = new FakeCall();
  kv.range(call, message);
  const [read] = member.reads;
  assert.ok(read);
  const expected = (): Buffer => {
    const answer = range(harness.store, request);
    return Buffer.from(encodeRangeResponse(new Writer(), headers.at(answer.revision), answer));
  };
  return { member, kv, call, read, expected };
}

test("a long range is answered in parts, each of a step, with the bytes of one answer", () => {
  const { call, read, expected } = served();
  let steps = 0;
  do {
    assert.equal(call.answers.length, 0, "nothing before all is read");
    read.onReady();
    steps++;
  } while (read.hasMore === true);
  const [answer] = call.answers;
  assert.ok(answer instanceof Buffer && answer.equals(expected()));
  assert.ok(steps > 2, `${steps} steps`);
  assert.ok(
    call.partBytesMax > 0 && call.partBytesMax < answer.length / 2,
    "no part is most of it",
  );
});

test("a long range that its caller cannot take is refused before all is read", () => {
  const { call, read } = served();
  call.answerBytesMax = (keyCount * valueBytes) / 2;
  let steps = 0;
  do {
    read.onReady();
    steps++;
  } while (read.hasMore === true);
  const [answer] = call.answers;
  assert.ok(answer instanceof EtcdError && answer.code === StatusCode.resourceExhausted);
  assert.ok(steps <= 1 + keyCount / 2 / keysPerStep, `${steps} steps`);
});

test("a long range whose caller goes away is read no further", () => {
  const { call, read } = served();
  read.onReady();
  read.onReady();
  assert.equal(read.hasMore, true);
  call.cancelled = true;
  read.onReady();
  assert.equal(read.hasMore, false);
  assert.deepEqual(call.answers, [errCanceled]);
});

test("a range over few keys and a txn of reads are bounded by what their caller can take", () => {
  const { member, kv } = served();
  const few = { ...request, limit: 8 };
  const range = encodeRangeRequest(new Writer(), few).slice();
  const key = { key: few.key, range_end: few.rangeEnd, limit: 4 };
  const txn = encodeMessage("TxnRequest", {
    success: [{ request_range: key }, { request_range: key }],
  });
  const serve = (answerBytesMax: number) => {
    const [asked, guarded] = [new FakeCall(), new FakeCall()];
    for (const call of [asked, guarded]) call.answerBytesMax = answerBytesMax;
    member.reads.length = 0;
    kv.range(asked, range);
    kv.txn(guarded, txn);
    for (const read of member.reads) read.onReady();
    return [asked, guarded].map(({ answers: [answer] }) =>
      answer instanceof EtcdError ? answer.code : answer !== undefined,
    );
  };
  assert.deepEqual(serve(8 * 2 * valueBytes), [true, true]);
  const { resourceExhausted } = StatusCode;
  assert.deepEqual(serve(8 * valueBytes), [resourceExhausted, resourceExhausted]);
});

test("a long range of the past is answered in parts, with the bytes of one answer", () => {
  const { member, kv } = served();
  const { store } = member;
  assert.ok(store);
  for (const fields of [{ revision: store.revision - 1 }, { sortOrder: 2 }]) {
    const asked = { ...request, ...fields };
    const call = new FakeCall();
    kv.range(call, encodeRangeRequest(new Writer(), asked).slice());
    member.reads.pop()?.onReady();
    const told = range(store, asked);
    const header = new Headers(member).at(told.revision);
    const want = Buffer.from(encodeRangeResponse(new Writer(), header, told));
    const [answer] = call.answers;
    assert.ok(answer instanceof Buffer && answer.equals(want));
    assert.ok(call.partBytesMax > 0 && call.partBytesMax < answer.length * 0.75);
  }
});
