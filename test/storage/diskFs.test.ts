// The log on real files: the spare segment, leftovers, a full disk, closing under a sync.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { FsLogDisk } from "../../src/storage/diskFs.ts";
import { LogFault } from "../../src/storage/log.ts";
import { type DiskRaftLog, openRaftLog } from "../../src/storage/raftLog.ts";
import { entries, entry, options, pictureOf, recordingLog } from "./logFixture.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorlet-disk-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));
let folders = 0;
const freshPath = (): string => path.join(folder, `${++folders}`);

const mebibyte = 1024 * 1024;

function save(log: DiskRaftLog, from: number, to: number, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error): void => (error ? reject(error) : resolve());
    if (log.save({ entries: entries(from, to, 1, bytes) }, true, done)) resolve();
  });
}

const spares = (directory: string): string[] =>
  fs.readdirSync(directory).filter((name) => name.startsWith("spare-"));

const prepared = (disk: FsLogDisk, bytes: number): Promise<Error | undefined> =>
  new Promise((resolve) => disk.prepare(bytes, resolve));

test("the directory is made for its owner, leftovers are removed", () => {
  const directory = path.join(freshPath(), "log");
  new FsLogDisk(directory).close();
  assert.equal(fs.statSync(directory).mode & 0o777, 0o700);
  fs.writeFileSync(path.join(directory, "spare.tmp"), "x");
  fs.writeFileSync(path.join(directory, "0000000001.log"), "x");
  const disk = new FsLogDisk(directory);
  assert.deepEqual(disk.list(), ["0000000001.log"]);
  assert.deepEqual(fs.readdirSync(directory), ["0000000001.log"]);
});

test("a file is all zeros behind its head, from scratch and from the spare", async () => {
  const directory = freshPath();
  const disk = new FsLogDisk(directory);
  const head = Buffer.from("head");
  for (const name of ["scratch", "spare"]) {
    if (name === "spare") assert.equal(await prepared(disk, 3 * mebibyte + 5), undefined);
    const file = disk.create(name, head, 3 * mebibyte + 5);
    const want = Buffer.alloc(3 * mebibyte + 5);
    head.copy(want);
    assert.ok(fs.readFileSync(path.join(directory, name)).equals(want), name);
    assert.equal(fs.statSync(path.join(directory, name)).mode & 0o777, 0o600);
    file.close();
  }
  assert.deepEqual(disk.list().toSorted(), ["scratch", "spare"]);
  assert.equal(fs.readdirSync(directory).length, 2, "the spare became the second file");
  disk.close();
});

test("a spare of another length is kept for later, and removed at the end", async () => {
  const directory = freshPath();
  const disk = new FsLogDisk(directory);
  await prepared(disk, mebibyte);
  disk.create("other", new Uint8Array(1), 2 * mebibyte).close();
  assert.equal(spares(directory).length, 1);
  disk.create("fitting", new Uint8Array(1), mebibyte).close();
  assert.equal(spares(directory).length, 0);
  await prepared(disk, mebibyte);
  assert.equal(await prepared(disk, mebibyte), undefined, "one is enough");
  disk.close();
  assert.deepEqual(fs.readdirSync(directory).toSorted(), ["fitting", "other"]);
});

test("a spare that is still being made when the disk closes is dropped", async () => {
  const directory = freshPath();
  const disk = new FsLogDisk(directory);
  const made = prepared(disk, 8 * mebibyte);
  disk.close();
  await made;
  assert.deepEqual(fs.readdirSync(directory), []);
});

test("a file is closed behind a sync under way", async () => {
  const directory = freshPath();
  const disk = new FsLogDisk(directory);
  const file = disk.create("a", new Uint8Array(1), mebibyte);
  file.write(Buffer.alloc(mebibyte, 1), mebibyte, 0);
  const synced = new Promise((resolve) => file.sync(resolve));
  file.close();
  file.close();
  assert.equal(await synced, undefined);
  assert.throws(() => file.syncNow(), { code: "EBADF" });
});

test("a log walks through growing segments and comes back", async () => {
  const directory = freshPath();
  const sizes = { segmentBytesMax: 16 * mebibyte, recentBytesMax: mebibyte };
  const log = openRaftLog(options(new FsLogDisk(directory), { ...sizes, sync: "auto" }));
  for (let i = 0; i < 24; i++) await save(log, 1 + i * 10, 11 + i * 10, 100_000);
  const lengths = fs
    .readdirSync(directory)
    .filter((name) => name.endsWith(".log"))
    .toSorted()
    .map((name) => fs.statSync(path.join(directory, name)).size / mebibyte);
  assert.deepEqual(lengths, [4, 8, 16]);
  const picture = pictureOf(log);
  log.close();
  const again = openRaftLog(options(new FsLogDisk(directory), { ...sizes, mayCreate: false }));
  assert.deepEqual(pictureOf(again), picture);
  again.close();
});

test("a full disk stops the log and loses nothing that was acknowledged", async (t) => {
  const mount = freshPath();
  fs.mkdirSync(mount);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=9m", "tmpfs", mount], { stdio: "ignore" });
  } catch {
    return t.skip("may not mount a tmpfs");
  }
  try {
    const { log: notes, lines } = recordingLog();
    const disk = new FsLogDisk(path.join(mount, "log"));
    const log = openRaftLog(options(disk, { segmentBytesMax: 64 * mebibyte, log: notes }));
    let last = 0;
    const failed: unknown = await (async () => {
      for (;;) {
        await save(log, last + 1, last + 2, 300_000);
        last++;
        await new Promise((resolve) => setImmediate(resolve));
      }
    })().catch((error: unknown) => error);
    assert.ok(failed instanceof LogFault);
    assert.deepEqual(failed.trouble, { kind: "noSpace", file: "0000000002.log" });
    assert.ok(last > 10, "the first segment was used up");
    log.close();
    assert.ok(lines.length <= 1);
    const again = openRaftLog(
      options(new FsLogDisk(path.join(mount, "log")), { mayCreate: false }),
    );
    assert.ok(spares(path.join(mount, "log")).length <= 1, "only the one being made now");
    assert.deepEqual(disk.list(), ["0000000001.log"], "nothing half made has a name");
    assert.equal(again.lastIndex(), last);
    assert.ok(again.save({ entries: [entry(last + 1, 1, 10)] }, true, () => {}));
    again.close();
  } finally {
    execFileSync("umount", ["-l", mount]);
  }
});
