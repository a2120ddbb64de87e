// Cluster, Maintenance and health over a fake member.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandKind } from "../../src/apply/command.ts";
import { MemberId, noMember, Revision } from "../../src/base/brand.ts";
import {
  EtcdError,
  errAuthUnsupported,
  errCompacted,
  errDowngradeTarget,
  errDowngradeUnsupported,
  errDowngradeVersionFormat,
  errInvalidAuthManagement,
  errLearnerRefuses,
  errRoleNotFound,
  errStopped,
  errTooManyAlarms,
  errUnknownAlarm,
  errUnknownService,
  StatusCode,
} from "../../src/base/errors.ts";
import { bindMethods, knownServices } from "../../src/grpc/bind.ts";
import type { StreamCall } from "../../src/grpc/call.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import { FakeCall, FakeMember } from "./fakeMember.ts";

const ids = { cluster_id: "17293822569102704641", member_id: "9223372036854775810" };
const headerNow = { ...ids, revision: "9", raft_term: "7" };

test("MemberList: by id, without a revision in its header", () => {
  const member = new FakeMember();
  member.list = [
    {
      id: MemberId(0xffff_ffff_ffff_ffffn),
      name: "",
      peerUrls: ["http://b:2380"],
      clientUrls: [],
      isLearner: true,
    },
    {
      id: MemberId(5n),
      name: "one",
      peerUrls: ["http://a:2380", "http://a:2381"],
      clientUrls: ["http://a:2379"],
      isLearner: false,
    },
  ];
  const call = run(member, "/etcdserverpb.Cluster/MemberList", new Uint8Array(0));
  assert.deepEqual(answerOf(call, "MemberListResponse"), {
    header: { ...ids, raft_term: "7" },
    members: [
      {
        ID: "5",
        name: "one",
        peerURLs: ["http://a:2380", "http://a:2381"],
        clientURLs: ["http://a:2379"],
      },
      { ID: "18446744073709551615", peerURLs: ["http://b:2380"], isLearner: true },
    ],
  });
});

test("MemberList: linearizable waits for the read index", () => {
  const message = encodeMessage("MemberListRequest", { linearizable: true });
  const member = new FakeMember();
  const call = run(member, "/etcdserverpb.Cluster/MemberList", message);
  assert.deepEqual(call.answers, []);
  member.reads[0]?.onReady();
  assert.deepEqual(answerOf(call, "MemberListResponse"), { header: { ...ids, raft_term: "7" } });
  const refused = run(member, "/etcdserverpb.Cluster/MemberList", message);
  member.reads[1]?.onRefused(errStopped);
  assert.deepEqual(refused.answers, [errStopped]);
});

test("Status: local, and tells when there is no leader", () => {
  const member = new FakeMember();
  const want = {
    header: headerNow,
    version: "3.5.30",
    dbSize: "4096",
    leader: "3",
    raftIndex: "41",
    raftTerm: "7",
    raftAppliedIndex: "40",
    dbSizeInUse: "1024",
  };
  const path = "/etcdserverpb.Maintenance/Status";
  assert.deepEqual(answerOf(run(member, path, new Uint8Array(0)), "StatusResponse"), want);
  member.leader = noMember;
  const { leader, ...others } = want;
  assert.equal(leader, "3");
  assert.deepEqual(answerOf(run(member, path, new Uint8Array(0)), "StatusResponse"), {
    ...others,
    errors: ["etcdserver: no leader"],
  });
});

test("Alarm: a question enters the log too, and the answer names the alarms", () => {
  const path = "/etcdserverpb.Maintenance/Alarm";
  for (const fields of [{}, { alarm: 1 }, { action: 1, alarm: 2, memberID: "5" }, { action: 2 }]) {
    const member = new FakeMember();
    const message = encodeMessage("AlarmRequest", fields);
    const call = run(member, path, message);
    const [proposed] = member.proposed;
    assert.ok(proposed !== undefined);
    assert.equal(proposed.kind, CommandKind.alarm);
    assert.deepEqual(proposed.body, Buffer.from(message));
    const alarms = [
      { memberId: 0n, kind: 1 },
      { memberId: 2n ** 64n - 1n, kind: 2 },
    ];
    proposed.completion.onOutcome({ kind: "alarm", revision: Revision(11), alarms });
    assert.deepEqual(answerOf(call, "AlarmResponse"), {
      header: { ...headerNow, revision: "11" },
      alarms: [{ alarm: 1 }, { memberID: "18446744073709551615", alarm: 2 }],
    });
  }
});

test("Alarm: an unknown action or kind crashes etcd 3.5; here it is refused", () => {
  for (const fields of [{ action: 7 }, { action: 1, alarm: 3 }, { alarm: -1 }]) {
    const member = new FakeMember();
    const message = encodeMessage("AlarmRequest", fields);
    const call = run(member, "/etcdserverpb.Maintenance/Alarm", message);
    assert.deepEqual(call.answers, [errUnknownAlarm]);
    assert.deepEqual(member.proposed, []);
  }
});

test("Alarm: what the log refuses, and what it does not take", () => {
  const member = new FakeMember();
  const message = encodeMessage("AlarmRequest", { action: 1, alarm: 1 });
  const calls = [0, 1].map(() => run(member, "/etcdserverpb.Maintenance/Alarm", message));
  member.proposed[0]?.completion.onOutcome({ kind: "refused", error: errTooManyAlarms });
  member.proposed[1]?.completion.onRefused(errStopped);
  assert.deepEqual(
    calls.map(({ answers }) => answers),
    [[errTooManyAlarms], [errStopped]],
  );
});

test("Status: each alarm in protobuf's text form, with the blank behind it", () => {
  const member = new FakeMember();
  member.raised = [
    { memberId: 0n, kind: 1 },
    { memberId: 2n ** 63n, kind: 2 },
  ];
  const call = run(member, "/etcdserverpb.Maintenance/Status", new Uint8Array(0));
  const { errors } = answerOf(call, "StatusResponse") as { errors?: unknown };
  assert.deepEqual(errors, ["alarm:NOSPACE ", "memberID:9223372036854775808 alarm:CORRUPT "]);
});

test("HashKV: asks the member and hands its word on", () => {
  const path = "/etcdserverpb.Maintenance/HashKV";
  const member = new FakeMember();
  const calls = [3, 0, -3].map((revision) =>
    run(member, path, encodeMessage("HashKVRequest", { revision })),
  );
  assert.deepEqual(
    member.hashes.map((each) => each.revision),
    [3, 0, 0],
  );
  member.hashes[0]?.completion.onHash({
    hash: 0xffff_fff1,
    revision: Revision(11),
    hashRevision: Revision(3),
    compactRevision: -1,
  });
  member.hashes[1]?.completion.onRefused(errCompacted);
  const [hashed, refused] = calls;
  assert.ok(hashed !== undefined && refused !== undefined);
  assert.deepEqual(answerOf(hashed, "HashKVResponse"), {
    header: { ...headerNow, revision: "11" },
    hash: 0xffff_fff1,
    compact_revision: "-1",
    hash_revision: "3",
  });
  assert.deepEqual(refused.answers, [errCompacted]);
});

test("Defragment: answers without a header when the store is built anew; a learner refuses", () => {
  const path = "/etcdserverpb.Maintenance/Defragment";
  const member = new FakeMember();
  const [done, refused] = [1, 2].map(() => run(member, path, new Uint8Array(0)));
  member.defragments[0]?.onDone();
  member.defragments[1]?.onRefused(errStopped);
  assert.deepEqual(done?.answers, [Buffer.alloc(0)]);
  assert.deepEqual(refused?.answers, [errStopped]);
  member.isLearner = true;
  assert.deepEqual(run(member, path, new Uint8Array(0)).answers, [errLearnerRefuses]);
});

test("Hash: of what HashKV hashes, without its revisions", () => {
  const member = new FakeMember();
  const call = run(member, "/etcdserverpb.Maintenance/Hash", new Uint8Array(0));
  const [asked] = member.hashes;
  assert.equal(asked?.revision, 0);
  const [revision, hashRevision] = [Revision(11), Revision(11)];
  asked?.completion.onHash({ hash: 17, revision, hashRevision, compactRevision: -1 });
  const header = { ...headerNow, revision: "11" };
  assert.deepEqual(answerOf(call, "HashResponse"), { header, hash: 17 });
});

test("Downgrade: refused as etcd does, and where etcd would begin one", () => {
  const rows = [
    { fields: { version: "3.4" }, want: errDowngradeUnsupported },
    { fields: { action: 1, version: "03.4.7-rc.0+x" }, want: errDowngradeUnsupported },
    { fields: { version: "3.5.0" }, want: errDowngradeTarget },
    { fields: { version: "3.4-rc.0" }, want: errDowngradeVersionFormat },
  ];
  for (const { fields, want } of rows) {
    const member = new FakeMember();
    const message = encodeMessage("DowngradeRequest", fields);
    const call = run(member, "/etcdserverpb.Maintenance/Downgrade", message);
    member.reads[0]?.onReady();
    assert.deepEqual(call.answers, [want], JSON.stringify(fields));
  }
});

test("Auth: off, and no users: told when a quorum has said so", () => {
  const member = new FakeMember();
  const call = run(member, "/etcdserverpb.Auth/AuthStatus", new Uint8Array(0));
  assert.deepEqual(call.answers, []);
  member.reads[0]?.onReady();
  assert.deepEqual(answerOf(call, "AuthStatusResponse"), { header: headerNow, authRevision: "1" });
  const refused = run(member, "/etcdserverpb.Auth/UserList", new Uint8Array(0));
  member.reads[1]?.onRefused(errStopped);
  assert.deepEqual(refused.answers, [errStopped]);
});

test("Auth: no user and no role can be made", () => {
  const [key, end] = [Buffer.from("a"), Buffer.from("b")];
  const [grant, name] = ["RoleGrantPermission", "r"];
  const rows = [
    { method: "UserAdd", fields: { name }, want: errAuthUnsupported },
    { method: "RoleAdd", fields: { name }, want: errAuthUnsupported },
    { method: grant, fields: { name, perm: { key, range_end: end } }, want: errRoleNotFound },
    {
      method: grant,
      fields: { name, perm: { key, range_end: key } },
      want: errInvalidAuthManagement,
    },
  ];
  for (const { method, fields, want } of rows) {
    const member = new FakeMember();
    const message = encodeMessage(`Auth${method}Request`, fields);
    const call = run(member, `/etcdserverpb.Auth/${method}`, message);
    member.reads[0]?.onReady();
    assert.deepEqual(call.answers, [want], JSON.stringify(fields));
  }
});

test("health: Check and List", () => {
  const member = new FakeMember();
  const check = (service: string): FakeCall =>
    run(member, "/grpc.health.v1.Health/Check", encodeMessage("HealthCheckRequest", { service }));
  assert.deepEqual(answerOf(check(""), "HealthCheckResponse"), { status: 1 });
  assert.deepEqual(check("etcdserverpb.KV").answers, [errUnknownService]);
  const list = run(member, "/grpc.health.v1.Health/List", new Uint8Array(0));
  // The bytes of etcd 3.5.30.
  assert.equal(
    list.answers.map((each) => Buffer.isBuffer(each) && each.toString("hex"))[0],
    "0a060a0012020801",
  );
});

test("health: Watch tells the status once and stays open", () => {
  const rows = [
    { service: "", want: "0801", why: "serving" },
    { service: "other", want: "0803", why: "unknown, yet no error" },
  ];
  for (const { service, want, why } of rows) {
    const call = new FakeStream();
    const handler = bindMethods(new FakeMember()).stream.get("/grpc.health.v1.Health/Watch")?.(
      call,
    );
    const message = encodeMessage("HealthCheckRequest", { service });
    handler?.onMessage(message);
    handler?.onMessage(message);
    handler?.onHalfClose();
    assert.deepEqual(call.written, [want], why);
    assert.equal(call.ended, false, why);
    handler?.onCancel();
  }
});

test("malformed requests are refused with INTERNAL, whatever the method", () => {
  const { unary } = bindMethods(new FakeMember());
  for (const [path, method] of unary) {
    if (path.endsWith("/List")) continue;
    const call = new FakeCall();
    method(call, Buffer.from("0b", "hex"));
    const [error] = call.answers;
    assert.ok(error instanceof EtcdError, path);
    assert.equal(error.code, StatusCode.internal, path);
  }
});

test("every bound path belongs to a known service", () => {
  const { unary, stream } = bindMethods(new FakeMember());
  for (const path of [...unary.keys(), ...stream.keys()]) {
    const [, service, method, ...more] = path.split("/");
    assert.ok(knownServices.has(service ?? ""), path);
    assert.match(method ?? "", /^[A-Z]\w+$/);
    assert.deepEqual(more, []);
  }
  assert.ok(knownServices.has("etcdserverpb.Lease"), "known, though not served yet");
});

class FakeStream implements StreamCall {
  readonly cancelled = false;
  readonly backlogBytes = 0;
  readonly written: string[] = [];
  ended = false;

  metadata(): undefined {
    return undefined;
  }

  write(message: Uint8Array): boolean {
    this.written.push(Buffer.from(message).toString("hex"));
    return true;
  }

  end(): void {
    this.ended = true;
  }

  fail(error: EtcdError): void {
    this.written.push(error.message);
  }
}

function run(member: FakeMember, path: string, message: Uint8Array): FakeCall {
  const method = bindMethods(member).unary.get(path);
  assert.ok(method !== undefined, path);
  const call = new FakeCall();
  method(call, message);
  return call;
}

function answerOf(call: FakeCall, type: string): object {
  const [answer, ...more] = call.answers;
  assert.deepEqual(more, [], "one answer only");
  assert.ok(Buffer.isBuffer(answer), String(answer));
  return decodeMessage(type, answer);
}
