// Frames about leases: what was encoded is decoded, and nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LeaseId } from "../../src/base/brand.ts";
import { Prng } from "../../src/base/prng.ts";
import {
  decodeLeaseFrame,
  encodeLeaseQuestions,
  encodeLeaseReplies,
  LeaseAsk,
  leaseRecordsMax,
} from "../../src/member/leaseFrames.ts";
import { FrameKind, frameKind } from "../../src/transport/frame.ts";

const questions = [
  { request: 0, what: LeaseAsk.renew, id: LeaseId(-(2n ** 63n)) },
  { request: 2 ** 48 - 1, what: LeaseAsk.timeToLive, id: LeaseId(2n ** 63n - 1n) },
];
const replies = [
  { request: 7, led: true, ttlSec: 9e9, grantedTtlSec: 9e9 },
  { request: 8, led: false, ttlSec: 0, grantedTtlSec: 0 },
  { request: 9, led: true, ttlSec: -1, grantedTtlSec: 0 },
];

test("questions and replies come back as they were", () => {
  assert.deepEqual(decodeLeaseFrame(encodeLeaseQuestions(questions)), { kind: "ask", questions });
  assert.deepEqual(decodeLeaseFrame(encodeLeaseReplies(replies)), { kind: "answer", replies });
  assert.equal(frameKind(encodeLeaseQuestions(questions)), FrameKind.lease);
});

test("no other bytes are a frame", () => {
  const good = encodeLeaseQuestions(questions);
  const changed = (at: number, byte: number): Uint8Array => {
    const bytes = Buffer.from(good);
    bytes[at] = byte;
    return bytes;
  };
  for (let length = 0; length < good.length; length++) {
    assert.equal(decodeLeaseFrame(good.subarray(0, length)), undefined, `cut at ${length}`);
  }
  assert.equal(decodeLeaseFrame(Buffer.concat([good, Buffer.alloc(1)])), undefined);
  assert.equal(decodeLeaseFrame(changed(0, 9)), undefined, "another version");
  assert.equal(decodeLeaseFrame(changed(2, 9)), undefined, "another lane");
  assert.equal(decodeLeaseFrame(changed(4, 3)), undefined, "another count");
  assert.equal(decodeLeaseFrame(changed(14, 9)), undefined, "another question");
  const [first] = questions;
  assert.ok(first);
  const many = Array.from({ length: leaseRecordsMax + 1 }, () => first);
  assert.equal(decodeLeaseFrame(encodeLeaseQuestions(many)), undefined, "too many");
  const random = new Prng(1);
  for (let i = 0; i < 5_000; i++) {
    const bytes = Buffer.from(good);
    bytes[random.integer(bytes.length)] = random.integer(256);
    decodeLeaseFrame(bytes);
  }
});
