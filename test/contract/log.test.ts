// One suite for every log: segments on real files, segments on a disk in memory, memory alone.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { Mistake } from "../../src/base/assert.ts";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import { FsLogDisk } from "../../src/storage/diskFs.ts";
import type { RaftLog } from "../../src/storage/log.ts";
import { MemoryLog } from "../../src/storage/memoryLog.ts";
import { openRaftLog } from "../../src/storage/raftLog.ts";
import { FaultyDisk } from "../storage/faultyDisk.ts";
import {
  entries,
  entry,
  hardState,
  membership,
  options,
  pictureOf,
} from "../storage/logFixture.ts";

interface Subject {
  readonly name: string;
  /** A new log, and how to open it again after a close. */
  make(): { log: RaftLog; reopen: () => RaftLog };
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorlet-log-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));
let folders = 0;

const subjects: readonly Subject[] = [
  { name: "segments on files, inline", make: () => onFiles("inline") },
  { name: "segments on files, pooled", make: () => onFiles("pooled") },
  {
    name: "segments in memory, nothing cached",
    make: () => {
      const disk = new FaultyDisk();
      const changed = { segmentBytesMax: 8192, recentBytesMax: 0 };
      return {
        log: openRaftLog(options(disk, changed)),
        reopen: () => openRaftLog(options(disk.clone(), { ...changed, mayCreate: false })),
      };
    },
  },
  {
    name: "memory",
    make: () => {
      const log = new MemoryLog({ membership });
      return { log, reopen: () => log.afterCrash() };
    },
  },
  {
    name: "memory, delayed",
    make: () => {
      const log = new MemoryLog({ membership, delay: (run) => void setImmediate(run) });
      return { log, reopen: () => log.afterCrash() };
    },
  },
];

function onFiles(sync: "inline" | "pooled"): { log: RaftLog; reopen: () => RaftLog } {
  const directory = path.join(folder, `${++folders}`);
  const open = (mayCreate: boolean): RaftLog =>
    openRaftLog(options(new FsLogDisk(directory), { sync, mayCreate }));
  return { log: open(true), reopen: () => open(false) };
}

/** Saves and waits until it is durable. */
function save(log: RaftLog, write: Parameters<RaftLog["save"]>[0], mustSync = true): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error): void => (error ? reject(error) : resolve());
    if (log.save(write, mustSync, done)) resolve();
  });
}

/** One test per log. */
function onEach(title: string, run: (made: ReturnType<Subject["make"]>) => unknown): void {
  for (const subject of subjects) {
    test(`${subject.name}: ${title}`, async () => {
      await run(subject.make());
    });
  }
}

onEach("a new log is empty and knows its members", ({ log }) => {
  assert.equal(log.firstIndex(), 1);
  assert.equal(log.lastIndex(), 0);
  assert.equal(log.term(LogIndex(0)), 0);
  assert.equal(log.term(LogIndex(1)), undefined);
  const refill = undefined;
  assert.deepEqual(log.initialState(), { hardState: hardState(0, 0n, 0), membership, refill });
  log.close();
});

onEach("what was saved is read at once and after a restart", async ({ log, reopen }) => {
  await save(log, { hardState: hardState(2, 0xa2n, 0), entries: entries(1, 4) });
  await save(log, { entries: [entry(4, 2, 0), entry(5, 2, 3000)] });
  await save(log, { hardState: hardState(3, 0xffffffffffffffffn, 4), entries: [] });
  const picture = pictureOf(log);
  assert.equal(log.term(LogIndex(3)), 1);
  assert.equal(log.term(LogIndex(4)), 2);
  assert.equal(log.term(LogIndex(6)), undefined);
  log.close();
  const again = reopen();
  assert.deepEqual(pictureOf(again), picture);
  assert.equal(again.initialState().hardState.vote, MemberId(0xffffffffffffffffn));
  again.close();
});

onEach("entries replace what is at or after the first one's index", async ({ log, reopen }) => {
  await save(log, { entries: entries(1, 10) });
  await save(log, { entries: [entry(4, 2), entry(5, 2)] });
  assert.equal(log.lastIndex(), 5);
  assert.equal(log.term(LogIndex(4)), 2);
  await save(log, { entries: [entry(6, 3)] });
  const picture = pictureOf(log);
  log.close();
  const again = reopen();
  assert.deepEqual(pictureOf(again), picture);
  again.close();
});

onEach("reads stop at the byte limit, but give one entry at least", async ({ log }) => {
  await save(log, { entries: entries(1, 11, 1, 100) });
  const count = (from: number, to: number, bytesMax: number): number =>
    log.entries({ from: LogIndex(from), to: LogIndex(to), bytesMax }).length;
  const rows = [
    { got: count(1, 11, 250), want: 2, why: "the third would pass the limit" },
    { got: count(1, 11, 300), want: 3, why: "the limit is inclusive" },
    { got: count(5, 11, 0), want: 1, why: "never below one" },
    { got: count(3, 3, 100), want: 0, why: "an empty range" },
    { got: count(11, 11, 100), want: 0, why: "empty at the end" },
  ];
  for (const { got, want, why } of rows) assert.equal(got, want, why);
  for (const [from, to] of [
    [0, 1],
    [5, 12],
    [6, 5],
  ] as const) {
    const range = { from: LogIndex(from), to: LogIndex(to), bytesMax: 1 };
    assert.throws(() => log.entries(range), Mistake, `[${from}, ${to})`);
  }
  log.close();
});

onEach("entries that do not follow are a mistake", async ({ log }) => {
  await save(log, { entries: entries(1, 4, 2) });
  const rows = [
    { add: [entry(5, 2)], why: "a gap" },
    { add: [entry(4, 1)], why: "an older term" },
    { add: [entry(4, 2), entry(6, 2)], why: "a gap within" },
    { add: [entry(4, 3), entry(5, 2)], why: "terms go back within" },
    { add: [entry(0, 2)], why: "before the first index" },
  ];
  for (const { add, why } of rows) {
    assert.throws(() => log.save({ entries: add }, true, () => {}), Mistake, why);
  }
  assert.equal(log.lastIndex(), 3);
  log.close();
});

onEach("a snapshot takes the place of the log", async ({ log, reopen }) => {
  await save(log, { hardState: hardState(1, 0n, 3), entries: entries(1, 6) });
  const members = { ...membership, outgoing: [MemberId(9n)] };
  const snapshot = { index: LogIndex(100), term: Term(4), membership: members };
  await save(log, { snapshot, hardState: hardState(5, 0n, 100), entries: [entry(101, 5)] });
  assert.equal(log.firstIndex(), 101);
  assert.equal(log.lastIndex(), 101);
  assert.equal(log.term(LogIndex(100)), 4);
  assert.equal(log.term(LogIndex(99)), undefined);
  const picture = pictureOf(log);
  log.close();
  const again = reopen();
  assert.deepEqual(pictureOf(again), picture);
  assert.deepEqual(again.initialState().membership, members);
  again.close();
});

onEach("compaction forgets the front and keeps the rest", async ({ log, reopen }) => {
  for (let i = 1; i < 60; i++) await save(log, { entries: [entry(i, 1, 400)] });
  await save(log, { hardState: hardState(1, 0n, 59), entries: [] });
  log.compact(LogIndex(40), { voters: [MemberId(7n)], outgoing: [], learners: [] });
  assert.equal(log.firstIndex(), 41);
  assert.equal(log.lastIndex(), 59);
  assert.equal(log.term(LogIndex(40)), 1);
  assert.equal(log.term(LogIndex(39)), undefined);
  log.compact(LogIndex(10), membership);
  assert.equal(log.firstIndex(), 41, "a second, lower compaction changes nothing");
  assert.throws(() => log.compact(LogIndex(60), membership), Mistake);
  const picture = pictureOf(log);
  log.close();
  const again = reopen();
  assert.deepEqual(pictureOf(again), picture);
  await save(again, { entries: [entry(60)] });
  again.compact(LogIndex(60), membership);
  assert.equal(again.firstIndex(), 61);
  assert.equal(again.lastIndex(), 60);
  again.close();
});

onEach(
  "completions come in the order of the saves, not before all before them",
  async ({ log }) => {
    const finished: number[] = [];
    const saves = [1, 2, 3, 4, 5, 6].map((i) => {
      // The fourth only moves the commit: it may be lost, but it must not overtake.
      const commitOnly = i === 4;
      const write = commitOnly
        ? { hardState: hardState(0, 0n, 2), entries: [] }
        : { entries: [entry(i < 4 ? i : i - 1)] };
      return save(log, write, !commitOnly).then(() => finished.push(i));
    });
    await Promise.all(saves);
    assert.deepEqual(finished, [1, 2, 3, 4, 5, 6]);
    log.close();
  },
);

onEach("a commit that moved alone survives a clean close", async ({ log, reopen }) => {
  await save(log, { hardState: hardState(1, 0n, 0), entries: entries(1, 4) });
  await save(log, { hardState: hardState(1, 0n, 3), entries: [] }, false);
  assert.equal(log.initialState().hardState.commit, 3);
  log.close();
  const again = reopen();
  assert.equal(again.initialState().hardState.commit, 3);
  again.close();
});

onEach(
  "a term or a vote is stored even if the caller says that no sync is needed",
  async ({ log, reopen }) => {
    await save(log, { hardState: hardState(7, 0xa2n, 0), entries: [] }, false);
    log.close();
    const again = reopen();
    assert.deepEqual(again.initialState().hardState, hardState(7, 0xa2n, 0));
    again.close();
  },
);

for (const { name, make } of subjects) {
  test(`${name}: sizes of entries are told in order, also behind a compaction and after a start`, async () => {
    const { log, reopen } = make();
    for (let index = 1; index <= 40; index++) {
      const one = entry(index, 1, index % 2 ? 100 : 2000);
      await new Promise<void>((resolve) => {
        if (log.save({ entries: [one] }, true, () => resolve())) resolve();
      });
    }
    log.compact(LogIndex(10), membership);
    const sizesOf = (each: RaftLog): Map<number, number> => {
      const sizes = new Map<number, number>();
      each.visitSizes((index, bytes) => sizes.set(index, bytes));
      return sizes;
    };
    const sizes = sizesOf(log);
    assert.deepEqual(
      [...sizes.keys()],
      Array.from({ length: 30 }, (_, i) => 11 + i),
    );
    const sum = [...sizes.values()].reduce((a, b) => a + b, 0);
    // Ends of segments are not known; heads and sectors come on top of the data.
    assert.ok(sum > 15 * 2000 && sum < 30 * 4096, `${sum} bytes`);
    log.close();
    assert.deepEqual(sizesOf(reopen()), sizes);
  });
}
