// Members whose logs let go of entries: who lags gets an image of the state, and goes on from there.
import assert from "node:assert/strict";
import test from "node:test";
import type { MemberId } from "../../src/base/brand.ts";
import { errTimeoutLeaderFail } from "../../src/base/errors.ts";
import { Prng } from "../../src/base/prng.ts";
import { decodeImageFrame, type ImageFrame } from "../../src/member/imageFrames.ts";
import type { Member } from "../../src/member/member.ts";
import { writeImages } from "../../src/metrics/memberFamilies.ts";
import { MetricsText } from "../../src/metrics/text.ts";
import { FrameKind, frameKind } from "../../src/transport/frame.ts";
import { type Frame, LocalCluster } from "../support/localCluster.ts";
import { type Family, numberOf, parseMetrics } from "../support/metricsPage.ts";
import { assertEqualStates, compact, hashOf, kindOf, put } from "./support.ts";

const compaction = { snapshotEntries: 4, catchUpEntries: 2 };
const rounds = 30;

function started(seed: number): LocalCluster {
  const cluster = new LocalCluster(3, seed, { compaction });
  cluster.tick(30);
  return cluster;
}

function followersOf(cluster: LocalCluster): [MemberId, MemberId] {
  const { id } = cluster.leader();
  const [one, two] = cluster.ids.filter((each) => each !== id);
  assert.ok(one !== undefined && two !== undefined);
  return [one, two];
}

/** One entry each, and time for the store to take them. */
function putEach(cluster: LocalCluster, count: number, value: string | Uint8Array = "v"): void {
  for (let i = 0; i < count; i++) {
    const result = put(cluster.leader(), `k${i}`, value);
    cluster.tick(1);
    assert.equal(kindOf(result), "put");
  }
}

function assertCaughtUp(cluster: LocalCluster): void {
  cluster.tick(10);
  assert.deepEqual(cluster.faults, []);
  assertEqualStates(cluster);
}

function imageFrameOf({ bytes }: Frame): ImageFrame | undefined {
  if (frameKind(bytes) !== FrameKind.bulk) return undefined;
  const frame = decodeImageFrame(bytes);
  assert.ok(typeof frame !== "string", String(frame));
  return frame;
}

/** Kinds of the image frames that left, in order; `lose` says which are lost. */
function watchImages(cluster: LocalCluster, lose: (frame: ImageFrame) => boolean = () => false) {
  const kinds: ImageFrame["kind"][] = [];
  cluster.isLost = (frame) => {
    const image = imageFrameOf(frame);
    if (image === undefined) return false;
    kinds.push(image.kind);
    return lose(image);
  };
  return kinds;
}

test("the log lets go of what the store holds, but for a margin", () => {
  const cluster = started(1);
  putEach(cluster, rounds);
  cluster.tick(3);
  for (const id of cluster.ids) {
    const log = cluster.logOf(id);
    assert.ok(log.firstIndex() > 20, `member ${id} begins at ${log.firstIndex()}`);
    const held = log.lastIndex() - log.firstIndex() + 1;
    assert.ok(held >= compaction.catchUpEntries && held <= 12, `member ${id} holds ${held}`);
  }
});

test("a member that was away for longer than the log goes on from an image", () => {
  const cluster = started(2);
  const [away] = followersOf(cluster);
  cluster.cut.add(away);
  putEach(cluster, rounds);
  const kinds = watchImages(cluster);
  cluster.cut.clear();
  assertCaughtUp(cluster);
  assert.deepEqual([...new Set(kinds)], ["offer", "ack", "chunk", "end"]);
  assert.ok(cluster.logOf(away).firstIndex() > 20);
  putEach(cluster, 3);
  assertCaughtUp(cluster);
});

test("the pages of both tell of a transfer, while it lasts and after it", () => {
  const cluster = started(2);
  const [away] = followersOf(cluster);
  const { id } = cluster.leader();
  const page = (member: MemberId): ReadonlyMap<string, Family> => {
    const text = new MetricsText();
    writeImages(text, cluster.member(member).numbers());
    return parseMetrics(text.take());
  };
  const numbers = (side: "send" | "receive"): readonly (number | undefined)[] => {
    const families = page(side === "send" ? id : away);
    const snapshot = `etcd_network_snapshot_${side}`;
    const of = side === "send" ? { To: `${away}` } : { From: `${id}` };
    return [
      numberOf(families, `${snapshot}_inflights_total`, of),
      numberOf(families, `${snapshot}_success`, of),
      numberOf(families, `${snapshot}_total_duration_seconds_count`, of),
      numberOf(families, "etcd_mvcc_db_open_read_transactions"),
      numberOf(families, "etcd_disk_backend_snapshot_duration_seconds_count"),
      numberOf(families, "etcd_snap_db_save_total_duration_seconds_count"),
      numberOf(families, "etcd_snap_db_fsync_duration_seconds_count"),
      numberOf(families, "etcd_server_snapshot_apply_in_progress_total"),
    ];
  };
  const none = undefined;
  cluster.cut.add(away);
  putEach(cluster, rounds);
  assert.deepEqual(numbers("send"), [none, none, none, 0, 0, 0, 0, 0]);
  watchImages(cluster, ({ kind }) => kind === "chunk");
  cluster.cut.clear();
  cluster.tick(3);
  assert.deepEqual(numbers("send"), [1, none, none, 1, 0, 0, 0, 0]);
  assert.deepEqual(numbers("receive"), [1, none, none, 0, 0, 0, 0, 1]);
  watchImages(cluster);
  assertCaughtUp(cluster);
  assert.deepEqual(numbers("send"), [0, 1, 1, 0, 1, 0, 0, 0]);
  assert.deepEqual(numbers("receive"), [0, 1, 1, 0, 0, 1, 1, 0]);
});

test("trap: a member comes back with an empty disk, and is given everything (etcd #21178)", () => {
  const cluster = started(3);
  const [gone] = followersOf(cluster);
  putEach(cluster, rounds);
  cluster.crash(gone);
  cluster.wipe(gone);
  cluster.start(gone);
  // The leader learns that it lost what it had acknowledged when there is something to send.
  putEach(cluster, 1);
  assertCaughtUp(cluster);
});

test("an image larger than the window goes over while puts go on", () => {
  const cluster = started(4);
  const [away] = followersOf(cluster);
  cluster.cut.add(away);
  // The window is 4 MiB, and rows span chunks.
  putEach(cluster, 12, Buffer.alloc(1 << 20, 7));
  cluster.cut.clear();
  const kinds = watchImages(cluster);
  for (let i = 0; i < 10; i++) {
    const result = put(cluster.leader(), `during${i}`, "v");
    cluster.tick(1);
    assert.equal(kindOf(result), "put");
  }
  assertCaughtUp(cluster);
  const chunks = kinds.filter((kind) => kind === "chunk").length;
  assert.ok(chunks >= 48 && chunks < 60, `${chunks} chunks`);
});

for (const kind of ["offer", "chunk", "end", "ack"] as const) {
  test(`one ${kind} in three is lost: it is sent again until all is there`, () => {
    const cluster = started(5);
    const random = new Prng(5);
    const [away] = followersOf(cluster);
    cluster.cut.add(away);
    putEach(cluster, 12, Buffer.alloc(1 << 19, 7));
    let lost = 0;
    watchImages(cluster, (frame) => {
      const isLost = frame.kind === kind && random.integer(3) === 0;
      if (isLost) lost++;
      return isLost;
    });
    cluster.cut.clear();
    cluster.tick(400);
    assert.ok(lost > 0 || kind === "offer" || kind === "end");
    assertCaughtUp(cluster);
  });
}

test("a leader that dies in the middle of a transfer: the next one begins anew", () => {
  const cluster = started(6);
  const [away] = followersOf(cluster);
  cluster.cut.add(away);
  putEach(cluster, 12, Buffer.alloc(1 << 19, 7));
  const leader = cluster.leader().id;
  let chunks = 0;
  watchImages(cluster, (frame) => frame.kind === "chunk" && ++chunks > 3);
  cluster.cut.clear();
  cluster.tick(8);
  assert.ok(chunks > 3, "the transfer hangs");
  cluster.crash(leader);
  cluster.isLost = () => false;
  cluster.tick(250);
  assert.notEqual(cluster.leader().id, leader);
  cluster.start(leader);
  assertCaughtUp(cluster);
});

test("a receiver that dies in the middle of a transfer begins anew", () => {
  const cluster = started(7);
  const [away] = followersOf(cluster);
  cluster.cut.add(away);
  putEach(cluster, 12, Buffer.alloc(1 << 19, 7));
  let chunks = 0;
  watchImages(cluster, (frame) => frame.kind === "chunk" && ++chunks > 3);
  cluster.cut.clear();
  cluster.tick(8);
  assert.ok(chunks > 3, "the transfer hangs");
  cluster.crash(away);
  cluster.isLost = () => false;
  cluster.start(away);
  cluster.tick(100);
  assertCaughtUp(cluster);
});

test("trap: two snapshots close together, the second while the first is taken over (etcd #18055)", () => {
  const cluster = started(8);
  const [away] = followersOf(cluster);
  cluster.cut.add(away);
  putEach(cluster, rounds);
  cluster.cut.clear();
  // Done is not heard: the leader asks again, with a newer image or the same.
  watchImages(cluster, (frame) => frame.kind === "ack" && frame.done);
  cluster.tick(5);
  putEach(cluster, rounds);
  cluster.isLost = () => false;
  cluster.tick(150);
  assertCaughtUp(cluster);
});

test("a member dies at any step of taking an image over, and boots from what it has", () => {
  let died = 0;
  for (let step = 1, isOver = false; !isOver; step++) {
    const cluster = started(9);
    const [away] = followersOf(cluster);
    cluster.cut.add(away);
    putEach(cluster, 12);
    const { applied } = cluster.member(away).status();
    cluster.cut.clear();
    let steps = 0;
    const kinds = watchImages(cluster);
    cluster.onStep = () => {
      // Nobody but the member itself can do anything before it is told of the image.
      if (kinds.length === 0 || ++steps !== step) return;
      isOver = cluster.member(away).status().applied > applied;
      died++;
      cluster.crash(away);
      cluster.start(away);
    };
    cluster.tick(30);
    cluster.onStep = () => {};
    assertCaughtUp(cluster);
  }
  assert.ok(died > 10, `${died} times`);
});

test("trap: an image carries the index of its own rows, whatever was applied since (etcd #13766)", () => {
  const cluster = started(12);
  const [away] = followersOf(cluster);
  cluster.cut.add(away);
  putEach(cluster, rounds);
  // Applied, but not in the store: no time has passed.
  for (let i = 0; i < 5; i++) {
    put(cluster.leader(), `late${i}`, "v");
    cluster.settle();
  }
  const { applied } = cluster.leader().status();
  const offered: number[] = [];
  watchImages(cluster, (frame) => {
    if (frame.kind === "offer") offered.push(frame.meta.index);
    return false;
  });
  cluster.cut.clear();
  assertCaughtUp(cluster);
  assert.ok(offered.length > 0 && offered.every((index) => index <= applied + 1), `${offered}`);
});

test("a put of this member that the image holds is refused as unknown, later ones are answered", () => {
  const cluster = started(10);
  const [away] = followersOf(cluster);
  putEach(cluster, rounds);
  // It hears nothing more, but its put leaves.
  cluster.isLost = ({ to }) => to === away;
  const inImage = put(cluster.member(away), "own", "1");
  cluster.tick(1);
  cluster.cut.add(away);
  putEach(cluster, rounds);
  assert.equal(kindOf(inImage), "waiting");
  cluster.cut.clear();
  cluster.isLost = () => false;
  cluster.tick(5);
  assert.equal(inImage.error, errTimeoutLeaderFail);
  const later = put(cluster.member(away), "own", "2");
  cluster.tick(2);
  assert.equal(kindOf(later), "put");
  assertCaughtUp(cluster);
});

/** Revisions that a watcher of everything was told, from `start` on. */
function watchAll(member: Member, start: number): { revisions: number[]; compacted: number } {
  const seen = { revisions: [] as number[], compacted: 0 };
  const stream = member.watches.open({
    onEvents: (_id, message) => {
      for (let i = message.first; i <= message.last; i++) seen.revisions.push(i);
      return true;
    },
    onProgress: () => true,
    onCompacted: (_id, floor) => {
      seen.compacted = floor;
      return true;
    },
    onStopped: () => {},
  });
  const wants = { prevKv: false, noPut: false, noDelete: false, fragment: false, progress: false };
  stream.create({ id: 0, key: Buffer.of(0), rangeEnd: Buffer.of(0), start, wants });
  return seen;
}

test("watchers go on across an image, without loss or repeat; who needs compacted history is told", () => {
  const cluster = started(11);
  const [away, other] = followersOf(cluster);
  putEach(cluster, 5);
  const live = watchAll(cluster.member(away), 0);
  const future = watchAll(cluster.member(away), 100);
  const from = cluster.member(away).state.revision + 1;
  putEach(cluster, 3);
  cluster.cut.add(away);
  putEach(cluster, rounds);
  cluster.cut.clear();
  cluster.tick(5);
  putEach(cluster, 4);
  const to = cluster.leader().state.revision;
  assert.deepEqual(
    live.revisions,
    Array.from({ length: to - from + 1 }, (_, i) => from + i),
  );
  assert.deepEqual(future.revisions, []);
  cluster.cut.add(away);
  putEach(cluster, rounds);
  compact(cluster.leader(), cluster.leader().state.revision - 2);
  cluster.tick(2);
  putEach(cluster, rounds);
  cluster.cut.clear();
  cluster.tick(5);
  assert.ok(live.compacted > to, "the live one had missed compacted revisions");
  assert.equal(future.compacted, 100 < live.compacted ? live.compacted : 0);
  assert.deepEqual(hashOf(cluster, away), hashOf(cluster, other));
});

test("an image that ends below what a refilled member had acknowledged does not end the refill", () => {
  const cluster = started(13);
  const [away] = followersOf(cluster);
  putEach(cluster, rounds);
  cluster.tick(3);
  // Acknowledged by it, applied, and in nobody's store: no time passes.
  for (let i = 0; i < 5; i++) {
    put(cluster.leader(), `late${i}`, "v");
    cluster.settle();
  }
  const floor = { index: cluster.logOf(away).lastIndex(), term: cluster.leader().status().term };
  cluster.crash(away);
  cluster.wipe(away);
  const log = cluster.logOf(away);
  log.restart(log.base(), floor);
  cluster.start(away);
  const offered: number[] = [];
  watchImages(cluster, (frame) => {
    if (frame.kind === "offer") offered.push(frame.meta.index);
    return false;
  });
  /** Of the member with the image in place, still without a vote. */
  const between = new Set<number>();
  cluster.onStep = () => {
    const { applied, isRefilling } = cluster.member(away).status();
    if (isRefilling && applied > 0) between.add(applied);
    else if (!isRefilling) assert.ok(applied >= floor.index - 5, `whole at ${applied}`);
  };
  put(cluster.leader(), "next", "v");
  cluster.settle();
  cluster.onStep = () => {};
  assertCaughtUp(cluster);
  assert.ok(offered.length > 0 && offered.every((index) => index < floor.index), `${offered}`);
  assert.deepEqual([...between], [offered[0]], "it waited for the rest");
  assert.equal(cluster.member(away).status().isRefilling, false);
});
