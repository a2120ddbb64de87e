// A member that builds its store anew goes on serving, dies at any step of it without loss, and lets an image
// have the place beside the store.
import assert from "node:assert/strict";
import test from "node:test";
import type { MemberId } from "../../src/base/brand.ts";
import {
  type EtcdError,
  errSnapshotCut,
  errStopped,
  errTooManyRequests,
} from "../../src/base/errors.ts";
import { Histogram } from "../../src/base/histogram.ts";
import { silentLog } from "../../src/base/ports.ts";
import { copiesAnewMax, Defragment, defragmentsMax } from "../../src/member/defragment.ts";
import type { Member } from "../../src/member/member.ts";
import { copyRowsMax, heldMsMax } from "../../src/member/storeCopy.ts";
import { writeDefrag } from "../../src/metrics/memberFamilies.ts";
import { MetricsText } from "../../src/metrics/text.ts";
import { Table } from "../../src/storage/engine.ts";
import { MemoryEngine } from "../../src/storage/memory.ts";
import { MemoryStoreHome } from "../../src/storage/memoryHome.ts";
import { numbered } from "../storage/storeFixture.ts";
import { LocalCluster } from "../support/localCluster.ts";
import { numberOf, parseMetrics } from "../support/metricsPage.ts";
import { assertEqualStates, compact, hashOf, kindOf, put } from "./support.ts";

interface Asked {
  done: number;
  error: EtcdError | undefined;
}

function ask(member: Member): Asked {
  const asked: Asked = { done: 0, error: undefined };
  member.defragment({
    onDone: () => void asked.done++,
    onRefused: (error) => {
      asked.error = error;
    },
  });
  return asked;
}

function started(seed: number, options = {}): LocalCluster {
  // Rows are read from the store, not from memory.
  const cluster = new LocalCluster(3, seed, { recentBytesMax: 0, ...options });
  cluster.tick(30);
  return cluster;
}

function putMany(cluster: LocalCluster, count: number, value = "v"): void {
  const results = Array.from({ length: count }, (_, i) =>
    put(cluster.leader(), `key${i % 50}`, value),
  );
  cluster.tick(5);
  for (const result of results) assert.equal(kindOf(result), "put");
}

function numbers(member: Member): readonly (number | undefined)[] {
  const text = new MetricsText();
  writeDefrag(text, member.numbers());
  const page = parseMetrics(text.take());
  return [
    numberOf(page, "etcd_disk_defrag_inflight"),
    numberOf(page, "etcd_disk_backend_defrag_duration_seconds_count"),
  ];
}

test("puts, reads and a compaction go on; who asks meanwhile is answered with it", () => {
  const cluster = started(1);
  const leader = cluster.leader();
  putMany(cluster, 3 * copyRowsMax);
  const first = ask(leader);
  let isOver = false;
  let during = 0;
  let second: Asked | undefined;
  const results = [compact(leader, 2 * copyRowsMax)];
  cluster.onStep = () => {
    isOver ||= first.done > 0;
    if (isOver || numbers(leader)[0] !== 1 || during >= 40) return;
    second ??= ask(leader);
    results.push(put(leader, `key${during}`, `during ${during++}`));
    // Time passes, so that batches leave.
    cluster.pass(100);
  };
  cluster.tick(20);
  cluster.onStep = () => {};
  assert.deepEqual(
    [first, second],
    [
      { done: 1, error: undefined },
      { done: 1, error: undefined },
    ],
  );
  assert.ok(during > 5, `${during} puts meanwhile`);
  for (const result of results) assert.ok(["put", "compact"].includes(kindOf(result)));
  assert.deepEqual(numbers(leader), [0, 1]);
  assertEqualStates(cluster);
  // And what is in the store is the whole of it.
  const { id } = leader;
  const hash = hashOf(cluster, id);
  cluster.tick(5);
  cluster.crash(id);
  cluster.start(id);
  cluster.tick(40);
  assert.deepEqual(hashOf(cluster, id), hash);
});

test("a member dies at any step of it, and has lost nothing", () => {
  let died = 0;
  for (let step = 1, isOver = false; !isOver; step += 3) {
    const cluster = started(2);
    putMany(cluster, copyRowsMax + 100);
    const { id } = cluster.leader();
    const asked = ask(cluster.leader());
    const results = [put(cluster.leader(), "late", "1"), compact(cluster.leader(), 100)];
    let steps = 0;
    cluster.onStep = () => {
      if (++steps !== step) return;
      isOver = asked.done > 0;
      died++;
      cluster.crash(id);
      cluster.start(id);
    };
    cluster.tick(60);
    cluster.onStep = () => {};
    assert.deepEqual(cluster.faults, []);
    assert.equal(results.length, 2);
    assertEqualStates(cluster);
  }
  assert.ok(died > 5, `${died} times`);
});

test("an image that is offered meanwhile comes first, and the store is built anew after it", () => {
  const compaction = { snapshotEntries: 4, catchUpEntries: 2 };
  const cluster = started(3, { compaction });
  const away = cluster.ids.find((id) => id !== cluster.leader().id) as MemberId;
  putMany(cluster, 3 * copyRowsMax);
  cluster.cut.add(away);
  for (let i = 0; i < 20; i++) putMany(cluster, 1);
  cluster.cut.clear();
  const asked = ask(cluster.member(away));
  // The offer comes while the rows are read.
  let wasUnderWay = false;
  let gaveWay = false;
  cluster.onStep = () => {
    const { isDefragmenting, receivingFrom } = cluster.member(away).numbers();
    assert.ok(!isDefragmenting || receivingFrom === undefined, "one store beside the one in use");
    wasUnderWay ||= isDefragmenting;
    gaveWay ||= wasUnderWay && receivingFrom !== undefined && asked.done === 0;
  };
  cluster.tick(40);
  cluster.onStep = () => {};
  assert.ok(gaveWay);
  assert.deepEqual(asked, { done: 1, error: undefined });
  assert.deepEqual(cluster.faults, []);
  assertEqualStates(cluster);
});

test("a snapshot that is being taken is not cut off: the new store waits, and stays up to date", () => {
  const cluster = started(6);
  const leader = cluster.leader();
  putMany(cluster, 2 * copyRowsMax, "v".repeat(1_000));
  const taken = { bytes: 0, wanted: 0, error: "", isOver: false };
  const run = leader.snapshots.open({
    onBegin: (fileBytes) => {
      taken.wanted = fileBytes;
    },
    onBytes: ({ length }) => {
      taken.bytes += length;
      return false;
    },
    onEnd: () => {
      taken.isOver = true;
    },
    onRefused: ({ message }) => {
      taken.error = message;
    },
  });
  cluster.tick(5);
  assert.ok(taken.bytes > 0 && taken.bytes < taken.wanted, `${taken.bytes} of ${taken.wanted}`);
  const asked = ask(leader);
  for (let i = 0; i < 40; i++) {
    const result = put(leader, `beside${i}`, "1");
    cluster.tick(1);
    assert.equal(kindOf(result), "put");
  }
  assert.deepEqual([numbers(leader)[0], asked.done, taken.error], [1, 0, ""]);
  for (let i = 0; i < 1_000 && !taken.isOver; i++) {
    run.resume();
    cluster.settle();
  }
  assert.deepEqual([taken.bytes, taken.error, taken.isOver], [taken.wanted, "", true]);
  cluster.tick(10);
  assert.deepEqual(asked, { done: 1, error: undefined });
  assertEqualStates(cluster);
});

test("a reader that is too slow is cut off after a while, and one that was is waited for no more", () => {
  const cluster = started(7);
  const leader = cluster.leader();
  putMany(cluster, 2 * copyRowsMax, "v".repeat(1_000));
  const refused: EtcdError[] = [];
  const run = leader.snapshots.open({
    onBegin: () => {},
    onBytes: () => false,
    onEnd: () => assert.fail("ended"),
    onRefused: (error) => void refused.push(error),
  });
  cluster.tick(5);
  assert.equal(leader.snapshots.count, 1);
  const asked = ask(leader);
  // It takes a piece now and then: never long enough without to be given up for that alone.
  for (let passed = 0; passed < heldMsMax - 120_000; passed += 60_000) {
    run.resume();
    cluster.tick(1);
    cluster.pass(60_000);
  }
  assert.deepEqual([asked.done, refused], [0, []]);
  cluster.pass(120_000);
  cluster.tick(5);
  assert.equal(asked.done, 1);
  // Nobody has told it yet, as it takes nothing; but what it read is gone.
  assert.equal(leader.snapshots.count, 0);
  const again = ask(leader);
  cluster.tick(5);
  assert.equal(again.done, 1);
  run.resume();
  cluster.tick(1);
  assert.deepEqual(refused, [errSnapshotCut]);
  assertEqualStates(cluster);
});

test("rows of a compaction go before the copying or behind it", () => {
  const engines: MemoryEngine[] = [];
  const cluster = started(8, {
    engineOf: (options: ConstructorParameters<typeof MemoryEngine>[0]) => {
      const engine = new MemoryEngine(options);
      engines.push(engine);
      return engine;
    },
  });
  const leader = cluster.leader();
  const rows = (): number => engines[cluster.ids.indexOf(leader.id)]?.rowCount(Table.key) ?? 0;
  const many = 4 * copyRowsMax;
  putMany(cluster, many);
  assert.ok(rows() >= many);
  /** Rows in the store while it is built anew. */
  let seen: number[] = [];
  cluster.onStep = () => {
    if (leader.numbers().isDefragmenting) seen.push(rows());
  };
  assert.equal(kindOf(compact(leader, many)), "waiting");
  cluster.settle();
  const behind = ask(leader);
  cluster.tick(20);
  assert.deepEqual([behind.done, seen.length > 0], [1, true]);
  assert.ok(Math.max(...seen) < 100, `${Math.max(...seen)} rows`);
  putMany(cluster, many);
  // A reader lets it last.
  const run = leader.snapshots.open({
    onBegin: () => {},
    onBytes: () => false,
    onEnd: () => {},
    onRefused: (error) => assert.fail(error),
  });
  cluster.tick(5);
  seen = [];
  const before = ask(leader);
  cluster.tick(1);
  const dropping = compact(leader, leader.status().revision);
  cluster.tick(30);
  assert.deepEqual([kindOf(dropping), before.done], ["compact", 0]);
  run.cancel();
  cluster.tick(1);
  assert.equal(before.done, 1);
  assert.ok(Math.min(...seen) >= many, `${Math.min(...seen)} rows`);
  cluster.tick(20);
  assert.ok(rows() < 100, `${rows()} rows`);
  assertEqualStates(cluster);
});

test("a copy waits for one compaction; flooded with changes it begins anew, in the end with the store at rest", () => {
  const deferred: (() => void)[] = [];
  const home = new MemoryStoreHome({ defer: (run) => void deferred.push(run) });
  const runDeferred = (): void => {
    for (const run of deferred.splice(0)) run();
  };
  const rows = numbered(0, 3 * copyRowsMax, 10);
  home.engine.submit({ puts: rows, deletes: [] }, () => {});
  runDeferred();
  let compaction = { compactedRevision: 5, sweptRevision: 4 };
  const defragment = new Defragment({
    ...{ home, clock: { nowMs: () => 0 }, log: silentLog, wake: () => {}, changedKeysMax: 10 },
    fail: (error) => assert.fail(error),
    isReceiving: () => false,
    isHeld: () => false,
    compaction: () => compaction,
    tookSec: new Histogram([1]),
  });
  let done = 0;
  defragment.add({ onDone: () => void done++, onRefused: (error) => assert.fail(error) });
  defragment.turn(true);
  // Others come before its rows are gone, all the time.
  compaction = { compactedRevision: 9, sweptRevision: 4 };
  defragment.turn(true);
  assert.equal(defragment.isUnderWay, false);
  compaction = { compactedRevision: 12, sweptRevision: 5 };
  defragment.turn(true);
  assert.equal(defragment.isUnderWay, true);
  compaction = { compactedRevision: 12, sweptRevision: 12 };
  const batch = { puts: rows.slice(0, 10), deletes: [] };
  for (let times = 0; times < copiesAnewMax; times++) {
    defragment.turn(true);
    assert.equal(defragment.isUnderWay, true);
    defragment.onBatch(batch);
    assert.deepEqual([defragment.isUnderWay, defragment.holdsStore], [false, false]);
  }
  defragment.turn(true);
  defragment.onBatch(batch);
  assert.deepEqual([defragment.isUnderWay, defragment.holdsStore], [true, true]);
  for (let i = 0; i < 20 && done === 0; i++) {
    runDeferred();
    defragment.turn(true);
  }
  assert.equal(done, 1);
  assert.equal(home.engine.rowCount(Table.key), rows.length);
});

test("a disk without room refuses it, and the member goes on", () => {
  let isFull = false;
  class Tight extends MemoryEngine {}
  const cluster = started(4, {
    engineOf: (options: ConstructorParameters<typeof MemoryEngine>[0]) => new Tight(options),
  });
  putMany(cluster, 10);
  const member = cluster.leader();
  const { submit } = MemoryEngine.prototype;
  // What is built beside is no engine of this test.
  MemoryEngine.prototype.submit = function (batch, done) {
    if (!isFull || this instanceof Tight) submit.call(this, batch, done);
    else submit.call(this, { puts: [], deletes: [] }, () => done(new Error("ENOSPC")));
  };
  try {
    isFull = true;
    const asked = ask(member);
    cluster.tick(3);
    assert.equal(asked.error?.message, "etcdserver: cannot defragment: ENOSPC");
    isFull = false;
    const again = ask(member);
    cluster.tick(3);
    assert.equal(again.done, 1);
  } finally {
    MemoryEngine.prototype.submit = submit;
  }
  assert.deepEqual(cluster.faults, []);
  putMany(cluster, 10);
  assertEqualStates(cluster);
});

test("callers are bounded, and told when the member stops", () => {
  const cluster = started(5);
  const member = cluster.leader();
  putMany(cluster, 10);
  const asked = Array.from({ length: defragmentsMax + 1 }, () => ask(member));
  assert.equal(asked.at(-1)?.error, errTooManyRequests);
  member.handle({ kind: "stop" });
  assert.equal(asked[0]?.error, errStopped);
  assert.equal(ask(member).error, errStopped);
  // Nor does any other long work keep its caller waiting.
  const told: unknown[] = [];
  member.hashKv(0, { onHash: () => {}, onRefused: (error) => void told.push(error) });
  member.compactionSettled(() => void told.push("settled"));
  assert.deepEqual(told, [errStopped, "settled"]);
});
