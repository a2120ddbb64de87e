// Leases of three members in one thread: renewals from anywhere, expiry, changes of leader, checkpoints.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandKind } from "../../src/apply/command.ts";
import type { Outcome } from "../../src/apply/outcome.ts";
import { LeaseId, type MemberId, noLease } from "../../src/base/brand.ts";
import { type EtcdError, errStopped } from "../../src/base/errors.ts";
import { expiryLeasesMax } from "../../src/member/leaseTerm.ts";
import type { Member } from "../../src/member/member.ts";
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import { encodeLeaseGrantRequest, encodeLeaseIdRequest } from "../../src/proto/leaseCodec.ts";
import { Writer } from "../../src/proto/writer.ts";
import { LocalCluster, type LocalOptions } from "../support/localCluster.ts";

const tickMs = 100;
const electionTicks = 10;
const graceTicks = electionTicks / 2;
const secTicks = 1_000 / tickMs;
const lease = LeaseId(7n);

function propose(member: Member, kind: CommandKind, body: Uint8Array): { said: string } {
  const result = { said: "waiting" };
  member.propose(kind, Buffer.from(body), {
    onOutcome: (outcome: Outcome) => {
      result.said = outcome.kind === "refused" ? outcome.error.message : outcome.kind;
    },
    onRefused: (error) => {
      result.said = error.message;
    },
  });
  return result;
}

const grant = (member: Member, id: LeaseId, ttlSec: number) =>
  propose(member, CommandKind.leaseGrant, encodeLeaseGrantRequest(new Writer(), { id, ttlSec }));
const revoke = (member: Member, id: LeaseId) =>
  propose(member, CommandKind.leaseRevoke, encodeLeaseIdRequest(new Writer(), { id }));
const put = (member: Member, key: string, id: LeaseId = noLease) =>
  propose(
    member,
    CommandKind.put,
    encodePutRequest(new Writer(), {
      ...{ key: Buffer.from(key), value: Buffer.from("1"), lease: id },
      ...{ prevKv: false, ignoreValue: false, ignoreLease: false },
    }),
  );

interface Renewal {
  ttlSec: number | undefined;
  error: EtcdError | undefined;
}

function renew(member: Member, id: LeaseId = lease): Renewal {
  const renewal: Renewal = { ttlSec: undefined, error: undefined };
  member.leases.renew(id, {
    onRenewed: (_, { ttlSec }) => {
      assert.equal(renewal.ttlSec, undefined, "answered once");
      renewal.ttlSec = ttlSec;
    },
    onRefused: (error) => {
      renewal.error = error;
    },
  });
  return renewal;
}

function timeToLive(member: Member, id: LeaseId = lease): { said: string } {
  const result = { said: "waiting" };
  member.leases.timeToLive(
    id,
    { keys: true },
    {
      onAnswer: ({ ttlSec, grantedTtlSec, keys }) => {
        result.said = `${ttlSec} of ${grantedTtlSec} [${keys.map(String).join(" ")}]`;
      },
      onRefused: (error) => {
        result.said = error.message;
      },
    },
  );
  return result;
}

const isAlive = (member: Member, id: LeaseId = lease): boolean => member.leases.list().includes(id);

function started(changes: LocalOptions = {}, seed = 1): LocalCluster {
  const cluster = new LocalCluster(3, seed, changes);
  cluster.tick(30);
  return cluster;
}

const followerOf = (cluster: LocalCluster): Member => {
  const leader = cluster.leader();
  const id = cluster.ids.find((other) => other !== leader.id && !cluster.cut.has(other));
  assert.ok(id);
  return cluster.member(id);
};

/** The leader is cut off, and another is in office. */
function changeLeader(cluster: LocalCluster): MemberId {
  const { id } = cluster.leader();
  cluster.cut.add(id);
  for (let ticks = 0; ticks < 100; ticks++) {
    cluster.tick(1);
    try {
      cluster.leader();
      return id;
    } catch {
      // Not yet.
    }
  }
  throw new Error("no new leader");
}

/** @returns ticks until the lease is gone there. */
function ticksUntilGone(
  cluster: LocalCluster,
  ticksMax: number,
  member = cluster.leader(),
): number {
  for (let ticks = 0; ticks <= ticksMax; ticks++) {
    if (!isAlive(member)) return ticks;
    cluster.tick(1);
  }
  throw new Error(`still there after ${ticksMax} ticks`);
}

test("granted, renewed, asked about and listed on every member", () => {
  const cluster = started();
  const granted = grant(followerOf(cluster), lease, 10);
  cluster.settle();
  assert.equal(granted.said, "leaseGrant");
  put(cluster.leader(), "b", lease);
  put(cluster.leader(), "a", lease);
  cluster.tick(25);
  for (const id of cluster.ids) {
    const member = cluster.member(id);
    const left = timeToLive(member);
    cluster.settle();
    assert.equal(left.said, "7 of 10 [a b]");
    assert.deepEqual(member.leases.list(), [lease]);
  }
  for (const id of cluster.ids) {
    const renewal = renew(cluster.member(id));
    cluster.settle();
    assert.equal(renewal.ttlSec, 10);
  }
  const left = timeToLive(followerOf(cluster));
  cluster.settle();
  assert.equal(left.said, "10 of 10 [a b]");
  assert.equal(cluster.leader().leases.count + followerOf(cluster).leases.count, 0);
});

test("an unknown lease is renewed for 0 seconds and has -1 left", () => {
  const cluster = started();
  for (const id of cluster.ids) {
    const renewal = renew(cluster.member(id));
    const left = timeToLive(cluster.member(id));
    cluster.settle();
    assert.equal(renewal.ttlSec, 0);
    assert.equal(left.said, "-1 of 0 []");
  }
});

test("a lease ends half an election timeout after its time, not before, with its keys", () => {
  const cluster = started();
  grant(cluster.leader(), lease, 5);
  put(cluster.leader(), "a", lease);
  cluster.settle();
  cluster.tick(5 * secTicks + graceTicks - 1);
  assert.ok(isAlive(cluster.leader()));
  cluster.tick(1);
  for (const id of cluster.ids) assert.ok(!isAlive(cluster.member(id)), `on member ${id}`);
  const range = cluster.leader().state.range({
    ...{ key: Buffer.from("a"), rangeEnd: new Uint8Array(), limit: 0, revision: 0 },
    ...{ sortOrder: 0, sortTarget: 0, serializable: true, keysOnly: false, countOnly: false },
    ...{ minModRevision: 0, maxModRevision: 0, minCreateRevision: 0, maxCreateRevision: 0 },
  });
  assert.equal(range.count, 0);
});

test("renewals keep a lease, and enter no log", () => {
  const cluster = started();
  grant(cluster.leader(), lease, 5);
  cluster.settle();
  const applied = cluster.appliedOf(cluster.leader().id);
  for (let i = 0; i < 10; i++) {
    cluster.tick(3 * secTicks);
    const renewal = renew(i % 2 === 0 ? cluster.leader() : followerOf(cluster));
    cluster.settle();
    assert.equal(renewal.ttlSec, 5);
  }
  assert.equal(cluster.appliedOf(cluster.leader().id), applied);
  assert.equal(ticksUntilGone(cluster, 100), 5 * secTicks + graceTicks);
});

test("the second renewal within the proof's time is answered at once", () => {
  const cluster = started();
  grant(cluster.leader(), lease, 5);
  cluster.settle();
  const first = renew(cluster.leader());
  assert.equal(first.ttlSec, undefined, "leadership is not proven yet");
  cluster.settle();
  assert.equal(first.ttlSec, 5);
  assert.equal(renew(cluster.leader()).ttlSec, 5);
  cluster.tick(graceTicks + 1);
  assert.equal(renew(cluster.leader()).ttlSec, undefined, "the proof is too old");
});

test("steady renewals are answered at once: the proof is renewed before it is too old", () => {
  const cluster = started();
  grant(cluster.leader(), lease, 60);
  cluster.settle();
  renew(cluster.leader());
  cluster.settle();
  for (let i = 0; i < 50; i++) {
    assert.equal(renew(cluster.leader()).ttlSec, 60);
    cluster.tick(1);
  }
});

test("a leader that is cut off renews nothing", () => {
  const cluster = started();
  grant(cluster.leader(), lease, 60);
  cluster.settle();
  const old = cluster.leader();
  renew(old);
  cluster.settle();
  changeLeader(cluster);
  // A leader that hears from nobody steps down; until then it may only ask.
  const renewal = renew(old);
  cluster.tick(5);
  assert.equal(renewal.ttlSec, undefined);
  cluster.cut.clear();
  cluster.tick(20);
  assert.equal(renewal.ttlSec, 60, "the new leader answers it in the end");
});

test("trap: a paused leader that comes back renews and revokes nothing (etcd #15247)", () => {
  const cluster = started();
  grant(cluster.leader(), lease, 4);
  put(cluster.leader(), "a", lease);
  cluster.settle();
  const old = cluster.leader();
  renew(old);
  cluster.settle();
  cluster.paused.add(old.id);
  cluster.tick(40);
  const next = cluster.leader();
  assert.notEqual(next.id, old.id);
  const kept = renew(next);
  cluster.settle();
  assert.equal(kept.ttlSec, 4);
  cluster.tick(3 * secTicks);
  // By its own count the lease ended long ago, and its proof of leadership with it.
  cluster.paused.clear();
  const late = renew(old);
  old.handle({ kind: "tick" });
  assert.equal(late.ttlSec, undefined, "its proof is too old");
  cluster.settle();
  assert.ok(isAlive(next), "what it proposed in its own term did nothing");
  assert.ok(isAlive(old));
});

test("a new leader gives every lease its whole time and an election timeout", () => {
  const cluster = started();
  grant(cluster.leader(), lease, 5);
  cluster.settle();
  cluster.tick(4 * secTicks);
  changeLeader(cluster);
  // It may have been in office for the tick under way.
  const ticks = ticksUntilGone(cluster, 200);
  const want = 5 * secTicks + electionTicks + graceTicks;
  assert.ok(ticks >= want - 1 && ticks <= want, `${ticks} ticks`);
});

test("nothing expires without a leader", () => {
  const cluster = started();
  grant(cluster.leader(), lease, 2);
  cluster.settle();
  for (const id of cluster.ids) cluster.cut.add(id);
  cluster.tick(200);
  for (const id of cluster.ids) assert.ok(isAlive(cluster.member(id)));
  cluster.cut.clear();
  cluster.tick(30);
  assert.ok(isAlive(cluster.leader()), "the time begins anew");
  ticksUntilGone(cluster, 60);
});

test("a follower's renewal waits for the next leader", () => {
  const cluster = started();
  grant(cluster.leader(), lease, 10);
  cluster.settle();
  const follower = followerOf(cluster);
  cluster.cut.add(cluster.leader().id);
  const renewal = renew(follower);
  const left = timeToLive(follower);
  cluster.settle();
  assert.equal(renewal.ttlSec, undefined);
  cluster.tick(50);
  assert.equal(renewal.ttlSec, 10);
  assert.match(left.said, /^\d+ of 10 \[\]$/);
});

test("without a leader a renewal is refused in the end", () => {
  const cluster = started();
  const follower = followerOf(cluster);
  for (const id of cluster.ids) cluster.cut.add(id);
  const renewal = renew(follower);
  const left = timeToLive(follower);
  cluster.tick(100);
  assert.equal(renewal.error?.message, "etcdserver: no leader");
  assert.equal(left.said, "etcdserver: no leader");
  assert.equal(follower.leases.count, 0);
});

test("a renewal of a lease that is about to end waits for the end", () => {
  const cluster = started();
  grant(cluster.leader(), lease, 2);
  cluster.settle();
  const leader = cluster.leader();
  renew(leader);
  cluster.settle();
  cluster.tick(2 * secTicks + graceTicks - 1);
  renew(leader, LeaseId(1n));
  cluster.settle();
  // The entry of the expiry cannot be committed.
  for (const id of cluster.ids) if (id !== leader.id) cluster.paused.add(id);
  cluster.tick(1);
  const renewal = renew(leader);
  cluster.settle();
  assert.equal(renewal.ttlSec, undefined);
  cluster.paused.clear();
  cluster.settle();
  assert.equal(renewal.ttlSec, 0);
});

test("long leases keep what is left of them through changes of leader", () => {
  const cluster = started({ leaseCheckpointSec: 10 });
  grant(cluster.leader(), lease, 60);
  cluster.settle();
  cluster.tick(32 * secTicks);
  changeLeader(cluster);
  const left = timeToLive(cluster.leader());
  cluster.settle();
  const [sec] = left.said.split(" ");
  assert.ok(Number(sec) >= 28 && Number(sec) <= 42, left.said);
  const old = [...cluster.cut];
  cluster.cut.clear();
  cluster.tick(5);
  assert.equal(old.length, 1);
  // Renewed: the whole time again, also for the leader after this one.
  const renewal = renew(cluster.leader());
  cluster.settle();
  assert.equal(renewal.ttlSec, 60);
  changeLeader(cluster);
  const after = timeToLive(cluster.leader());
  cluster.settle();
  assert.ok(Number(after.said.split(" ")[0]) >= 60, after.said);
});

test("a renewal of a lease with a remainder counts only when that is cleared", () => {
  const cluster = started({ leaseCheckpointSec: 10 });
  grant(cluster.leader(), lease, 60);
  cluster.settle();
  cluster.tick(32 * secTicks);
  const leader = cluster.leader();
  renew(leader, LeaseId(1n));
  cluster.settle();
  for (const id of cluster.ids) if (id !== leader.id) cluster.paused.add(id);
  const renewal = renew(leader);
  cluster.settle();
  assert.equal(renewal.ttlSec, undefined, "the clearing is not committed");
  cluster.paused.clear();
  cluster.settle();
  assert.equal(renewal.ttlSec, 60);
});

test("leases end in bounded batches, many at once, with the bound on their keys", () => {
  const cluster = started();
  const count = 5 * expiryLeasesMax;
  for (let i = 1; i <= count; i++) {
    grant(cluster.leader(), LeaseId(BigInt(i)), 2);
    for (const n of [0, 1, 2]) put(cluster.leader(), `${i}/${n}`, LeaseId(BigInt(i)));
  }
  cluster.settle();
  assert.equal(cluster.leader().leases.list().length, count);
  const { revision } = cluster.leader().state;
  cluster.tick(2 * secTicks + graceTicks);
  assert.equal(cluster.leader().leases.list().length, 0);
  assert.equal(cluster.leader().state.revision, revision + count, "a revision each");
});

test("an id that is granted anew lives its own time", () => {
  const cluster = started();
  const leader = cluster.leader();
  grant(leader, lease, 2);
  cluster.settle();
  cluster.tick(2 * secTicks + graceTicks - 1);
  // Revoked and granted in the turn in which it ends.
  for (const id of cluster.ids) if (id !== leader.id) cluster.paused.add(id);
  const gone = revoke(leader, lease);
  const again = grant(leader, lease, 30);
  cluster.tick(1);
  cluster.paused.clear();
  cluster.settle();
  assert.deepEqual([gone.said, again.said], ["leaseRevoke", "leaseGrant"]);
  cluster.tick(29 * secTicks);
  assert.ok(isAlive(leader));
  ticksUntilGone(cluster, 2 * secTicks);
});

test("a member that stops refuses what waits, and all that comes", () => {
  const cluster = started();
  const follower = followerOf(cluster);
  cluster.cut.add(cluster.leader().id);
  const waiting = renew(follower);
  cluster.settle();
  follower.handle({ kind: "stop" });
  assert.equal(waiting.error, errStopped);
  assert.equal(renew(follower).error, errStopped);
  assert.equal(timeToLive(follower).said, errStopped.message);
});

test("leases survive the crash of all members", () => {
  const cluster = started();
  grant(cluster.leader(), lease, 20);
  put(cluster.leader(), "a", lease);
  cluster.tick(3);
  for (const id of cluster.ids) cluster.crash(id);
  for (const id of cluster.ids) cluster.start(id);
  cluster.tick(30);
  const left = timeToLive(followerOf(cluster));
  cluster.settle();
  assert.match(left.said, /^(19|20|21) of 20 \[a\]$/);
});

test("ids picked are positive and unlike one another", () => {
  const { leases } = started().leader();
  const picked = new Set(Array.from({ length: 1_000 }, () => leases.pickId()));
  assert.equal(picked.size, 1_000);
  for (const id of picked) assert.ok(id > 0n && id < 2n ** 63n);
});

for (const { name, ttlSec, checkpointSec, heldSec, leastSec } of [
  { name: "its whole time", ttlSec: 60, checkpointSec: 300, heldSec: 5, leastSec: 60 },
  {
    name: "what was noted of its time",
    ttlSec: 500,
    checkpointSec: 50,
    heldSec: 105,
    leastSec: 390,
  },
]) {
  test(`a lease that came in a snapshot has ${name} under the leader that took it over`, () => {
    const cluster = started({
      ...{ compaction: { snapshotEntries: 4, catchUpEntries: 2 } },
      leaseCheckpointSec: checkpointSec,
    });
    const away = followerOf(cluster);
    cluster.cut.add(away.id);
    grant(cluster.leader(), lease, ttlSec);
    put(cluster.leader(), "a", lease);
    cluster.settle();
    const grantedMs = cluster.nowMs;
    cluster.tick(heldSec * secTicks);
    for (let i = 0; i < 30; i++) {
      put(cluster.leader(), `k${i}`);
      cluster.tick(1);
    }
    const first = cluster.logOf(cluster.leader().id).firstIndex();
    assert.ok(first > away.status().applied + 1, "the log does not lead there any more");
    cluster.cut.clear();
    cluster.tick(5);
    assert.ok(isAlive(away), "the snapshot brought it");
    let said = "waiting";
    cluster.leader().transferLeadership(away.id, {
      onMoved: () => {
        said = "done";
      },
      onRefused: (error) => {
        said = error.message;
      },
    });
    cluster.tick(3);
    assert.deepEqual([said, cluster.leader().id], ["done", away.id]);
    const left = timeToLive(away);
    cluster.settle();
    const [, leftSec, keys] = /^(\d+) of \d+ (.*)$/.exec(left.said) ?? [];
    assert.equal(keys, "[a]");
    // Never shorter than promised; longer by what passed since the note, and an election timeout.
    const heldUntilNowSec = Math.ceil((cluster.nowMs - grantedMs) / 1_000);
    const most = leastSec + Math.min(checkpointSec, heldSec) + 2;
    assert.ok(Number(leftSec) >= Math.max(leastSec, ttlSec - heldUntilNowSec) - 1, left.said);
    assert.ok(Number(leftSec) <= Math.min(most, ttlSec + 2), left.said);
    const ticks = ticksUntilGone(cluster, (most + 5) * secTicks);
    assert.ok(ticks >= (Number(leftSec) - 1) * secTicks, `gone after ${ticks} ticks`);
  });
}
