// A store that is built anew while it is written to: the same rows, on a smaller file.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { Prng } from "../../src/base/prng.ts";
import { copyRowsMax, StoreCopy } from "../../src/member/storeCopy.ts";
import { type Engine, type EngineBatch, Table } from "../../src/storage/engine.ts";
import { type LmdbStoreHome, openLmdbHome } from "../../src/storage/lmdbHome.ts";
import type { IncomingStore } from "../../src/storage/storeHome.ts";
import { homeOptions, numbered, submit } from "./storeFixture.ts";

type Done = (error: Error | undefined) => void;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorlet-copy-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));

function rowsOf(engine: Engine): string[] {
  const rows: string[] = [];
  for (const table of Object.values(Table)) {
    engine.scan({ table, from: Buffer.of(0) }, (key, value) => {
      const [name, text] = [
        Buffer.from(key).toString("hex"),
        Buffer.from(value).toString("latin1"),
      ];
      return rows.push(`${table}/${name}=${text}`) > 0;
    });
  }
  return rows;
}

/** A store that is told of only when what it was given is done. */
function watched(incoming: IncomingStore): { incoming: IncomingStore; settled(): Promise<void> } {
  let pending: Promise<void> = Promise.resolve();
  const begin = (start: (done: Done) => void, done: Done): void => {
    pending = new Promise((resolve) => {
      start((error) => {
        done(error);
        resolve();
      });
    });
  };
  return {
    incoming: {
      add: (rows, done) => begin((told) => incoming.add(rows, told), done),
      change: (batch, done) => begin((told) => incoming.change(batch, told), done),
      finish: (at, done) => begin((told) => incoming.finish(at, told), done),
      commit: (done) => begin((told) => incoming.commit(told), done),
      replace: (done) => begin((told) => incoming.replace(told), done),
      abandon: () => incoming.abandon(),
    },
    settled: () => pending,
  };
}

/** Turns as a member makes them: a batch that `next` gives, unless the store rests, and beside it the copy's. */
async function copied(
  home: LmdbStoreHome,
  next: () => EngineBatch | undefined,
  onRefused: (error: Error) => void = (error) => assert.fail(error),
): Promise<void> {
  let isOver = false;
  let hasRested = false;
  const { incoming, settled } = watched(home.begin());
  const copy = new StoreCopy({
    ...{ engine: home.engine, incoming },
    // So that a step ends by rows and bytes alone.
    clock: { nowMs: () => 0 },
    wake: () => {},
    isHeld: () => false,
    onFailed: (error) => {
      isOver = true;
      onRefused(error);
    },
    onReplaced: (error) => {
      assert.equal(error, undefined);
      isOver = true;
    },
  });
  while (!isOver) {
    const batch = copy.holdsStore ? undefined : next();
    const written = batch && submit(home.engine, batch);
    copy.turn(batch === undefined);
    await written;
    if (batch !== undefined) copy.onBatch(batch);
    await settled();
    hasRested ||= copy.holdsStore;
  }
  assert.ok(hasRested);
}

test("scattered rows come together, the file shrinks, and a start finds it whole", async () => {
  const directory = path.join(folder, "1", "store");
  const file = path.join(directory, "data.mdb");
  const home = openLmdbHome(homeOptions(directory));
  const rows = numbered(0, 20_000, 200);
  for (let i = 0; i < rows.length; i += 4_000)
    await submit(home.engine, { puts: rows.slice(i, i + 4_000) });
  await submit(home.engine, {
    puts: numbered(0, 3, 5_000, Table.lease),
    deletes: rows.filter((_, i) => i % 4 > 0),
  });
  const before = { bytes: fs.statSync(file).size, rows: rowsOf(home.engine) };
  assert.equal(before.rows.length, 5_003);
  await copied(home, () => undefined);
  const { allocatedBytes, inUseBytes } = home.engine.size();
  const bytes = fs.statSync(file).size;
  assert.ok(bytes < before.bytes / 2.5, `${before.bytes} to ${bytes} bytes`);
  assert.ok(allocatedBytes < 1.3 * inUseBytes, `${inUseBytes} of ${allocatedBytes} bytes in use`);
  assert.deepEqual(rowsOf(home.engine), before.rows);
  await submit(home.engine, { puts: numbered(30_000, 30_001, 10) });
  await home.close();
  const again = openLmdbHome(homeOptions(directory));
  assert.equal(rowsOf(again.engine).length, 5_004);
  assert.deepEqual(fs.readdirSync(path.dirname(directory)), ["store"]);
  await again.close();
});

for (const seed of [1, 2, 3]) {
  test(`what is written meanwhile is in the new store, seed ${seed}`, async () => {
    const random = new Prng(seed);
    const home = openLmdbHome(homeOptions(path.join(folder, `random${seed}`, "store")));
    const model = new Map<string, string>();
    const tell = ({ puts, deletes }: EngineBatch): EngineBatch => {
      const nameOf = (row: { table: Table; key: Uint8Array }): string =>
        `${row.table}/${Buffer.from(row.key).toString("hex")}`;
      for (const row of puts) model.set(nameOf(row), Buffer.from(row.value).toString("latin1"));
      for (const row of deletes) model.delete(nameOf(row));
      return { puts, deletes };
    };
    const first = numbered(0, 6_000, 20);
    await submit(home.engine, tell({ puts: first, deletes: [] }));
    await submit(home.engine, tell({ puts: numbered(0, 50, 9, Table.lease), deletes: [] }));
    let appended = 6_000;
    let batches = 0;
    await copied(home, () => {
      // As a member does: history grows at its end, is removed anywhere; other tables change anywhere.
      const grown = random.integer(3 * copyRowsMax);
      const puts = [
        ...numbered(appended, appended + grown, random.integer(90)),
        ...numbered(random.integer(50), 60, 1 + random.integer(90), Table.lease),
        ...numbered(0, 1, batches, Table.meta),
      ];
      appended += grown;
      batches++;
      const deletes = [
        ...Array.from({ length: random.integer(400) }, () => random.integer(appended)).flatMap(
          (at) => numbered(at, at + 1, 0),
        ),
        ...numbered(random.integer(60), 60, 0, Table.lease).slice(0, 3),
      ];
      return tell({ puts, deletes });
    });
    assert.ok(batches > 3, `${batches} batches`);
    const want = [...model].map(([name, value]) => `${name}=${value}`).sort();
    assert.deepEqual(rowsOf(home.engine).sort(), want);
    await home.close();
  });
}

test("a file that cannot be opened refuses it, and what cannot be removed is left to the next start", async (t) => {
  const directory = path.join(folder, "faults", "store");
  const file = path.join(directory, "data.mdb");
  const home = openLmdbHome(homeOptions(directory));
  await submit(home.engine, { puts: numbered(0, 100, 10) });
  const before = rowsOf(home.engine);
  const [openSync, open] = [fs.openSync, fs.promises.open];
  const check = (name: unknown): void => {
    if (name === file) throw new Error("EMFILE: too many open files");
  };
  const opened = [
    t.mock.method(fs, "openSync", (...args: Parameters<typeof openSync>) => {
      check(args[0]);
      return openSync(...args);
    }),
    t.mock.method(fs.promises, "open", async (...args: Parameters<typeof open>) => {
      check(args[0]);
      return open(...args);
    }),
  ];
  const refusals: string[] = [];
  await copied(
    home,
    () => undefined,
    ({ message }) => void refusals.push(message),
  );
  assert.equal(refusals.length, 1);
  assert.match(refusals[0] ?? "", /EMFILE/);
  assert.deepEqual(rowsOf(home.engine), before);
  for (const { mock } of opened) mock.restore();
  const removed = t.mock.method(fs, "rmSync", () => {
    throw new Error("EIO: cannot remove");
  });
  await copied(home, () => undefined);
  assert.equal(removed.mock.callCount(), 1);
  removed.mock.restore();
  assert.deepEqual(rowsOf(home.engine), before);
  await home.close();
  const again = openLmdbHome(homeOptions(directory));
  assert.deepEqual(rowsOf(again.engine), before);
  assert.deepEqual(fs.readdirSync(path.dirname(directory)), ["store"]);
  await again.close();
});

test("an empty store", async () => {
  const home = openLmdbHome(homeOptions(path.join(folder, "empty", "store")));
  await copied(home, () => undefined);
  assert.deepEqual(rowsOf(home.engine), []);
  await home.close();
});
