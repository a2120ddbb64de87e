// Commands on leases: outcomes, keys, what an old proposal of a leader may still do, what a restart keeps.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeCheckpoints, decodeExpiry } from "../../src/apply/leaseDuties.ts";
import { LeaseId, LogIndex, Term } from "../../src/base/brand.ts";
import { Prng } from "../../src/base/prng.ts";
import { command, Machine, op, rangeOf, show, showRow } from "./support.ts";

const all = (machine: Machine): string =>
  machine.applier.range(rangeOf("\0", "\0")).rows.map(showRow).join(", ");
const leasesOf = (machine: Machine): string =>
  [...machine.applier.lessor.all()]
    .map(({ id, ttlSec, remainingSec }) => `${id}:${ttlSec}/${remainingSec}`)
    .join(" ");
const keysOf = (machine: Machine, id: bigint): string =>
  machine.applier.lessor.keysOf(LeaseId(id)).join(" ");
const ids = (...list: bigint[]): LeaseId[] => list.map(LeaseId);
const duty = (machine: Machine, term = 1) => ({ term: Term(term), seen: machine.applier.applied });

test("grants: any id but 0, the TTL bound before the id", () => {
  const machine = new Machine();
  const rows = [
    { id: 7n, ttl: 10, want: "@1 granted 7 for 10" },
    { id: -7n, ttl: 9_000_000_000, want: "@1 granted -7 for 9000000000" },
    { id: -(2n ** 63n), ttl: 10, want: "@1 granted -9223372036854775808 for 10" },
    { id: 2n ** 63n - 1n, ttl: 10, want: "@1 granted 9223372036854775807 for 10" },
    { id: 7n, ttl: 10, want: "refused 9 etcdserver: lease already exists" },
    { id: 7n, ttl: 9_000_000_001, want: "refused 11 etcdserver: too large lease TTL" },
    { id: 8n, ttl: 9_000_000_001, want: "refused 11 etcdserver: too large lease TTL" },
    { id: 0n, ttl: 10, want: "refused 5 etcdserver: requested lease not found" },
  ];
  for (const { id, ttl, want } of rows)
    assert.equal(show(machine.do(command.grant(id, ttl))), want);
});

test("a revoke deletes the keys in byte order at one revision", () => {
  const machine = new Machine();
  machine.apply(command.grant(7n, 10));
  machine.apply(command.put("b", "1", { lease: 7n }), command.put("ab", "1", { lease: 7n }));
  machine.apply(command.put("a", "1", { lease: 7n }), command.put("other", "1"));
  const events: string[] = [];
  machine.applier.store.listen({
    onChanges: (revision, changes) => {
      for (const { key } of changes) events.push(`@${revision} ${key}`);
    },
  });
  assert.equal(show(machine.do(command.revoke(7n))), "@6 leaseRevoke");
  assert.deepEqual(events, ["@6 a", "@6 ab", "@6 b"]);
  assert.equal(all(machine), "other=1 5/5/1");
  assert.equal(
    show(machine.do(command.revoke(7n))),
    "refused 5 etcdserver: requested lease not found",
  );
});

test("a revoke without keys is no revision", () => {
  const machine = new Machine();
  assert.equal(show(machine.do(command.grant(7n, 10))), "@1 granted 7 for 10");
  assert.equal(show(machine.do(command.revoke(7n))), "@1 leaseRevoke");
});

test("a key hangs on the lease that was put last", () => {
  const machine = new Machine();
  machine.apply(command.grant(7n, 10), command.grant(8n, 10));
  machine.apply(command.put("a", "1", { lease: 7n }), command.put("b", "1", { lease: 7n }));
  machine.apply(command.put("a", "2", { lease: 8n }));
  assert.equal(keysOf(machine, 7n), "b", "moved to another lease");
  machine.apply(
    command.txn([], [op.put("b", "2", { ignoreLease: true }), op.put("c", "1", { lease: 7n })]),
  );
  assert.equal(keysOf(machine, 7n), "b c", "kept, and attached within a txn");
  machine.apply(command.put("b", "3"), command.delete("c"));
  assert.equal(keysOf(machine, 7n), "", "a put without a lease and a delete detach");
  machine.apply(command.revoke(7n));
  assert.equal(all(machine), "a=2 2/4/2 lease 8, b=3 3/6/3");
  const unknown = machine.do(command.txn([], [op.put("d", "1"), op.put("e", "1", { lease: 7n })]));
  assert.equal(show(unknown), "refused 5 etcdserver: requested lease not found");
  assert.equal(all(machine), "a=2 2/4/2 lease 8, b=3 3/6/3", "the refused txn left nothing");
});

test("an expiry revokes each lease at a revision of its own", () => {
  const machine = new Machine();
  for (const id of [7n, 8n, 9n]) {
    machine.apply(command.grant(id, 10), command.put(`k${id}`, "1", { lease: id }));
  }
  const expiry = { ...duty(machine), ids: ids(7n, 5n, 9n) };
  assert.equal(show(machine.do(command.expire(expiry))), "@6 duty done");
  assert.equal(all(machine), "k8=1 3/3/1 lease 8");
  assert.equal(leasesOf(machine), "8:10/0");
});

test("trap: a deposed leader revokes leases (etcd #15247)", () => {
  const machine = new Machine();
  machine.apply(command.grant(7n, 10), command.put("a", "1", { lease: 7n }));
  const late = command.expire({ ...duty(machine), ids: ids(7n) });
  const note = command.checkpoint({
    ...duty(machine),
    checkpoints: [{ id: LeaseId(7n), remainingSec: 1 }],
  });
  machine.term = Term(2);
  assert.equal(show(machine.do(late)), "@2 duty of another term");
  assert.equal(show(machine.do(note)), "@2 duty of another term");
  assert.equal(leasesOf(machine), "7:10/0");
  assert.equal(all(machine), "a=1 2/2/1 lease 7");
});

test("an expiry passes over a lease that was granted anew since it was proposed", () => {
  const machine = new Machine();
  machine.apply(command.grant(7n, 10));
  const late = command.expire({ ...duty(machine), ids: ids(7n) });
  machine.apply(command.revoke(7n));
  machine.apply(command.grant(7n, 60));
  assert.equal(show(machine.do(late)), "@1 duty done");
  assert.equal(leasesOf(machine), "7:60/0");
});

test("a note that was overtaken by its clearing does nothing", () => {
  const machine = new Machine();
  machine.apply(command.grant(7n, 1000));
  const note = { ...duty(machine), checkpoints: [{ id: LeaseId(7n), remainingSec: 400 }] };
  machine.apply(command.checkpoint(note));
  assert.equal(leasesOf(machine), "7:1000/400");
  const second = { ...duty(machine), checkpoints: [{ id: LeaseId(7n), remainingSec: 300 }] };
  const clear = { ...duty(machine), checkpoints: [{ id: LeaseId(7n), remainingSec: 0 }] };
  machine.apply(command.checkpoint(clear));
  assert.equal(leasesOf(machine), "7:1000/0");
  machine.apply(command.checkpoint(second));
  assert.equal(leasesOf(machine), "7:1000/0");
});

test("a restart finds leases, remainders and attachments as they were", () => {
  for (const flushed of [0, 1, 2, 3, 4]) {
    const machine = new Machine();
    const steps = [
      () => machine.apply(command.grant(-7n, 1000), command.grant(8n, 20)),
      () =>
        machine.apply(command.put("a", "1", { lease: -7n }), command.put("b", "1", { lease: 8n })),
      () => {
        const checkpoints = [{ id: LeaseId(-7n), remainingSec: 400 }];
        machine.apply(command.checkpoint({ ...duty(machine), checkpoints }));
      },
      () => machine.apply(command.revoke(8n), command.put("c", "1", { lease: -7n })),
    ];
    for (const [i, step] of steps.entries()) {
      step();
      if (i < flushed) machine.flush();
    }
    const changed = machine.applier.lessor.get(LeaseId(-7n))?.changedIndex;
    machine.restart();
    assert.equal(leasesOf(machine), "-7:1000/400", `${flushed} flushed`);
    assert.equal(keysOf(machine, -7n), "a c");
    assert.equal(machine.applier.lessor.get(LeaseId(-7n))?.changedIndex, changed);
    assert.equal(machine.applier.lessor.attachedCount, 2);
    machine.apply(command.revoke(-7n));
    assert.equal(all(machine), "");
    machine.flush();
    machine.restart();
    assert.equal(leasesOf(machine), "");
  }
});

test("duties: what was encoded is decoded, and nothing else", () => {
  const head = { term: Term(2 ** 40 + 3), seen: LogIndex(2 ** 45 + 9) };
  const expiry = { ...head, ids: ids(1n, -1n, -(2n ** 63n)) };
  assert.deepEqual(decodeExpiry(command.expire(expiry).body), expiry);
  const checkpoints = { ...head, checkpoints: [{ id: LeaseId(-1n), remainingSec: 9e9 }] };
  assert.deepEqual(decodeCheckpoints(command.checkpoint(checkpoints).body), checkpoints);
  const random = new Prng(1);
  for (let length = 0; length < 64; length++) {
    const body = Buffer.from(Array.from({ length }, () => random.integer(256)));
    assert.equal(decodeExpiry(body), undefined);
    assert.equal(decodeCheckpoints(body), undefined);
  }
});
