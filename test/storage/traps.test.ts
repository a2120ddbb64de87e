// The disk's traps by name: each way in which a disk fails, and that it neither loses what was
// acknowledged nor serves what is wrong. Other files have the details; here each trap has one test.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { LogIndex, MemberId } from "../../src/base/brand.ts";
import { EngineFault } from "../../src/storage/engineFault.ts";
import { LmdbEngine } from "../../src/storage/lmdb.ts";
import { LogFault, type LogTrouble } from "../../src/storage/log.ts";
import { type DiskRaftLog, openRaftLog } from "../../src/storage/raftLog.ts";
import { batchHeadBytes, recordHeadBytes } from "../../src/storage/record.ts";
import { isPermanent } from "../../workers/permanent.ts";
import { FaultyDisk, sector } from "./faultyDisk.ts";
import { entries, entry, hardState, never, options, pictureOf } from "./logFixture.ts";
import { numbered, submit } from "./storeFixture.ts";

const first = "0000000001.log";
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorlet-traps-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));

const open = (disk: FaultyDisk, changed = {}): DiskRaftLog =>
  openRaftLog(options(disk, { mayCreate: false, ...changed }));

function faultOf(run: () => unknown): LogFault {
  try {
    run();
  } catch (error) {
    if (error instanceof LogFault) return error;
    throw error;
  }
  return assert.fail("nothing was found");
}

const troubleOf = (run: () => unknown): LogTrouble => faultOf(run).trouble;

/** Entries 1 to 9 in three batches, closed. */
function logOfNine(): FaultyDisk {
  const disk = new FaultyDisk();
  const log = openRaftLog(options(disk));
  for (const from of [1, 4, 7]) {
    assert.ok(log.save({ entries: entries(from, from + 3, 1, 400) }, true, never));
  }
  log.close();
  return disk;
}

/** Offset of the data of entry `index`. */
function dataOf(disk: FaultyDisk, index: number): number {
  const image = Buffer.from(disk.files.get(first)?.current ?? []);
  const at = image.indexOf(entry(index, 1, 400).data);
  return at >= 0 ? at : assert.fail(`entry ${index} is there`);
}

test("trap: bit flip in an acknowledged record: refilled by others, refused alone", () => {
  const disk = logOfNine();
  disk.flip(first, dataOf(disk, 5) + 7, 2);
  const alone = faultOf(() => open(disk.clone()));
  assert.equal(alone.trouble.kind, "damaged");
  assert.match(alone.message, /entry 5 of term 1\); whole are the entries up to 3 of term 1$/);
  assert.equal(isPermanent(alone, "start"), true);
  const refilled = open(disk, { mayRefill: true });
  assert.equal(refilled.lastIndex(), 3);
  assert.deepEqual(refilled.initialState().refill, { index: 9, term: 1 });
});

test("trap: torn write at the end is cut, and nothing else", () => {
  const disk = new FaultyDisk();
  const log = openRaftLog(options(disk, { sync: "pooled" }));
  log.save({ entries: entries(1, 4, 1, 400) }, true, () => {});
  disk.completeSync();
  const acknowledged = pictureOf(log);
  log.save({ entries: entries(4, 9, 1, 400) }, true, () => {});
  const after = open(disk.crash((_, sectorNumber) => sectorNumber % 2 === 0));
  assert.deepEqual(pictureOf(after), acknowledged);
  assert.equal(after.tornTail, true);
});

test("trap: lost write in the middle is no torn tail: what follows proves that it was there", () => {
  const disk = logOfNine();
  const { offset, bytes } = disk.writes.at(-3) ?? assert.fail();
  disk.patch(first, offset, new Uint8Array(bytes));
  const { kind } = troubleOf(() => open(disk.clone()));
  assert.equal(kind, "damaged");
  const log = open(disk, { mayRefill: true });
  assert.equal(log.initialState().refill?.index, 9);
});

// Entries of 416 bytes of data fill a sector up to its end behind the head of their batch, and of 480
// bytes a whole one: the record that strays covers another one exactly, and every checksum passes.
function logOfSectors(): { disk: FaultyDisk; places: Map<number, number> } {
  const disk = new FaultyDisk();
  const log = openRaftLog(options(disk));
  const places = new Map<number, number>();
  for (const from of [1, 4, 7]) {
    const batch = [entry(from, 1, 416), entry(from + 1, 1, 480), entry(from + 2, 1, 480)];
    assert.ok(log.save({ entries: batch }, true, never));
    const { offset } = disk.writes.at(-1) ?? assert.fail();
    for (let i = 0; i < 3; i++) places.set(from + i, offset + i * sector);
  }
  log.close();
  return { disk, places };
}

const sectorAt = (disk: FaultyDisk, offset: number): Uint8Array =>
  disk.files.get(first)?.current.slice(offset, offset + sector) ?? assert.fail();

test("trap: misdirected write: a whole record in another's place is found by its identity", () => {
  const { disk, places } = logOfSectors();
  for (const [from, to] of [
    [2, 5],
    [5, 6],
    [8, 9],
    [3, 9],
    [9, 8],
    [6, 2],
  ] as const) {
    const strayed = disk.clone();
    strayed.patch(first, places.get(to) ?? 0, sectorAt(disk, places.get(from) ?? 0));
    const why = `${from} over ${to}`;
    const trouble = troubleOf(() => open(strayed.clone()));
    assert.equal(trouble.kind, "damaged", why);
    const log = open(strayed, { mayRefill: true });
    assert.equal(log.initialState().refill?.index, 9, why);
    assert.equal(log.lastIndex(), 3 * Math.floor((to - 1) / 3), why);
  }
});

test("trap: misdirected write: a batch of one entry over another one", () => {
  const disk = new FaultyDisk();
  const log = openRaftLog(options(disk));
  const places: number[] = [0];
  // The head in a sector of its own: a large hard state record, as it were, is what it takes.
  for (let index = 1; index <= 6; index++) {
    log.save({ entries: [entry(index, 1, 100)] }, true, never);
    places.push(disk.writes.at(-1)?.offset ?? 0);
  }
  log.close();
  for (const [from, to] of [
    [1, 6],
    [2, 3],
    [6, 2],
    [4, 1],
  ] as const) {
    const strayed = disk.clone();
    strayed.patch(first, places[to] ?? 0, sectorAt(disk, places[from] ?? 0));
    assert.equal(troubleOf(() => open(strayed.clone())).kind, "damaged", `batch ${from} at ${to}`);
    // Without its head, the record alone.
    const bare = disk.clone();
    const record = sectorAt(disk, places[from] ?? 0).subarray(batchHeadBytes);
    bare.patch(first, (places[to] ?? 0) + batchHeadBytes, record);
    assert.equal(troubleOf(() => open(bare)).kind, "damaged", `record ${from} at ${to}`);
  }
});

test("trap: misdirected write: a batch of another segment never passes", () => {
  const disk = new FaultyDisk();
  const small = { segmentBytesMax: 4096 + 6 * sector };
  const log = openRaftLog(options(disk, small));
  for (let index = 1; index <= 12; index++) {
    log.save({ entries: [entry(index, 1, 100)] }, true, never);
  }
  log.close();
  const second = "0000000002.log";
  const strayed = disk.files.get(second)?.current.slice(4096, 4096 + sector) ?? assert.fail();
  disk.patch(first, 4096 + 2 * sector, strayed);
  assert.equal(troubleOf(() => open(disk, small)).kind, "damaged");
});

test("trap: misdirected write: an old entry of the same index, found when it is read", () => {
  const disk = new FaultyDisk();
  const log = openRaftLog(options(disk, { recentBytesMax: 0 }));
  log.save({ entries: entries(1, 4, 1, 100) }, true, never);
  const old = disk.writes.at(-1)?.offset ?? 0;
  log.save({ hardState: hardState(2, 0n, 0), entries: entries(1, 4, 2, 100) }, true, never);
  // The vote comes twice: the batch, and one for the vote alone.
  const place = (disk.writes.at(-2)?.offset ?? 0) + recordHeadBytes + 8;
  const records = 3 * (recordHeadBytes + 104);
  const bytes = disk.files.get(first)?.current.slice(old, old + batchHeadBytes + records);
  disk.patch(first, place + batchHeadBytes, bytes?.subarray(batchHeadBytes) ?? assert.fail());
  const range = { from: LogIndex(1), to: LogIndex(4), bytesMax: 1e6 };
  const trouble = troubleOf(() => log.entries(range));
  assert.equal(trouble.kind, "damaged");
});

for (const code of ["EIO", "ENOSPC"]) {
  test(`trap: ${code} on a write of the log stops the member${code === "EIO" ? " for good" : ""}`, async () => {
    const disk = new FaultyDisk();
    const log = openRaftLog(options(disk));
    disk.faults.write = code;
    const error = await new Promise<Error | undefined>((done) => {
      assert.equal(log.save({ entries: entries(1, 2) }, true, done), false);
    });
    assert.ok(error instanceof LogFault);
    assert.equal(isPermanent(error, "run"), code === "EIO");
    disk.faults.write = undefined;
    const written = disk.writes.length;
    const later = await new Promise((done) => log.save({ entries: entries(2, 3) }, true, done));
    assert.equal(later, error, "nothing is written behind a gap");
    assert.equal(disk.writes.length, written);
  });
}

test("trap: failed fsync stops the member for good: the page cache cannot be trusted", async () => {
  for (const sync of ["inline", "pooled"] as const) {
    const disk = new FaultyDisk();
    const log = openRaftLog(options(disk, { sync }));
    disk.faults.sync = "EIO";
    const saved = new Promise<Error | undefined>((done) => {
      assert.equal(log.save({ entries: entries(1, 2) }, true, done), false);
    });
    disk.completeSync();
    const error = await saved;
    assert.ok(error instanceof LogFault, sync);
    assert.equal(isPermanent(error, "run"), true);
    // The next sync would succeed, and prove nothing.
    disk.faults.sync = undefined;
    const later = await new Promise((done) => log.save({ entries: entries(2, 3) }, true, done));
    assert.equal(later, error, sync);
  }
});

/** Files of this process may not grow beyond `bytes`. @returns false where that cannot be said. */
function limitFiles(bytes: number | "unlimited"): boolean {
  try {
    const args = ["--pid", `${process.pid}`, `--fsize=${bytes}:`];
    execFileSync("prlimit", args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

test("trap: a failed batch of the store stops the member for good", async (t) => {
  const engine = new LmdbEngine({ directory: path.join(folder, "store"), mapBytes: 1 << 20 });
  await submit(engine, { puts: numbered(0, 9, 100) });
  // Without a listener the signal ends the process; with one the write fails.
  const nop = (): void => {};
  process.on("SIGXFSZ", nop);
  if (!limitFiles(engine.size().allocatedBytes)) return t.skip("needs prlimit");
  try {
    const error: unknown = await submit(engine, { puts: numbered(9, 200, 1000) }).catch(
      (why) => why,
    );
    assert.ok(error instanceof EngineFault, String(error));
    assert.equal(error.trouble.kind, "io");
    assert.equal(isPermanent(error, "run"), true);
  } finally {
    limitFiles("unlimited");
    process.off("SIGXFSZ", nop);
  }
  const rows: string[] = [];
  const pin = engine.pin();
  pin.next(({ key }) => rows.push(Buffer.from(key).toString("hex")) > 0);
  assert.equal(rows.length, 9, "nothing of the batch is there");
  await engine.close();
});

test("trap: damage that a read finds while running: the next start refills", () => {
  const disk = logOfNine();
  const log = open(disk, { recentBytesMax: 0, mayRefill: true });
  disk.flip(first, dataOf(disk, 5) + 7, 2);
  const range = { from: LogIndex(1), to: LogIndex(9), bytesMax: 1e6 };
  const fault = faultOf(() => log.entries(range));
  assert.equal(isPermanent(fault, "run"), false);
  const next = open(
    disk.crash(() => true),
    { mayRefill: true },
  );
  assert.equal(next.lastIndex(), 3);
  assert.deepEqual(next.initialState().refill, { index: 9, term: 1 });
});

test("trap: a promise in the damaged part is kept", () => {
  const disk = new FaultyDisk();
  const log = openRaftLog(options(disk));
  log.save({ entries: entries(1, 4, 1, 400) }, true, never);
  const { offset } = disk.writes.at(-1) ?? assert.fail();
  log.save({ hardState: hardState(7, 0xa3n, 0), entries: [] }, true, never);
  log.close();
  disk.flip(first, offset + batchHeadBytes + 40, 1);
  const { hardState: state, refill } = open(disk, { mayRefill: true }).initialState();
  assert.deepEqual([state.term, state.vote], [7, MemberId(0xa3n)]);
  assert.equal(refill?.index, 3);
});
