// What only LMDB can do wrong: restarts, damaged rows, a map that runs short, a full disk.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { Worker } from "node:worker_threads";
import { ThreadGate } from "../../src/base/threadGate.ts";
import { type Engine, type EngineBatch, Table } from "../../src/storage/engine.ts";
import { EngineFault } from "../../src/storage/engineFault.ts";
import { LmdbEngine, pagedRowsMin } from "../../src/storage/lmdb.ts";
import { nodeLmdb } from "../../src/storage/nodeLmdb.ts";
import { runnable } from "../support/paths.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorlet-lmdb-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));

const open = (name: string, mapBytes = 1 << 20): LmdbEngine =>
  new LmdbEngine({ directory: path.join(folder, name), mapBytes });

function submit(engine: Engine, puts: EngineBatch["puts"]): Promise<void> {
  return new Promise((resolve, reject) => {
    engine.submit({ puts, deletes: [] }, (error) => (error ? reject(error) : resolve()));
  });
}

/** Rows with keys of 8 bytes in [from, to), and values that tell them apart. */
const rows = (from: number, to: number, valueBytes: number): EngineBatch["puts"] =>
  Array.from({ length: to - from }, (_, i) => {
    const key = Buffer.alloc(8);
    key.writeUInt32BE(from + i, 4);
    return { table: Table.key, key, value: Buffer.alloc(valueBytes, `row ${from + i}.`) };
  });

const countOf = (engine: Engine): number => {
  let count = 0;
  engine.scan({ table: Table.key, from: Buffer.alloc(0) }, () => ++count > 0);
  return count;
};

test("rows are there after a restart, with a smaller map than they need", async () => {
  const engine = open("restart");
  await submit(engine, rows(0, 5000, 300));
  await engine.close();
  const again = open("restart", 4096);
  assert.equal(countOf(again), 5000);
  await submit(again, rows(5000, 5001, 300));
  assert.equal(countOf(again), 5001);
  await again.close();
});

test("the map grows before a batch and, if the guess was low, after MDB_MAP_FULL", async () => {
  const engine = open("growth", 65536);
  // Overflow pages: a value of 4100 bytes takes two whole pages.
  for (let round = 0; round < 12; round++) {
    await submit(engine, rows(round * 500, (round + 1) * 500, round % 2 ? 4100 : 300));
  }
  assert.equal(countOf(engine), 6000);
  await engine.close();
});

/** Every row of the table as text; with a bound LMDB's cursor reads it, else its pages are read. */
function textsOf(engine: Engine, to?: Uint8Array): string[] {
  const found: string[] = [];
  engine.scan({ table: Table.key, from: Buffer.alloc(1), to }, (key, value) => {
    found.push(`${Buffer.from(key).toString("hex")}=${Buffer.from(value).toString("latin1")}`);
    return true;
  });
  return found;
}

test("a whole table read by pages is what the cursor reads, at any size of a row", async () => {
  const engine = open("pages");
  const last = Buffer.alloc(9, 255);
  // Within a page, at its edge, one overflow page, several, and beyond what is read at once.
  const sizes = [1, 300, 1990, 2100, 4067, 4068, 9000, 300_000];
  for (const [i, size] of sizes.entries()) {
    const count = size > 100_000 ? 3 : 400;
    await submit(engine, rows(i * 1000, i * 1000 + count, size));
    const byCursor = textsOf(engine, last);
    assert.equal(byCursor.length, i * 400 + count);
    assert.deepEqual(textsOf(engine), byCursor, `rows of ${size} bytes`);
  }
  const deletes = rows(0, 3000, 0).filter((_, i) => i % 3 > 0);
  await new Promise<void>((resolve, reject) => {
    engine.submit({ puts: rows(1, 2, 77), deletes }, (error) =>
      error ? reject(error) : resolve(),
    );
  });
  assert.deepEqual(textsOf(engine), textsOf(engine, last), "after deletions");
  let visits = 0;
  engine.scan({ table: Table.key, from: Buffer.alloc(1) }, () => ++visits < 5);
  assert.equal(visits, 5, "stops when told to");
  await engine.close();
});

test("a whole table is read as of the last completed batch while another is under way", async () => {
  const engine = open("busy");
  await submit(engine, rows(0, pagedRowsMin, 100));
  const writing = submit(engine, rows(pagedRowsMin, 3 * pagedRowsMin, 100));
  // Blocks the thread for long enough for the pool to get ahead of it.
  for (let i = 0; i < 50; i++) assert.equal(countOf(engine), pagedRowsMin);
  await writing;
  assert.equal(countOf(engine), 3 * pagedRowsMin);
  await engine.close();
});

test("a row that is damaged while the store is open is named by a scan of pages", async () => {
  const engine = open("pagesDamage");
  await submit(engine, rows(0, pagedRowsMin, 100));
  const file = path.join(folder, "pagesDamage", "data.mdb");
  const at = fs.readFileSync(file).lastIndexOf("row 7.row 7.");
  const fd = fs.openSync(file, "r+");
  fs.writeSync(fd, Buffer.of(0), 0, 1, at + 3);
  fs.closeSync(fd);
  assert.throws(
    () => countOf(engine),
    (error) =>
      error instanceof EngineFault &&
      error.trouble.kind === "damaged" &&
      Buffer.from(error.trouble.key).readUInt32BE(4) === 7,
  );
  await engine.close();
});

test("rows that were just checked are trusted for one scan, not for a second, nor after a batch", async () => {
  const engine = open("checked");
  await submit(engine, rows(0, pagedRowsMin, 100));
  await engine.close();
  const file = path.join(folder, "checked", "data.mdb");
  const reopened = () =>
    new LmdbEngine({ directory: path.dirname(file), mapBytes: 1 << 20, isChecked: true });
  const fd = fs.openSync(file, "r+");
  const at = fs.readFileSync(file).lastIndexOf("row 7.row 7.") + 3;
  fs.writeSync(fd, Buffer.of(0), 0, 1, at);
  const once = reopened();
  assert.equal(countOf(once), pagedRowsMin);
  assert.throws(() => countOf(once), EngineFault);
  await once.close();
  const written = reopened();
  await submit(written, rows(pagedRowsMin, pagedRowsMin + 1, 100));
  assert.throws(() => countOf(written), EngineFault);
  await written.close();
  fs.closeSync(fd);
});

test("a damaged row is a fault that names it, in a get and in a scan", async () => {
  const engine = open("damage");
  await submit(engine, rows(0, 10, 100));
  await engine.close();
  const file = path.join(folder, "damage", "data.mdb");
  const image = fs.readFileSync(file);
  const at = image.lastIndexOf("row 7.row 7.");
  assert.ok(at > 0);
  image[at + 5] = (image[at + 5] ?? 0) ^ 4;
  fs.writeFileSync(file, image);
  const again = open("damage");
  const [six, seven] = rows(6, 8, 0);
  assert.ok(again.get(Table.key, six?.key ?? assert.fail()));
  const damaged = (error: unknown): boolean =>
    error instanceof EngineFault && error.trouble.kind === "damaged";
  assert.throws(() => again.get(Table.key, seven?.key ?? assert.fail()), damaged);
  assert.throws(() => countOf(again), damaged);
  assert.throws(() => again.get(Table.key, seven?.key ?? assert.fail()), {
    message: "the store is damaged: table key, key 0000000000000007",
  });
  await again.close();
});

test("a full disk is a fault", async (t) => {
  const mount = path.join(folder, "full");
  fs.mkdirSync(mount);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", mount], { stdio: "ignore" });
  } catch {
    return t.skip("may not mount a tmpfs");
  }
  try {
    const engine = new LmdbEngine({ directory: path.join(mount, "store"), mapBytes: 1 << 26 });
    await submit(engine, rows(0, 1000, 300));
    const failed = await submit(engine, rows(1000, 20_000, 300)).catch((error) => error);
    assert.ok(failed instanceof EngineFault);
    assert.equal(failed.trouble.kind, "noSpace");
    assert.equal(countOf(engine), 1000, "nothing of the batch is there");
    await engine.close();
  } finally {
    execFileSync("umount", ["-l", mount]);
  }
});

test("whoever would terminate its thread is kept waiting while a batch is under way", async () => {
  const gate = new ThreadGate();
  const engine = new LmdbEngine({ directory: path.join(folder, "gate"), mapBytes: 1 << 26, gate });
  const written = submit(engine, rows(0, 200, 1000));
  assert.equal(gate.close(), false);
  await written;
  assert.equal(gate.close(), true);
  await engine.close();
});

// The addon would hand the ended thread's environment out again, with its reader, which would keep
// every page that was ever freed.
test("a thread that ended without closing leaves nothing behind", async () => {
  const directory = path.join(folder, "thread");
  for (let life = 0; life < 2; life++) {
    const url = runnable(new URL("./engineWorker.mjs", import.meta.url));
    const worker = new Worker(url, { workerData: directory });
    const [message] = await once(worker, "message");
    assert.equal(message, "written");
    await worker.terminate();
  }
  const engine = open("thread", 1 << 26);
  const written = engine.get(Table.key, Buffer.from("key")) ?? assert.fail();
  assert.equal(Buffer.from(written).toString(), "from a thread");
  for (let round = 0; round < 60; round++) await submit(engine, rows(0, 200, 1000));
  const { allocatedBytes } = engine.size();
  assert.ok(allocatedBytes < 4 * 1024 * 1024, `${allocatedBytes} bytes for 200 rows of 1 kB`);
  await engine.close();
});

/** The addon's own method, in place of which `instead` is called once. */
function failOnce(method: "batchWrite" | "resize", instead: () => never): void {
  const prototype = nodeLmdb.Env.prototype as Record<typeof method, unknown>;
  const own = prototype[method];
  prototype[method] = () => {
    prototype[method] = own;
    instead();
  };
}

test("a batch that cannot even begin is told as one that failed, and the engine ends", async () => {
  const gate = new ThreadGate();
  const engine = new LmdbEngine({ directory: path.join(folder, "begin"), mapBytes: 65536, gate });
  const refuse = (): never => {
    throw new Error("no memory for the map");
  };
  for (const method of ["resize", "batchWrite"] as const) {
    failOnce(method, refuse);
    // Large enough that the map has to grow.
    const writing = submit(engine, rows(0, 300, 4000));
    await assert.rejects(writing, (error) => error instanceof EngineFault, method);
    await new Promise<void>((resolve) => engine.whenIdle(resolve));
  }
  await engine.close();
  assert.ok(gate.close(), "nothing is under way");
});
