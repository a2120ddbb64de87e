// Recovery of the segment log: what a crash may do is repaired, what it cannot do is reported.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LogIndex, MemberId, noMember, Term } from "../../src/base/brand.ts";
import { LogFault, type LogTrouble } from "../../src/storage/log.ts";
import { type DiskRaftLog, openRaftLog } from "../../src/storage/raftLog.ts";
import { BatchBuilder, batchHeadBytes, recordHeadBytes } from "../../src/storage/record.ts";
import { segmentHeadBytes, segmentSeed } from "../../src/storage/segment.ts";
import { FaultyDisk, sector } from "./faultyDisk.ts";
import {
  entries,
  entry,
  hardState,
  membership,
  never,
  options,
  type Picture,
  pictureOf,
} from "./logFixture.ts";

const first = "0000000001.log";

function open(disk: FaultyDisk, changed = {}): DiskRaftLog {
  return openRaftLog(options(disk, { mayCreate: false, ...changed }));
}

function troubleOf(run: () => unknown): LogTrouble {
  try {
    run();
  } catch (error) {
    if (error instanceof LogFault) return error.trouble;
    throw error;
  }
  return assert.fail("the log opened");
}

/** A log with one batch per item; each item is a run of entries of 24 bytes. */
function logOf(disk: FaultyDisk, runs: readonly (readonly [from: number, to: number])[]) {
  const log = openRaftLog(options(disk));
  for (const [from, to] of runs) {
    assert.ok(log.save({ entries: entries(from, to, 1, 24) }, true, never));
  }
  return log;
}

describe("a torn tail", () => {
  const disk = new FaultyDisk();
  const log = logOf(disk, [
    [1, 4],
    [4, 6],
  ]);
  const before = disk.clone();
  const pictureBefore = pictureOf(log);
  log.save({ hardState: hardState(2, 0xa2n, 3), entries: entries(6, 26, 2, 40) }, true, never);
  const pictureAfter = pictureOf(log);
  // The vote is written once more, behind the batch.
  const last = disk.writes.at(-2) ?? assert.fail();
  const written = disk.files.get(first)?.current.slice(last.offset, last.offset + last.bytes);
  const whole = batchHeadBytes + (recordHeadBytes + 8) + 20 * (recordHeadBytes + 40);

  // A vote that was on its way is kept as soon as the head that tells of it has landed.
  const pictureVoted = {
    ...pictureBefore,
    state: { ...pictureBefore.state, term: Term(2), vote: MemberId(0xa2n) },
  };

  test("is cut wherever the write ended", () => {
    assert.ok(written && written.length > 2 * sector);
    for (let length = 0; length <= written.length; length++) {
      const torn = before.clone();
      torn.patch(first, last.offset, written.subarray(0, length));
      const recovered = open(torn);
      // Whatever ends in zeros is whole before its end: a head, the last data byte, the padding.
      const zerosUpTo = (to: number): boolean =>
        written.subarray(length, Math.max(length, to)).every((byte: number) => byte === 0);
      const complete = zerosUpTo(whole);
      const cut = zerosUpTo(batchHeadBytes) ? pictureVoted : pictureBefore;
      const want: Picture = complete ? pictureAfter : cut;
      assert.deepEqual(pictureOf(recovered), want, `${length} bytes of ${whole} landed`);
      if (length > 0 && length < whole - 40) assert.ok(recovered.tornTail, `at ${length}`);
    }
  });

  test("is cut whichever sectors landed", () => {
    const sectors = last.bytes / sector;
    for (let subset = 0; subset < 2 ** sectors; subset++) {
      const torn = before.clone();
      for (let i = 0; i < sectors; i++) {
        if ((subset & (1 << i)) === 0) continue;
        const from = i * sector;
        torn.patch(
          first,
          last.offset + from,
          written?.subarray(from, from + sector) ?? assert.fail(),
        );
      }
      const cut = (subset & 1) === 1 ? pictureVoted : pictureBefore;
      const want = subset === 2 ** sectors - 1 ? pictureAfter : cut;
      assert.deepEqual(pictureOf(open(torn)), want, `sectors ${subset.toString(2)}`);
    }
  });

  test("leaves nothing that could come back", () => {
    const torn = before.clone();
    torn.patch(first, last.offset + sector, written?.subarray(sector) ?? assert.fail());
    open(torn);
    const rest = torn.files.get(first)?.durable.subarray(last.offset + 2 * sector);
    assert.ok(rest?.every((byte) => byte === 0));
  });
});

describe("several unsynced batches", () => {
  // Five saves in flight: the pool never finishes, so none of them was acknowledged.
  function inFlight(): { disk: FaultyDisk; acknowledged: unknown } {
    const disk = new FaultyDisk();
    const log = openRaftLog(options(disk, { sync: "pooled" }));
    log.save({ entries: entries(1, 3) }, true, () => {});
    disk.completeSync();
    const acknowledged = pictureOf(log);
    for (let i = 3; i < 8; i++) log.save({ entries: [entry(i)] }, true, () => {});
    return { disk, acknowledged };
  }

  test("a missing first one is cut, whatever landed behind it", () => {
    const { disk, acknowledged } = inFlight();
    const log = open(disk.crash((write) => write > 0));
    assert.deepEqual(pictureOf(log), acknowledged);
  });

  test("the whole ones before the first missing one stay", () => {
    const { disk } = inFlight();
    assert.equal(open(disk.crash((write) => write !== 2)).lastIndex(), 4);
    assert.equal(open(disk.crash(() => true)).lastIndex(), 7);
  });

  test("a batch that was cut does not follow a new one of the same length", () => {
    const { disk } = inFlight();
    const after = disk.crash((write) => write > 0);
    const log = open(after);
    // The seal takes a sector, and the new batch the next: both where batches had been.
    assert.ok(log.save({ entries: [entry(3, 9)] }, true, never));
    const again = open(after.clone());
    assert.equal(again.lastIndex(), 3);
    assert.equal(again.term(LogIndex(3)), 9);
  });
});

describe("damage", () => {
  const disk = new FaultyDisk();
  const log = logOf(disk, [
    [1, 3],
    [3, 6],
    [6, 8],
  ]);
  const write = disk.writes.at(-2) ?? assert.fail();
  log.close();
  const recordBytes = recordHeadBytes + 24;

  test("of any byte of a synced batch is reported, never repaired", () => {
    const to = write.offset + batchHeadBytes + 3 * recordBytes;
    for (let offset = write.offset; offset < to; offset++) {
      const bad = disk.clone();
      bad.flip(first, offset, offset % 8);
      const image = bad.files.get(first)?.current.slice();
      const trouble = troubleOf(() => open(bad));
      const why = `byte ${offset - write.offset} of the batch`;
      if (trouble.kind !== "damaged") return assert.fail(`${why}: ${trouble.kind}`);
      assert.equal(trouble.file, first, why);
      const inBatch = offset - write.offset - batchHeadBytes;
      const record = Math.max(0, Math.floor(inBatch / recordBytes));
      const recordAt = write.offset + batchHeadBytes + record * recordBytes;
      assert.equal(trouble.offset, inBatch < 0 ? write.offset : recordAt, why);
      // The head of the batch and the payload leave the entry's identity whole.
      const identityHurt = inBatch >= 0 && inBatch % recordBytes < recordHeadBytes;
      assert.equal(trouble.index, identityHurt ? undefined : 3 + record, why);
      assert.equal(trouble.term, identityHurt ? undefined : 1, why);
      assert.deepEqual(bad.files.get(first)?.current, image, `${why}: nothing was changed`);
    }
  });

  test("of the last batch is told from a torn write once the log was closed or opened", () => {
    const last = disk.writes.at(-2) ?? assert.fail();
    const closed = disk.clone();
    closed.flip(first, last.offset - sector + batchHeadBytes + 40, 3);
    assert.equal(troubleOf(() => open(closed)).kind, "damaged", "closed");

    const crashed = new FaultyDisk();
    logOf(crashed, [[1, 3]]);
    const { offset } = crashed.writes.at(-1) ?? assert.fail();
    const opened = crashed.clone();
    open(opened);
    const before = opened.clone();
    before.flip(first, offset + batchHeadBytes + 40, 3);
    assert.equal(troubleOf(() => open(before)).kind, "damaged", "opened after a crash");
  });

  test("says in one line what and where", () => {
    const bad = disk.clone();
    bad.flip(first, write.offset + batchHeadBytes + recordHeadBytes, 0);
    const at = write.offset + batchHeadBytes;
    assert.throws(() => open(bad), {
      message:
        `log file ${first} is damaged at offset ${at} (entry 3 of term 1); ` +
        "whole are the entries up to 2 of term 1",
    });
  });

  test("found while reading an old entry is a fault", () => {
    const worn = disk.clone();
    const reader = open(worn, { recentBytesMax: 0 });
    worn.flip(first, write.offset + batchHeadBytes + recordHeadBytes, 0);
    const range = { from: LogIndex(1), to: LogIndex(6), bytesMax: 1e6 };
    const trouble = troubleOf(() => reader.entries(range));
    assert.deepEqual(trouble, {
      kind: "damaged",
      file: first,
      offset: write.offset + batchHeadBytes,
      index: 3,
      term: 1,
    });
  });
});

describe("segments", () => {
  // Small segments, so that twenty saves fill several.
  function several(): FaultyDisk {
    const disk = new FaultyDisk();
    const log = openRaftLog(options(disk, { segmentBytesMax: segmentHeadBytes + 8 * sector }));
    for (let i = 1; i <= 20; i++) log.save({ entries: [entry(i, 1, 300)] }, true, never);
    return disk;
  }
  const names = several().list();

  test("are walked in order", () => {
    assert.ok(names.length > 2);
    assert.equal(open(several()).lastIndex(), 20);
  });

  test("the last batch of an older one is proven by the next one", () => {
    const disk = several();
    const inFirst = disk.writes.filter((write) => write.name === first);
    disk.flip(first, (inFirst.at(-1)?.offset ?? 0) + 4, 0);
    assert.equal(troubleOf(() => open(disk)).kind, "damaged");
  });

  test("a lost file is a gap", () => {
    const disk = several();
    disk.remove(names[1] ?? "");
    assert.equal(troubleOf(() => open(disk)).kind, "gap");
  });

  test("a lost first batch of the oldest file is damage, though nothing follows", () => {
    const disk = several();
    const log = open(disk);
    log.compact(LogIndex(20), membership);
    assert.equal(disk.list().length, 1);
    const [name = ""] = disk.list();
    disk.patch(name, segmentHeadBytes, new Uint8Array(8 * sector));
    assert.equal(troubleOf(() => open(disk)).kind, "damaged");
  });

  test("files that a crash brought back after a compaction are removed", () => {
    const disk = several();
    const old = disk.clone();
    const log = open(disk);
    log.compact(LogIndex(18), membership);
    const kept = [...disk.list()];
    const ghost = old.files.get(first) ?? assert.fail();
    disk.files.set(first, ghost);
    const again = open(disk);
    assert.equal(again.firstIndex(), 19);
    assert.equal(again.lastIndex(), 20);
    assert.deepEqual(disk.list().toSorted(), kept.toSorted());
  });

  test("an entry larger than a segment gets a larger segment", () => {
    const disk = several();
    const log = open(disk);
    assert.ok(log.save({ entries: [entry(21, 1, 100_000)] }, true, never));
    assert.ok(log.save({ entries: [entry(22)] }, true, never));
    assert.deepEqual(pictureOf(open(disk.clone())), pictureOf(log));
  });

  test("one that was made but never written to is taken back", () => {
    const disk = new FaultyDisk();
    const small = { segmentBytesMax: segmentHeadBytes + 2 * sector };
    const log = openRaftLog(options(disk, small));
    log.save({ entries: [entry(1)] }, true, never);
    disk.faults.write = "EIO";
    log.save({ entries: [entry(2)] }, true, () => {});
    assert.equal(disk.list().length, 2);
    const after = disk.crash(() => false);
    const again = open(after, small);
    assert.equal(again.lastIndex(), 1);
    assert.ok(again.save({ entries: [entry(2)] }, true, never));
    assert.equal(open(after.clone(), small).lastIndex(), 2);
  });
});

describe("a log is refused", () => {
  const disk = new FaultyDisk();
  logOf(disk, [[1, 4]]).close();
  const head = disk.files.get(first)?.current.slice(0, segmentHeadBytes) ?? assert.fail();

  const headOffsets = [0, 2048];

  test("that is another's", () => {
    const owner = { clusterId: 0xc1n, memberId: 0xa1n };
    const rows = [
      { owner: { ...owner, clusterId: 1n }, want: "foreignCluster" },
      { owner: { ...owner, memberId: 1n }, want: "foreignMember" },
    ];
    for (const { owner, want } of rows) {
      assert.equal(troubleOf(() => open(disk.clone(), { owner })).kind, want);
    }
  });

  test("of another format", () => {
    const other = disk.clone();
    for (const offset of headOffsets) other.patch(first, offset + 8, Uint8Array.of(1));
    assert.deepEqual(
      troubleOf(() => open(other)),
      { kind: "formatVersion", file: first, version: 1 },
    );
  });

  test("whose head is damaged, with its copy", () => {
    for (const offset of [0, 7, 12, 16, 24, 32, 40, 63]) {
      const bad = disk.clone();
      bad.flip(first, offset, 1);
      assert.equal(open(bad.clone()).lastIndex(), 3, "the copy stands in for it");
      bad.flip(first, 2048 + ((offset + 9) % 64), 1);
      assert.equal(troubleOf(() => open(bad)).kind, "damaged", `at ${offset}`);
    }
  });

  test("that is missing, unless it may be made", () => {
    assert.deepEqual(
      troubleOf(() => open(new FaultyDisk())),
      { kind: "missing" },
    );
  });

  test("that was made but never begun, unless it may be made", () => {
    const begun = new FaultyDisk();
    begun.create(first, head, 65536);
    assert.equal(troubleOf(() => open(begun)).kind, "damaged");
    assert.equal(openRaftLog(options(begun)).lastIndex(), 0);
  });

  // Whole batches that no correct log writes.
  const rows = [
    { add: entry(6, 1), want: "gap", why: "4 is missing" },
    { add: entry(4, 0), want: "termBackwards", why: "3 was of term 1" },
  ] as const;
  for (const { add, want, why } of rows) {
    test(`whose entries contradict each other: ${why}`, () => {
      const odd = disk.clone();
      const end = disk.writes.at(-1) ?? assert.fail();
      const batch = new BatchBuilder();
      batch.start(1024, segmentSeed(head));
      batch.addEntry(add);
      const last = { index: add.index, term: add.term };
      const summary = { term: Term(1), vote: noMember, last, isRefilling: false };
      batch.finish({ number: 4, synced: 3, summary });
      odd.patch(first, end.offset + end.bytes, batch.bytes.subarray(0, batch.length));
      const trouble = troubleOf(() => open(odd));
      assert.deepEqual(trouble, { kind: want, file: first, index: add.index });
    });
  }
});
