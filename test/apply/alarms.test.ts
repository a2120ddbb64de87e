// Alarms: what they stand before, and what a restart keeps. Expected answers were observed at etcd 3.5.30.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Alarm, alarmsMax } from "../../src/apply/alarms.ts";
import { LeaseId, Term } from "../../src/base/brand.ts";
import { AlarmAction, AlarmKind } from "../../src/proto/maintenanceCodec.ts";
import { type Command, command, Machine, op, show } from "./support.ts";

const { activate, deactivate, get } = AlarmAction;
const { none, noSpace, corrupt } = AlarmKind;
const alarm = (action: number, kind: number, memberId: string | number = 5): Command =>
  command.alarm({ action, alarm: kind, memberID: `${memberId}` });

function ask(machine: Machine, one: Command): string {
  const outcome = machine.do(one);
  return outcome.kind === "alarm" ? text(outcome.alarms) : show(outcome);
}
const text = (alarms: readonly Alarm[]): string =>
  alarms.map(({ memberId, kind }) => `${memberId}:${kind}`).join(" ");

test("raised, asked for by kind, and taken away by member and kind", () => {
  const machine = new Machine();
  const rows = [
    { one: alarm(activate, noSpace), want: "5:1" },
    { one: alarm(activate, noSpace), want: "5:1" },
    { one: alarm(activate, corrupt), want: "5:2" },
    { one: alarm(activate, noSpace, 0), want: "0:1" },
    { one: alarm(activate, noSpace, "18446744073709551615"), want: "18446744073709551615:1" },
    { one: alarm(activate, none), want: "" },
    { one: alarm(get, none), want: "0:1 5:1 18446744073709551615:1 5:2" },
    { one: alarm(get, corrupt, 7), want: "5:2" },
    { one: alarm(deactivate, noSpace, 7), want: "" },
    { one: alarm(deactivate, noSpace, 0), want: "0:1" },
    { one: alarm(deactivate, noSpace, 0), want: "" },
    { one: alarm(deactivate, none), want: "" },
    { one: alarm(get, none), want: "5:1 18446744073709551615:1 5:2" },
    { one: alarm(7, noSpace), want: "refused 3 etcdserver: unknown alarm or action" },
    { one: alarm(activate, 3), want: "refused 3 etcdserver: unknown alarm or action" },
  ];
  for (const { one, want } of rows) assert.equal(ask(machine, one), want);
  assert.equal(machine.applier.revision, 1, "an alarm is no revision");
});

const full = "refused 8 etcdserver: mvcc: database space exceeded";
const broken = "refused 15 etcdserver: corrupt cluster";
const within = op.txn([], [op.put("e")]);
const commands: readonly (readonly [string, Command, noSpace: string, corrupt: string])[] = [
  ["put", command.put("a"), full, broken],
  ["put under no lease", command.put("a", "", { lease: 99n }), full, broken],
  ["txn that puts", command.txn([], [op.put("a")]), full, broken],
  ["txn that would put", command.txn([], [], [op.put("a")]), full, broken],
  ["txn that deletes", command.txn([], [op.delete("z")]), "@3 then {@3 deleted 0}", broken],
  ["txn in a txn", command.txn([], [within]), "@4 then {@0 then {@4 put}}", broken],
  ["delete", command.delete("a"), "@5 deleted 1", broken],
  ["grant", command.grant(9n, 10), full, broken],
  ["revoke", command.revoke(8n), "@6 leaseRevoke", broken],
  [
    "revoke of none",
    command.revoke(99n),
    "refused 5 etcdserver: requested lease not found",
    broken,
  ],
  ["compaction", command.compact(2), "@6 compacted", broken],
];

for (const [name, kind, wanted] of [
  ["NOSPACE", noSpace, 2],
  ["CORRUPT", corrupt, 3],
] as const) {
  test(`${name} stands before commands until the last of it is gone, over restarts too`, () => {
    const machine = new Machine();
    machine.apply(command.put("a"), command.grant(8n, 10), command.put("l", "", { lease: 8n }));
    machine.apply(alarm(activate, kind), alarm(activate, kind, 6));
    machine.flush();
    machine.restart();
    for (const row of commands) assert.equal(show(machine.do(row[1])), row[wanted], row[0]);
    machine.do(alarm(deactivate, kind));
    assert.equal(show(machine.do(command.put("b"))), commands[0]?.[wanted], "one is left");
    machine.do(alarm(deactivate, kind, 6));
    assert.match(show(machine.do(command.put("b"))), /^@\d put$/);
    machine.flush();
    machine.restart();
    assert.deepEqual(machine.applier.alarms.list(), []);
    assert.match(show(machine.do(command.put("b"))), /^@\d put$/);
  });
}

test("with both, what is corrupt comes first; each goes by itself", () => {
  const machine = new Machine();
  machine.apply(alarm(activate, noSpace), alarm(activate, corrupt));
  assert.equal(show(machine.do(command.put("a"))), broken);
  machine.do(alarm(deactivate, corrupt));
  assert.equal(show(machine.do(command.put("a"))), full);
  machine.do(alarm(deactivate, noSpace));
  assert.equal(show(machine.do(command.put("a"))), "@2 put");
});

test("leases outlive a corrupt cluster, and end behind it", () => {
  const machine = new Machine();
  machine.apply(command.grant(8n, 10), command.put("l", "", { lease: 8n }));
  const expiry = (): Command =>
    command.expire({ term: Term(1), seen: machine.applier.applied, ids: [LeaseId(8n)] });
  machine.do(alarm(activate, corrupt));
  assert.equal(show(machine.do(expiry())), broken);
  assert.equal(machine.applier.lessor.exists(LeaseId(8n)), true);
  machine.do(alarm(activate, noSpace));
  machine.do(alarm(deactivate, corrupt));
  assert.equal(show(machine.do(expiry())), "@3 duty done");
  assert.equal(machine.applier.lessor.exists(LeaseId(8n)), false);
});

test("there is room for so many", () => {
  const machine = new Machine();
  machine.apply(...Array.from({ length: alarmsMax }, (_, i) => alarm(activate, noSpace, i)));
  const refusal = "refused 8 etcdserver: too many alarms";
  assert.equal(ask(machine, alarm(activate, corrupt, 0)), refusal);
  assert.equal(ask(machine, alarm(activate, noSpace, 0)), "0:1", "one that is on");
  assert.equal(machine.applier.alarms.list().length, alarmsMax);
  assert.equal(ask(machine, alarm(deactivate, noSpace, 7)), "7:1");
  assert.equal(ask(machine, alarm(activate, corrupt, 0)), "0:2");
});
