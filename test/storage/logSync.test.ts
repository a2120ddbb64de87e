// When a save is durable, in which order completions come, and what a failing disk does to both.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LogIndex } from "../../src/base/brand.ts";
import { LogFault } from "../../src/storage/log.ts";
import { syncWaitersMax } from "../../src/storage/logFile.ts";
import { type DiskRaftLog, openRaftLog } from "../../src/storage/raftLog.ts";
import { segmentHeadBytes } from "../../src/storage/segment.ts";
import { FaultyDisk, sector } from "./faultyDisk.ts";
import { entry, hardState, membership, never, options, recordingLog } from "./logFixture.ts";

function pooled(): { disk: FaultyDisk; log: DiskRaftLog } {
  const disk = new FaultyDisk();
  const segmentBytesMax = 4 * 1024 * 1024;
  return { disk, log: openRaftLog(options(disk, { sync: "pooled", segmentBytesMax })) };
}

describe("pooled syncs", () => {
  test("saves during a sync share the next one", () => {
    const { disk, log } = pooled();
    const done: number[] = [];
    for (const i of [1, 2, 3]) {
      assert.equal(
        log.save({ entries: [entry(i)] }, true, () => done.push(i)),
        false,
      );
    }
    assert.equal(disk.syncs.length, 1);
    disk.completeSync();
    assert.deepEqual(done, [1], "the first sync started before the others were written");
    assert.equal(disk.syncs.length, 1);
    disk.completeSync();
    assert.deepEqual(done, [1, 2, 3]);
    assert.equal(disk.syncs.length, 0);
  });

  test("a save from within a completion waits for its turn", () => {
    const { disk, log } = pooled();
    const done: string[] = [];
    log.save({ entries: [entry(1)] }, true, () => {
      done.push("1");
      assert.equal(
        log.save({ entries: [entry(3)] }, true, () => done.push("3")),
        false,
      );
    });
    log.save({ entries: [entry(2)] }, true, () => done.push("2"));
    while (disk.syncs.length > 0) disk.completeSync();
    assert.deepEqual(done, ["1", "2", "3"]);
  });

  test("a commit alone waits for what was handed over before it, and writes nothing", () => {
    const { disk, log } = pooled();
    const done: string[] = [];
    log.save({ entries: [entry(1)] }, true, () => done.push("entry"));
    const writes = disk.writes.length;
    const write = { hardState: hardState(0, 0n, 1), entries: [] };
    assert.equal(
      log.save(write, false, () => done.push("commit")),
      false,
    );
    assert.equal(disk.writes.length, writes);
    disk.completeSync();
    assert.deepEqual(done, ["entry", "commit"]);
    assert.ok(log.save(write, false, never), "nothing is under way now");
  });

  test(`${syncWaitersMax} waiting saves make the next one block`, () => {
    const { disk, log } = pooled();
    let done = 0;
    const save = (i: number): void => {
      assert.equal(
        log.save({ entries: [entry(i)] }, true, () => done++),
        false,
      );
    };
    const before = disk.syncCount;
    for (let i = 1; i < syncWaitersMax; i++) save(i);
    assert.equal(disk.syncCount, before, "no sync has ended yet");
    save(syncWaitersMax);
    assert.equal(disk.syncCount, before + 1, "the save waited for the disk");
    disk.completeSync();
    assert.equal(done, syncWaitersMax, "nothing is left to sync");
  });

  test("the old segment is synced before the next one is written to", () => {
    const disk = new FaultyDisk();
    const segmentBytesMax = segmentHeadBytes + 4 * sector;
    const log = openRaftLog(options(disk, { sync: "pooled", segmentBytesMax }));
    for (let i = 1; i < 9; i++) log.save({ entries: [entry(i)] }, true, () => {});
    for (const name of disk.list().slice(0, -1)) {
      assert.equal(disk.files.get(name)?.unsynced.length, 0, name);
    }
    assert.ok(disk.list().length > 1);
  });
});

describe("a slow disk", () => {
  test("moves syncs to the pool, a fast one back", () => {
    const disk = new FaultyDisk();
    let nowMs = 0;
    // Each look at the clock costs half of what a sync takes at the moment.
    let syncMs = 0.1;
    const clock = { nowMs: () => (nowMs += syncMs) };
    const log = openRaftLog(options(disk, { sync: "auto", clock }));
    let index = 1;
    const save = (): boolean => {
      const inline = log.save({ entries: [entry(index++)] }, true, () => {});
      while (disk.syncs.length > 0) disk.completeSync();
      return inline;
    };
    assert.ok(save(), "inline at first");
    syncMs = 10;
    let count = 0;
    while (save()) assert.ok(++count < 20, "it never noticed");
    syncMs = 0.1;
    count = 0;
    while (!(save() && save())) assert.ok(++count < 5000, "it never came back");
  });
});

describe("a failing disk", () => {
  interface Failure {
    readonly name: string;
    readonly sync: "inline" | "pooled";
    readonly fault: "write" | "sync";
    readonly code: string;
    readonly kind: string;
  }
  const rows: readonly Failure[] = [
    { name: "write", sync: "inline", fault: "write", code: "EIO", kind: "io" },
    { name: "inline sync", sync: "inline", fault: "sync", code: "EIO", kind: "io" },
    { name: "pooled sync", sync: "pooled", fault: "sync", code: "EIO", kind: "io" },
    { name: "full disk", sync: "inline", fault: "write", code: "ENOSPC", kind: "noSpace" },
  ];
  for (const { name, sync, fault, code, kind } of rows) {
    test(`${name}: the save and all later ones fail, and nothing more is written`, async () => {
      const disk = new FaultyDisk();
      const log = openRaftLog(options(disk, { sync }));
      disk.faults[fault] = code;
      const errors: (Error | undefined)[] = [];
      const first = new Promise<void>((resolve) => {
        const done = (error?: Error): void => {
          errors.push(error);
          resolve();
        };
        assert.equal(log.save({ entries: [entry(1)] }, true, done), false);
      });
      assert.equal(errors.length, 0, "never within the save");
      disk.completeSync();
      await first;
      delete disk.faults[fault];
      const writes = disk.writes.length;
      await new Promise<void>((resolve) => {
        const done = (error?: Error): void => {
          errors.push(error);
          resolve();
        };
        assert.equal(log.save({ entries: [entry(2)] }, true, done), false);
      });
      log.close();
      assert.equal(
        disk.writes.length,
        writes,
        "a page cache that failed once is not trusted again",
      );
      for (const error of errors) {
        assert.ok(error instanceof LogFault);
        assert.equal(error.trouble.kind, kind);
      }
      assert.equal(log.lastIndex(), 2, "what was handed over can still be read");
      assert.equal(log.fault()?.trouble.kind, kind);
    });
  }

  test("a failed pooled sync fails all who wait, in order", () => {
    const { disk, log } = pooled();
    const failed: number[] = [];
    for (const i of [1, 2, 3]) {
      log.save({ entries: [entry(i)] }, true, (error) => error && failed.push(i));
    }
    disk.faults.sync = "EIO";
    disk.completeSync();
    assert.deepEqual(failed, [1, 2, 3]);
  });

  test("a full disk is noticed before the segment is full, and stops the log when it is", async () => {
    const disk = new FaultyDisk();
    const { log: notes, lines } = recordingLog();
    const segmentBytesMax = segmentHeadBytes + 32 * sector;
    disk.faults.prepare = "ENOSPC";
    const log = openRaftLog(options(disk, { segmentBytesMax, log: notes }));
    disk.faults.create = "ENOSPC";
    let index = 1;
    while (disk.prepared.length === 0)
      assert.ok(log.save({ entries: [entry(index++)] }, true, never));
    disk.completeSync();
    assert.deepEqual(lines, ["the next log segment could not be prepared"]);
    let error: Error | undefined;
    await new Promise<void>((resolve) => {
      const done = (failure?: Error): void => {
        error = failure;
        resolve();
      };
      while (log.save({ entries: [entry(index++)] }, true, done));
    });
    assert.ok(error instanceof LogFault);
    assert.deepEqual(error.trouble, { kind: "noSpace", file: "0000000002.log" });
    const again = openRaftLog(options(disk.clone()));
    assert.equal(again.lastIndex(), index - 2, "all that was acknowledged is there");
  });

  test("a new log on a full disk is refused", () => {
    const disk = new FaultyDisk();
    disk.faults.create = "ENOSPC";
    assert.throws(() => openRaftLog(options(disk)), {
      message: "no space left on the disk for log file 0000000001.log",
    });
    delete disk.faults.create;
    disk.faults.sync = "EIO";
    assert.throws(() => openRaftLog(options(disk)), { message: /failed: EIO$/ });
    assert.equal(disk.closedFiles, 1);
  });

  test("a segment that cannot be removed is left, and the log goes on", () => {
    const disk = new FaultyDisk();
    const { log: notes, lines } = recordingLog();
    const segmentBytesMax = segmentHeadBytes + 4 * sector;
    const log = openRaftLog(options(disk, { segmentBytesMax, log: notes }));
    for (let i = 1; i < 9; i++) assert.ok(log.save({ entries: [entry(i)] }, true, never));
    disk.remove = () => {
      throw new Error("EBUSY");
    };
    log.compact(LogIndex(8), membership);
    assert.equal(lines[0], "could not remove a log segment");
    assert.ok(log.save({ entries: [entry(9)] }, true, never));
  });
});
