// Lines before a lock, over whole members in one thread: what waiting costs, and who goes when.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Line, type LineOptions, type Place } from "../../src/api/line.ts";
import { LineCommands } from "../../src/api/lineCommands.ts";
import { LineView } from "../../src/api/lineView.ts";
import { CommandKind } from "../../src/apply/command.ts";
import { LeaseId } from "../../src/base/brand.ts";
import { type EtcdError, errMutexExpired, errTooManyRequests } from "../../src/base/errors.ts";
import { placeKey } from "../../src/base/lineKeys.ts";
import type { Member } from "../../src/member/member.ts";
import type { MemberService, StateReader } from "../../src/member/service.ts";
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import { encodeLeaseGrantRequest, encodeLeaseIdRequest } from "../../src/proto/leaseCodec.ts";
import { Writer } from "../../src/proto/writer.ts";
import { compact, put } from "../member/support.ts";
import { LocalCluster, type LocalOptions } from "../support/localCluster.ts";

const name = Buffer.from("line");
const ttlSec = 500;

class Call {
  said = "waits";
  place: Place | undefined;
  cancel: () => void = () => {};
}

function started(count: number, options: LocalOptions = {}): LocalCluster {
  const cluster = new LocalCluster(count, 1, options);
  cluster.tick(30);
  return cluster;
}

const followerOf = (cluster: LocalCluster): Member => {
  const leader = cluster.leader();
  const id = cluster.ids.find((other) => other !== leader.id);
  assert.ok(id);
  return cluster.member(id);
};

const lineOf = (member: MemberService, options?: LineOptions): Line =>
  new Line(member, new LineCommands(member, new Writer()), options);

function enter(line: Line, lease: number): Call {
  const call = new Call();
  const unary = {
    cancelled: false,
    metadata: () => undefined,
    onCancel: (listener: () => void) => {
      call.cancel = listener;
    },
    respond: () => {},
    fail: () => {},
  };
  const spec = { name, lease: LeaseId(BigInt(lease)), value: undefined };
  line.enter(
    unary,
    { ...spec, errExpired: errMutexExpired },
    {
      onTurn: (place) => {
        call.said = "ours";
        call.place = place;
      },
      onRefused: (error) => {
        call.said = error.message;
      },
    },
  );
  return call;
}

function propose(member: Member, kind: CommandKind, body: Uint8Array): { error?: EtcdError } {
  const result: { error?: EtcdError } = {};
  member.propose(kind, Buffer.from(body), {
    onOutcome: () => {},
    onRefused: (error) => {
      result.error = error;
    },
  });
  return result;
}

function grant(cluster: LocalCluster, ...leases: readonly number[]): void {
  for (const lease of leases) {
    const request = { id: LeaseId(BigInt(lease)), ttlSec };
    const body = encodeLeaseGrantRequest(new Writer(), request);
    propose(cluster.leader(), CommandKind.leaseGrant, body);
  }
  cluster.tick(1);
}

function revoke(cluster: LocalCluster, lease: number): void {
  const body = encodeLeaseIdRequest(new Writer(), { id: LeaseId(BigInt(lease)) });
  propose(cluster.leader(), CommandKind.leaseRevoke, body);
}

/** As a client that stands in line by itself, like those of Go's concurrency package. */
function putByHand(cluster: LocalCluster, lease: number): void {
  const id = LeaseId(BigInt(lease));
  const request = {
    ...{ key: placeKey(name, id), value: Buffer.alloc(0), lease: id },
    ...{ prevKv: false, ignoreValue: false, ignoreLease: false },
  };
  propose(cluster.leader(), CommandKind.put, encodePutRequest(new Writer(), request));
  cluster.tick(1);
}

/** Microtasks too: a turn looks outside of what the member is in the middle of. */
async function settle(cluster: LocalCluster, ticks = 1): Promise<void> {
  for (let i = 0; i < ticks; i++) {
    cluster.tick(1);
    await Promise.resolve();
    cluster.settle();
    await Promise.resolve();
    cluster.settle();
  }
}

const watchersOf = (member: Member): number => member.numbers().watch.watchers;

/** The member, and how many rows were read of it. */
function counting(member: Member): { member: MemberService; rows: () => number } {
  let rows = 0;
  const state = (): StateReader => {
    const inner = member.state;
    return new Proxy(inner, {
      get: (target, key) => {
        if (key !== "range") return Reflect.get(target, key, target);
        return (query: Parameters<StateReader["range"]>[0]) => {
          const found = target.range(query);
          rows += found.rows.length;
          return found;
        };
      },
    });
  };
  const wrapped = new Proxy(member, {
    get: (target, key) => {
      if (key === "state") return state();
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { member: wrapped, rows: () => rows };
}

test("a thousand who wait look at the line once, and then each at who is before it", async () => {
  const cluster = started(1);
  const count = 1_000;
  const { member, rows } = counting(cluster.leader());
  const line = lineOf(member);
  grant(cluster, ...Array.from({ length: count }, (_, i) => i + 1));
  const calls = Array.from({ length: count }, (_, i) => enter(line, i + 1));
  await settle(cluster);
  assert.equal(line.waitingCalls, count - 1);
  assert.equal(watchersOf(cluster.leader()), 1, "one watcher serves them all");
  for (const [i, call] of calls.entries()) {
    assert.equal(call.said, "ours", `number ${i}`);
    assert.equal(calls[i + 1]?.said ?? "waits", "waits", `behind ${i}`);
    revoke(cluster, i + 1);
    await settle(cluster);
  }
  assert.equal(watchersOf(cluster.leader()), 0);
  assert.equal(line.waitingCalls, 0);
  // Once all of them, and one for each that comes to the front after a wait.
  assert.ok(rows() <= 3 * count, `${rows()} rows were read`);
});

test("callers at two members and clients that stand in line by themselves go in one order", async () => {
  const cluster = started(3);
  const [one, two] = [lineOf(cluster.leader()), lineOf(followerOf(cluster))];
  grant(cluster, 1, 2, 3, 4, 5);
  putByHand(cluster, 1);
  const second = enter(two, 2);
  await settle(cluster, 3);
  putByHand(cluster, 3);
  const fourth = enter(one, 4);
  await settle(cluster, 3);
  const fifth = enter(two, 5);
  await settle(cluster, 3);
  const said = (): string => [second, fourth, fifth].map((call) => call.said).join();
  assert.equal(said(), "waits,waits,waits");
  revoke(cluster, 3);
  await settle(cluster, 3);
  assert.equal(said(), "waits,waits,waits", "one in the middle went");
  revoke(cluster, 1);
  await settle(cluster, 3);
  assert.equal(said(), "ours,waits,waits");
  revoke(cluster, 2);
  await settle(cluster, 3);
  assert.equal(said(), "ours,ours,waits");
  revoke(cluster, 4);
  await settle(cluster, 3);
  assert.equal(said(), "ours,ours,ours");
});

test("a holder keeps its lock through the death of the leader; who waits gets it after its end", async () => {
  const cluster = started(3);
  const leader = cluster.leader();
  const line = lineOf(followerOf(cluster));
  grant(cluster, 1, 2);
  const [holder, waiter] = [enter(line, 1), enter(line, 2)];
  await settle(cluster, 3);
  cluster.crash(leader.id);
  await settle(cluster, 60);
  assert.notEqual(cluster.leader().id, leader.id);
  assert.deepEqual([holder.said, waiter.said], ["ours", "waits"]);
  await settle(cluster, (ttlSec - 100) * 10);
  assert.equal(waiter.said, "waits", "the lease of the holder lives");
  // Both were promised the same time; the waiter's is renewed.
  cluster.member(line.member.id).leases.renew(LeaseId(2n), { onRenewed() {}, onRefused() {} });
  await settle(cluster, 150 * 10);
  assert.equal(waiter.said, "ours");
});

test("more calls than may wait are refused; whoever leaves makes room", async () => {
  const cluster = started(1);
  const line = lineOf(cluster.leader(), { waitingMax: 3 });
  grant(cluster, 1, 2, 3, 4, 5);
  const calls = [1, 2, 3].map((lease) => enter(line, lease));
  assert.equal(enter(line, 4).said, errTooManyRequests.message);
  await settle(cluster);
  // The first one is through.
  const fifth = enter(line, 5);
  await settle(cluster);
  assert.deepEqual([calls[0]?.said, fifth.said, line.waitingCalls], ["ours", "waits", 3]);
  assert.equal(enter(line, 4).said, errTooManyRequests.message);
  calls[1]?.cancel();
  assert.equal(enter(line, 4).said, errTooManyRequests.message, "its place is not given up yet");
  await settle(cluster);
  assert.equal(enter(line, 4).said, "waits");
});

test("who is cancelled while nobody leads leaves the line when somebody does, however late", async () => {
  const cluster = started(3);
  const follower = followerOf(cluster);
  const line = lineOf(follower);
  grant(cluster, 1, 2, 3);
  const [holder, cancelled, last] = [enter(line, 1), enter(line, 2), enter(line, 3)];
  await settle(cluster, 3);
  for (const id of cluster.ids) cluster.cut.add(id);
  await settle(cluster, 20);
  cancelled.cancel();
  // As long as many requests may take; nobody promises more.
  await settle(cluster, 1_500);
  assert.equal(line.waitingCalls, 2);
  cluster.cut.clear();
  await settle(cluster, 120);
  assert.equal(line.waitingCalls, 1, "it is out of the line");
  revoke(cluster, 1);
  await settle(cluster, 5);
  assert.deepEqual([holder.said, cancelled.said, last.said], ["ours", "waits", "ours"]);
});

test("who waits at a member that takes over a snapshot gets its turn", async () => {
  const cluster = started(3, { compaction: { snapshotEntries: 4, catchUpEntries: 2 } });
  const away = followerOf(cluster);
  const line = lineOf(away);
  grant(cluster, 1, 2, 3);
  putByHand(cluster, 1);
  const [second, third] = [enter(line, 2), enter(line, 3)];
  await settle(cluster, 3);
  cluster.cut.add(away.id);
  revoke(cluster, 1);
  for (let i = 10; i < 40; i++) grant(cluster, i);
  // What the watcher of the line needs is gone from history.
  put(cluster.leader(), "later", "1");
  cluster.tick(1);
  compact(cluster.leader(), cluster.leader().state.revision);
  await settle(cluster, 5);
  assert.deepEqual([second.said, third.said], ["waits", "waits"]);
  cluster.cut.clear();
  await settle(cluster, 20);
  assert.deepEqual([second.said, third.said], ["ours", "waits"]);
  revoke(cluster, 2);
  await settle(cluster, 5);
  assert.equal(third.said, "ours");
  assert.equal(watchersOf(away), 0);
});

test("a view of a line knows who is first, whoever leaves", () => {
  const moved: string[] = [];
  const view = new LineView<string>(5, (turn) => moved.push(turn));
  const at = (key: string, createRevision: number) => ({ key: Buffer.from(key), createRevision });
  for (const [key, revision] of [
    ["a", 2],
    ["b", 3],
    ["c", 5],
  ] as const) {
    view.add(Buffer.from(key), revision);
    view.join(Buffer.from(key), key);
  }
  view.join(Buffer.from("d"), "d");
  assert.deepEqual(
    [at("a", 2), at("b", 3), at("c", 4), at("d", 5), at("d", 6)].map((place) =>
      view.standing(place),
    ),
    ["first", "waits", "gone", "gone", "later"],
  );
  view.remove(Buffer.from("b"));
  assert.deepEqual(moved.splice(0), ["b"], "c still waits");
  assert.equal(view.standing(at("c", 5)), "waits");
  view.add(Buffer.from("d"), 6);
  view.add(Buffer.from("d"), 6);
  view.heardUpTo(6);
  assert.deepEqual(moved.splice(0), ["d"]);
  view.remove(Buffer.from("a"));
  assert.deepEqual(moved.splice(0), ["a", "c"]);
  assert.equal(view.standing(at("c", 5)), "first");
  // Another life of the same key, which is last now.
  view.add(Buffer.from("c"), 8);
  assert.deepEqual(moved.splice(0), ["c", "d", "c"]);
  assert.deepEqual([view.standing(at("c", 5)), view.standing(at("c", 8))], ["gone", "waits"]);
  assert.equal(view.length, 2);
});
