// The rules by which a log lets go of entries, one by one: bytes, peers, and what the store surely holds.
import assert from "node:assert/strict";
import test from "node:test";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import { LogCompaction } from "../../src/member/logCompaction.ts";
import type { PeerStatus } from "../../src/raft/node.ts";
import { type Entry, EntryKind, type Membership } from "../../src/raft/types.ts";
import { MemoryLog } from "../../src/storage/memoryLog.ts";

const mebibyte = 1 << 20;
const membership: Membership = { voters: [MemberId(1n)], outgoing: [], learners: [] };
const bounds = {
  snapshotEntries: 100,
  catchUpEntries: 10,
  snapshotBytes: 20 * mebibyte,
  catchUpBytes: 4 * mebibyte,
};

const entry = (index: number, bytes: number): Entry => ({
  index: LogIndex(index),
  term: Term(1),
  kind: EntryKind.normal,
  data: new Uint8Array(bytes),
});

class Scene {
  readonly log = new MemoryLog({ membership });
  peers: PeerStatus[] = [];
  compaction: LogCompaction;

  constructor() {
    this.compaction = this.start(0);
  }

  /** A life of the member, whose store holds what was applied up to there. */
  start(applied: number): LogCompaction {
    const raft = { membershipAt: () => membership, peers: () => this.peers };
    const parts = { raft, log: this.log, bounds, heardTicksMax: 5, applied: LogIndex(applied) };
    this.compaction = new LogCompaction(parts);
    return this.compaction;
  }

  /** Saved and applied, not in the store. */
  append(count: number, bytes = 1): void {
    const first = this.log.lastIndex() + 1;
    const entries = Array.from({ length: count }, (_, i) => entry(first + i, bytes));
    this.log.save({ entries }, true, () => {});
    this.compaction.onApplied(entries);
  }

  flush(): void {
    this.compaction.onFlushed(this.log.lastIndex());
  }

  /** What the log begins behind after a tick. */
  base(keepFrom = Number.POSITIVE_INFINITY): number {
    this.compaction.tick(keepFrom);
    return this.log.firstIndex() - 1;
  }
}

test("the log goes up to the margin behind the batch before the last, and no further", () => {
  const scene = new Scene();
  scene.append(110);
  assert.equal(scene.base(), 0, "nothing is in the store");
  scene.flush();
  assert.equal(scene.base(), 0, "a power cut may undo the last batch");
  scene.append(50);
  scene.flush();
  assert.equal(scene.base(), 100);
  assert.equal(scene.log.lastIndex(), 160);
  scene.append(50);
  scene.flush();
  assert.equal(scene.base(), 100, "a little at a time is not worth a sync");
});

test("few large entries count by their bytes", () => {
  const scene = new Scene();
  scene.append(23, mebibyte);
  scene.flush();
  scene.flush();
  assert.equal(scene.base(), 0);
  scene.append(2, mebibyte);
  scene.flush();
  scene.flush();
  assert.equal(scene.base(), 21, "a margin of 4 MiB stays");
});

test("an image under way and a peer that lags a little hold the log back, others do not", () => {
  const rows = [
    { why: "an image goes on from 70", keepFrom: 70, peers: [], base: 70 },
    { why: "an image of before", keepFrom: 20, peers: [], base: 0 },
    { why: "a peer lags", peers: [{ match: 80, silentTicks: 0 }], base: 80 },
    { why: "a peer that is silent", peers: [{ match: 80, silentTicks: 6 }], base: 290 },
    { why: "a peer too far behind", peers: [{ match: 60, silentTicks: 0 }], base: 290 },
    {
      why: "the slowest of two",
      base: 90,
      peers: [120, 90].map((match) => ({ match, silentTicks: 0 })),
    },
  ];
  for (const { why, keepFrom, peers, base } of rows) {
    const scene = new Scene();
    scene.append(300);
    scene.flush();
    scene.flush();
    scene.peers = peers.map(({ match, silentTicks }, i) => {
      const id = MemberId(BigInt(i + 2));
      return { id, state: "replicate", match: LogIndex(match), silentTicks };
    });
    assert.equal(scene.base(keepFrom), base, why);
  }
});

test("trap: what earlier lives left in the log is cut, however often the member starts", () => {
  const scene = new Scene();
  for (let life = 0; life < 6; life++) {
    scene.append(8, mebibyte);
    scene.flush();
    assert.ok(scene.base() >= (life < 3 ? 0 : 8), `life ${life} begins at ${scene.base()}`);
    scene.start(scene.log.lastIndex());
  }
  // What a start found in the store is sure as soon as a batch followed.
  scene.append(1, mebibyte);
  scene.flush();
  assert.equal(scene.base(), 44);
});

test("behind a snapshot the log counts from there", () => {
  const scene = new Scene();
  scene.append(109);
  scene.flush();
  scene.flush();
  const snapshot = { index: LogIndex(500), term: Term(1), membership };
  scene.log.save({ entries: [], snapshot }, true, () => {});
  scene.compaction.onRestored(LogIndex(500));
  assert.equal(scene.base(), 500);
  scene.append(109);
  scene.flush();
  scene.flush();
  assert.equal(scene.base(), 500);
  scene.append(1);
  scene.flush();
  scene.flush();
  assert.equal(scene.base(), 600);
});
