// The Lease service: requests become calls of the member, and its words become answers.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Headers } from "../../src/api/header.ts";
import { LeaseService } from "../../src/api/lease.ts";
import { CommandKind } from "../../src/apply/command.ts";
import { LeaseId, Revision } from "../../src/base/brand.ts";
import {
  EtcdError,
  errLearnerRefuses,
  errLeaseNotFound,
  errTooManyRequests,
} from "../../src/base/errors.ts";
import type { StreamCall, StreamHandler } from "../../src/grpc/call.ts";
import type { RenewSink, TimeToLiveCompletion } from "../../src/member/leaseRequests.ts";
import { Writer } from "../../src/proto/writer.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import { FakeCall, FakeMember } from "./fakeMember.ts";

let member: FakeMember;
let service: LeaseService;
let renewals: { readonly id: LeaseId; readonly sink: RenewSink }[];
let questions: {
  readonly id: LeaseId;
  readonly keys: boolean;
  readonly done: TimeToLiveCompletion;
}[];
let listed: LeaseId[];

beforeEach(() => {
  member = new FakeMember();
  renewals = [];
  questions = [];
  listed = [];
  member.leases = {
    ttlSecMin: 2,
    pickId: () => LeaseId(77n),
    renew: (id, sink) => void renewals.push({ id, sink }),
    timeToLive: (id, { keys }, done) => void questions.push({ id, keys, done }),
    list: () => listed,
  };
  service = new LeaseService(member, new Headers(member), new Writer());
});

class FakeStream implements StreamCall {
  cancelled = false;
  backlogBytes = 0;
  readonly said: string[] = [];
  metadata(): string | undefined {
    return undefined;
  }
  write(message: Uint8Array): boolean {
    const { ID = "0", TTL = "0", header } = decodeMessage("LeaseKeepAliveResponse", message);
    const { revision } = header as { revision: string };
    this.said.push(`${ID} for ${TTL} @${revision}`);
    return true;
  }
  end(): void {
    this.said.push("end");
  }
  fail(error: EtcdError): void {
    this.said.push(error.message);
  }
}

const answerOf = (call: FakeCall, type: string): Record<string, unknown> => {
  const [answer] = call.answers;
  assert.ok(answer instanceof Buffer, String(answer));
  const { header: _, ...fields } = decodeMessage(type, answer);
  return fields;
};

test("a grant enters the log with an id and a TTL that counts", () => {
  const rows = [
    { asked: { TTL: 10, ID: 0 }, entered: { TTL: "10", ID: "77" } },
    { asked: { TTL: 1, ID: 5 }, entered: { TTL: "2", ID: "5" } },
    {
      asked: { TTL: -9, ID: "-9223372036854775808" },
      entered: { TTL: "2", ID: "-9223372036854775808" },
    },
    { asked: { TTL: "9223372036854775807", ID: "9223372036854775807" }, entered: undefined },
  ];
  for (const [i, { asked, entered }] of rows.entries()) {
    service.grant(new FakeCall(), encodeMessage("LeaseGrantRequest", asked));
    const proposed = member.proposed[i];
    assert.equal(proposed?.kind, CommandKind.leaseGrant);
    const fields = decodeMessage("LeaseGrantRequest", proposed.body);
    if (entered !== undefined) assert.deepEqual(fields, entered);
    else assert.ok(Number(fields.TTL) > 9_000_000_000, "the log refuses it");
  }
});

test("a grant and a revoke are answered with what the log made of them", () => {
  const call = new FakeCall();
  service.grant(call, encodeMessage("LeaseGrantRequest", { TTL: 10 }));
  const revision = Revision(9);
  member.proposed[0]?.completion.onOutcome({
    kind: "leaseGrant",
    revision,
    id: LeaseId(77n),
    ttlSec: 10,
  });
  assert.deepEqual(answerOf(call, "LeaseGrantResponse"), { ID: "77", TTL: "10" });
  const revoked = new FakeCall();
  const refused = new FakeCall();
  for (const each of [revoked, refused]) {
    service.revoke(each, encodeMessage("LeaseRevokeRequest", { ID: "-1" }));
  }
  member.proposed[1]?.completion.onOutcome({ kind: "leaseRevoke", revision });
  member.proposed[2]?.completion.onOutcome({ kind: "refused", error: errLeaseNotFound });
  assert.deepEqual(answerOf(revoked, "LeaseRevokeResponse"), {});
  assert.deepEqual(refused.answers, [errLeaseNotFound]);
});

test("time to live: with keys, unknown, refused", () => {
  const calls = [new FakeCall(), new FakeCall(), new FakeCall()];
  for (const call of calls) {
    service.timeToLive(call, encodeMessage("LeaseTimeToLiveRequest", { ID: 5, keys: true }));
  }
  const [first, second, third] = questions;
  assert.ok(first?.keys && first.id === 5n);
  first.done.onAnswer({ ttlSec: 7, grantedTtlSec: 10, keys: [Buffer.from("a"), Buffer.from("")] });
  second?.done.onAnswer({ ttlSec: -1, grantedTtlSec: 0, keys: [] });
  third?.done.onRefused(errTooManyRequests);
  const [known, unknown, refused] = calls;
  assert.ok(known && unknown && refused);
  const keys = [Buffer.from("a"), Buffer.from("")];
  assert.deepEqual(answerOf(known, "LeaseTimeToLiveResponse"), {
    ID: "5",
    TTL: "7",
    grantedTTL: "10",
    keys,
  });
  assert.deepEqual(answerOf(unknown, "LeaseTimeToLiveResponse"), { ID: "5", TTL: "-1" });
  assert.deepEqual(refused.answers, [errTooManyRequests]);
});

test("a list is what the member says, in its order", () => {
  listed = [LeaseId(9n), LeaseId(-1n)];
  const call = new FakeCall();
  service.leases(call, new Uint8Array());
  assert.deepEqual(answerOf(call, "LeaseLeasesResponse"), { leases: [{ ID: "9" }, { ID: "-1" }] });
});

test("bytes that are no message are refused", () => {
  const { grant, revoke, timeToLive, leases } = service;
  for (const method of [grant, revoke, timeToLive, leases]) {
    const call = new FakeCall();
    method(call, Buffer.from("0aff", "hex"));
    assert.ok(call.answers[0] instanceof EtcdError && call.answers[0].code === 13);
  }
  assert.equal(member.proposed.length, 0);
});

function opened(): { readonly stream: FakeStream; readonly handler: StreamHandler } {
  const stream = new FakeStream();
  return { stream, handler: service.keepAlive(stream) };
}
const keepAlive = (ID: number | string): Uint8Array =>
  encodeMessage("LeaseKeepAliveRequest", { ID });

test("keep-alive: an answer each, TTL 0 for an unknown lease, the stream goes on", () => {
  const { stream, handler } = opened();
  for (const id of [5, 6, "-1"]) handler.onMessage(keepAlive(id));
  for (const { id, sink } of renewals) {
    sink.onRenewed(id, { ttlSec: id === 6n ? 0 : 10, revision: Revision(4) });
  }
  assert.deepEqual(stream.said, ["5 for 10 @4", "6 for 0 @4", "-1 for 10 @4"]);
});

test("keep-alive: a half-closed stream ends after its last answer", () => {
  const { stream, handler } = opened();
  handler.onMessage(keepAlive(5));
  handler.onHalfClose();
  assert.deepEqual(stream.said, []);
  renewals[0]?.sink.onRenewed(LeaseId(5n), { ttlSec: 10, revision: Revision(4) });
  assert.deepEqual(stream.said, ["5 for 10 @4", "end"]);
  const idle = opened();
  idle.handler.onHalfClose();
  assert.deepEqual(idle.stream.said, ["end"]);
});

test("keep-alive: a refusal ends the stream, once; what comes after is not said", () => {
  const { stream, handler } = opened();
  for (const id of [5, 6, 7]) handler.onMessage(keepAlive(id));
  renewals[0]?.sink.onRefused(errTooManyRequests);
  renewals[1]?.sink.onRefused(errTooManyRequests);
  renewals[2]?.sink.onRenewed(LeaseId(7n), { ttlSec: 10, revision: Revision(4) });
  handler.onMessage(keepAlive(8));
  assert.deepEqual(stream.said, [errTooManyRequests.message]);
  assert.equal(renewals.length, 3);
});

test("keep-alive: a client that left hears nothing; bad bytes end the stream", () => {
  const gone = opened();
  gone.handler.onMessage(keepAlive(5));
  gone.handler.onCancel();
  renewals[0]?.sink.onRenewed(LeaseId(5n), { ttlSec: 10, revision: Revision(4) });
  assert.deepEqual(gone.stream.said, []);
  const bad = opened();
  bad.handler.onMessage(Buffer.from("0aff", "hex"));
  assert.match(bad.stream.said[0] ?? "", /unmarshalling/);
});

test("a learner keeps nothing alive", () => {
  member.isLearner = true;
  assert.deepEqual(opened().stream.said, [errLearnerRefuses.message]);
});
