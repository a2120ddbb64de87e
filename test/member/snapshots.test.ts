// Files of a member's state for callers: what is in them, how they come, and what ends them.
import assert from "node:assert/strict";
import test from "node:test";
import { MemberId } from "../../src/base/brand.ts";
import {
  errSnapshotCut,
  errStopped,
  errTimeout,
  errTooManyRequests,
} from "../../src/base/errors.ts";
import { pieceBytes } from "../../src/member/snapshotFile.ts";
import {
  snapshotPiecesMax,
  snapshotRowsMax,
  snapshotStalledTicksMax,
  snapshotsMax,
} from "../../src/member/snapshots.ts";
import type { PinnedRows } from "../../src/storage/engine.ts";
import { MemoryEngine, type MemoryEngineOptions } from "../../src/storage/memory.ts";
import { type BoltRow, readBolt } from "../support/boltReader.ts";
import { LocalCluster } from "../support/localCluster.ts";
import { SnapshotTaker } from "../support/snapshotTaker.ts";
import { compact, put, remove } from "./support.ts";

/** Counts its pins, and the rows that are read in a turn. */
class WatchedEngine extends MemoryEngine {
  readonly pins: PinnedRows[] = [];
  rowsRead = 0;

  override pin(): PinnedRows {
    const pin = super.pin();
    const next = pin.next.bind(pin);
    pin.next = (visit) =>
      next((row) => {
        this.rowsRead++;
        return visit(row);
      });
    this.pins.push(pin);
    return pin;
  }

  get openPins(): number {
    return this.pins.filter(({ isOpen }) => isOpen).length;
  }
}

interface Scene {
  readonly cluster: LocalCluster;
  readonly engine: WatchedEngine;
}

function started(): Scene {
  const engines: WatchedEngine[] = [];
  const engineOf = (options: MemoryEngineOptions): WatchedEngine => {
    const engine = new WatchedEngine(options);
    engines.push(engine);
    return engine;
  };
  const cluster = new LocalCluster(1, 1, { engineOf });
  cluster.tick(30);
  const [engine] = engines;
  assert.ok(engine);
  return { cluster, engine };
}

/** One entry each. */
function putMany({ cluster }: Scene, count: number, valueBytes: number): void {
  for (let i = 0; i < count; i++) put(cluster.leader(), `k${i}`, Buffer.alloc(valueBytes, i));
  cluster.settle();
}

const revisionsOf = (rows: readonly BoltRow[] = []): string =>
  rows
    .map(({ key }) => {
      assert.equal(key[8], "_".charCodeAt(0));
      const mark = key.subarray(17).toString();
      return `${key.readBigUInt64BE(0)}.${key.readBigUInt64BE(9)}${mark}`;
    })
    .join(" ");

test("a file holds all that was applied when it was asked for, and nothing later", () => {
  const scene = started();
  const { cluster } = scene;
  put(cluster.leader(), "a", "1");
  put(cluster.leader(), "a", "2");
  cluster.settle();
  compact(cluster.leader(), 3);
  remove(cluster.leader(), "a");
  cluster.settle();
  const taker = new SnapshotTaker(cluster.leader());
  cluster.settle();
  assert.equal(taker.fileBytes, undefined, "its rows are not in the store yet");
  cluster.tick(5);
  assert.ok(taker.isEnded);
  assert.equal(taker.file.length, taker.fileBytes);
  const { buckets } = readBolt(taker.file);
  assert.equal(revisionsOf(buckets.get("key")), "3.0 4.0t");
  const [second, deletion] = buckets.get("key") ?? [];
  assert.equal(second?.value.toString("latin1"), "\n\x01a\x10\x02\x18\x03\x20\x02*\x012");
  assert.equal(deletion?.value.toString("latin1"), "\n\x01a");
  const texts = (name: string): readonly string[] =>
    (buckets.get(name) ?? []).map(({ key, value }) => `${key}=${value.toString("latin1")}`);
  const u64 = (value: number): string => `${"\0".repeat(7)}${String.fromCharCode(value)}`;
  const applied = cluster.appliedOf(MemberId(1n));
  assert.deepEqual(texts("meta"), [
    'confState={"voters":[1],"auto_leave":false}',
    `consistent_index=${u64(applied)}`,
    `finishedCompactRev=${u64(3)}_${u64(0)}`,
    `scheduledCompactRev=${u64(3)}_${u64(0)}`,
    `term=${u64(cluster.leader().term)}`,
  ]);
  const urls = '"peerURLs":["http://m1:2380"],"name":"m1","clientURLs":["http://m1:2379"]';
  assert.deepEqual(texts("members"), [`1={"id":1,${urls}}`]);
  assert.deepEqual(texts("cluster"), ["clusterVersion=3.5.0"]);
  assert.deepEqual(texts("auth"), [`authRevision=${u64(1)}`]);
  for (const name of ["alarm", "authRoles", "authUsers", "lease", "members_removed"]) {
    assert.deepEqual(texts(name), [], name);
  }
});

test("writes go on beside, and are not in it; a turn reads and sends a bounded piece", () => {
  const scene = started();
  const { cluster, engine } = scene;
  putMany(scene, 3 * snapshotRowsMax, 100);
  cluster.tick(5);
  const taker = new SnapshotTaker(cluster.leader());
  let pieces = 0;
  let longest = 0;
  let late = 0;
  cluster.onStep = () => {
    assert.ok(engine.rowsRead <= snapshotRowsMax, `${engine.rowsRead} rows in a turn`);
    assert.ok(taker.pieces - pieces <= snapshotPiecesMax);
    longest = Math.max(longest, engine.rowsRead);
    engine.rowsRead = 0;
    if (taker.pieces > pieces) put(cluster.leader(), `late${late++}`, "x");
    pieces = taker.pieces;
  };
  cluster.settle();
  assert.ok(taker.isEnded && taker.pieces > 10 && longest === snapshotRowsMax);
  assert.equal(taker.file.length, taker.fileBytes);
  const rows = readBolt(taker.file).buckets.get("key") ?? [];
  assert.equal(rows.length, 3 * snapshotRowsMax);
  assert.ok(late > 5);
  assert.equal(cluster.leader().status().revision, 1 + 3 * snapshotRowsMax + late);
  assert.equal(engine.openPins, 0);
});

test("who takes nothing holds a state and no more, for some time", () => {
  const scene = started();
  const { cluster, engine } = scene;
  putMany(scene, 4, 20 * pieceBytes);
  cluster.tick(5);
  const taker = new SnapshotTaker(cluster.leader(), 3);
  cluster.settle();
  cluster.tick(snapshotStalledTicksMax);
  assert.equal(taker.pieces, 3);
  assert.equal(engine.openPins, 1);
  assert.equal(cluster.leader().numbers().openSnapshots, 1);
  taker.resume(4);
  cluster.settle();
  assert.equal(taker.pieces, 7);
  cluster.tick(snapshotStalledTicksMax + 1);
  assert.equal(taker.error, errTimeout);
  assert.equal(engine.openPins, 0);
  assert.equal(cluster.leader().numbers().openSnapshots, 0);
  assert.equal(
    cluster
      .leader()
      .numbers()
      .tally.images.pinSec.counts.reduce((a, b) => a + b),
    1,
  );
});

test("a caller that leaves frees its state at once, and so does a member that stops", () => {
  const scene = started();
  const { cluster, engine } = scene;
  putMany(scene, 4, 20 * pieceBytes);
  cluster.tick(5);
  const takers = Array.from({ length: snapshotsMax }, () => new SnapshotTaker(cluster.leader(), 1));
  assert.equal(new SnapshotTaker(cluster.leader()).error, errTooManyRequests);
  cluster.settle();
  assert.equal(engine.openPins, snapshotsMax);
  takers[0]?.cancel();
  takers[1]?.cancel();
  assert.equal(engine.openPins, snapshotsMax - 2);
  takers[0]?.resume(9);
  const early = new SnapshotTaker(cluster.leader());
  const { id } = cluster.leader();
  const member = cluster.member(id);
  member.handle({ kind: "stop" });
  assert.equal(engine.openPins, 0);
  assert.deepEqual(
    [...takers, early].map(({ error }) => error),
    [undefined, undefined, ...Array(snapshotsMax - 2).fill(errStopped), errStopped],
  );
  assert.equal(new SnapshotTaker(member).error, errStopped);
});

test("a state that the store let go of is taken anew, or the file is cut off", () => {
  const scene = started();
  const { cluster, engine } = scene;
  putMany(scene, 2 * snapshotRowsMax, 100);
  cluster.tick(5);
  const early = new SnapshotTaker(cluster.leader());
  cluster.leader().turn();
  assert.equal(engine.pins.length, 1);
  assert.equal(early.fileBytes, undefined);
  engine.pins[0]?.close();
  cluster.settle();
  assert.equal(engine.pins.length, 2);
  assert.equal(readBolt(early.file).buckets.get("key")?.length, 2 * snapshotRowsMax);
  const late = new SnapshotTaker(cluster.leader(), 1);
  cluster.settle();
  engine.pins[2]?.close();
  late.resume(1);
  cluster.settle();
  assert.equal(late.error, errSnapshotCut);
});
