// One suite for every store home: LMDB on real files, and memory.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { Mistake } from "../../src/base/assert.ts";
import { LogIndex, Term } from "../../src/base/brand.ts";
import { type Engine, Table, type TableRow } from "../../src/storage/engine.ts";
import { openLmdbHome } from "../../src/storage/lmdbHome.ts";
import { MemoryStoreHome } from "../../src/storage/memoryHome.ts";
import type { IncomingStore, StoreHome, StoreMoment } from "../../src/storage/storeHome.ts";
import { finished, homeOptions, beginning as nothing, submit } from "../storage/storeFixture.ts";

/** A home, and what the next start finds after this one died as it stands. */
interface Made {
  readonly home: StoreHome;
  restart(logBase: StoreMoment): Promise<StoreHome>;
}

const moment = (index: number, term = 1): StoreMoment => ({
  index: LogIndex(index),
  term: Term(term),
});

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorlet-home-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));
let folders = 0;

const makers: readonly { readonly name: string; make(): Made }[] = [
  {
    name: "LMDB",
    make: () => {
      const directory = path.join(folder, `${++folders}`, "store");
      const open = (logBase: StoreMoment): StoreHome =>
        // A small map, so that images pass through its growth.
        openLmdbHome(homeOptions(directory, { logBase }));
      const home = open(nothing);
      // The files as they are now; storage/storeCrash.test.ts kills a process.
      const restart = async (logBase: StoreMoment): Promise<StoreHome> => {
        await home.close();
        return open(logBase);
      };
      return { home, restart };
    },
  },
  {
    name: "memory",
    make: () => {
      const home = new MemoryStoreHome({ defer: (run) => setImmediate(run) });
      return { home, restart: async (logBase) => home.afterCrash(logBase) };
    },
  },
];

const row = (key: string, value: string, table: Table = Table.key): TableRow => ({
  table,
  key: Buffer.from(key),
  value: Buffer.from(value),
});

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

async function incomingOf(home: StoreHome, ...rows: TableRow[]): Promise<IncomingStore> {
  const incoming = home.begin();
  await finished((done) => incoming.add(rows, done));
  return incoming;
}

function rowsOf(engine: Engine): string[] {
  const rows: string[] = [];
  const pin = engine.pin();
  pin.next(({ table, key, value }) => rows.push(`${table}/${text(key)}=${text(value)}`) > 0);
  pin.close();
  return rows;
}

/** One test per home. */
function onEach(title: string, run: (made: Made) => unknown): void {
  for (const { name, make } of makers) {
    test(`${name}: ${title}`, async () => {
      const made = make();
      await run(made);
      await made.home.close();
    });
  }
}

onEach("an incoming store takes the place of the one in use", async ({ home }) => {
  await submit(home.engine, { puts: [row("a", "old"), row("b", "old")] });
  const old = home.engine;
  const incoming = await incomingOf(home, row("m", "1", Table.meta), row("a", "new"));
  await finished((done) => incoming.add([row("c", "new")], done));
  assert.deepEqual(rowsOf(home.engine), ["1/a=old", "1/b=old"], "not in use yet");
  await finished((done) => incoming.finish(moment(9), done));
  assert.equal(home.engine, old);
  await finished((done) => incoming.commit(done));
  assert.notEqual(home.engine, old);
  assert.deepEqual(rowsOf(home.engine), ["0/m=1", "1/a=new", "1/c=new"]);
  await submit(home.engine, { puts: [row("d", "later")] });
  assert.deepEqual(rowsOf(home.engine), ["0/m=1", "1/a=new", "1/c=new", "1/d=later"]);
});

onEach("the swap waits for the batch under way, and nobody sees a closed engine", async (made) => {
  const { home } = made;
  const incoming = await incomingOf(home, row("a", "new"));
  await finished((done) => incoming.finish(moment(9), done));
  const order: string[] = [];
  const old = home.engine;
  old.submit({ puts: [row("x", "1")], deletes: [] }, () => {
    order.push("first batch");
    // A member that rests its writer does not do this; the home waits all the same.
    old.submit({ puts: [row("x", "2")], deletes: [] }, () => order.push("second batch"));
  });
  let isDone = false;
  const committed = finished((done) =>
    incoming.commit((error) => {
      isDone = true;
      order.push("commit");
      done(error);
    }),
  );
  assert.equal(isDone, false, "done never comes within commit");
  // Every turn until then reads from an engine that answers.
  while (!isDone) {
    home.engine.get(Table.key, Buffer.from("x"));
    home.engine.size();
    await new Promise(setImmediate);
  }
  await committed;
  assert.deepEqual(order, ["first batch", "second batch", "commit"]);
  assert.deepEqual(rowsOf(home.engine), ["1/a=new"]);
});

onEach("what is pinned in the old store is let go by the swap", async ({ home }) => {
  await submit(home.engine, { puts: [row("a", "old")] });
  const pin = home.engine.pin();
  const incoming = await incomingOf(home, row("a", "new"));
  await finished((done) => incoming.finish(moment(9), done));
  assert.equal(pin.isOpen, true);
  await finished((done) => incoming.commit(done));
  assert.equal(pin.isOpen, false);
  pin.close();
});

onEach("an image larger than any map so far", async ({ home }) => {
  const incoming = home.begin();
  const value = "v".repeat(900);
  const many = Array.from({ length: 2000 }, (_, i) => row(`k${10_000 + i}`, value));
  for (let i = 0; i < many.length; i += 250) {
    await finished((done) => incoming.add(many.slice(i, i + 250), done));
  }
  await finished((done) => incoming.finish(moment(9), done));
  await finished((done) => incoming.commit(done));
  assert.equal(rowsOf(home.engine).length, 2000);
  assert.ok(home.engine.size().inUseBytes > 2000 * 900);
  await submit(home.engine, { puts: [row("a", "1")] });
  assert.equal(rowsOf(home.engine).length, 2001);
});

onEach("an abandoned store leaves nothing, and another one may begin", async ({ home }) => {
  await submit(home.engine, { puts: [row("a", "old")] });
  const first = await incomingOf(home, row("b", "first"));
  assert.throws(() => home.begin(), Mistake);
  first.abandon();
  first.abandon();
  const second = await incomingOf(home, row("c", "second"));
  await finished((done) => second.finish(moment(9), done));
  second.abandon();
  assert.deepEqual(rowsOf(home.engine), ["1/a=old"]);
  const third = await incomingOf(home, row("d", "third"));
  await finished((done) => third.finish(moment(9), done));
  await finished((done) => third.commit(done));
  assert.deepEqual(rowsOf(home.engine), ["1/d=third"]);
  await incomingOf(home);
});

onEach("an abandoned store calls back no more", async ({ home }) => {
  for (const step of ["add", "finish"]) {
    const incoming = home.begin();
    const called = (): never => assert.fail("abandoned");
    if (step === "add") incoming.add([row("a", "1")], called);
    else incoming.finish(moment(1), called);
    incoming.abandon();
    await submit(home.engine, { puts: [row("x", step)] });
    await submit(home.engine, { puts: [row("y", step)] });
  }
});

onEach("steps out of order are mistakes", async ({ home }) => {
  const nop = (): void => {};
  const incoming = home.begin();
  assert.throws(() => incoming.commit(nop), Mistake);
  const added = finished((done) => incoming.add([row("a", "1")], done));
  assert.throws(() => incoming.add([], nop), Mistake);
  assert.throws(() => incoming.finish(moment(1), nop), Mistake);
  await added;
  await finished((done) => incoming.finish(moment(1), done));
  assert.throws(() => incoming.add([], nop), Mistake);
  const committed = finished((done) => incoming.commit(done));
  assert.throws(() => incoming.abandon(), Mistake);
  await committed;
});

onEach("rows change once more before the store is whole", async ({ home }) => {
  const incoming = await incomingOf(home, row("a", "1"), row("b", "1"), row("c", "1"));
  const change = {
    puts: [row("b", "2"), row("d", "2")],
    deletes: [row("a", ""), row("none", "")],
  };
  await finished((done) => incoming.change(change, done));
  await finished((done) => incoming.finish(moment(9), done));
  await finished((done) => incoming.commit(done));
  assert.deepEqual(rowsOf(home.engine), ["1/b=2", "1/c=1", "1/d=2"]);
});

onEach("a store that replaces the one in use is found by who holds that", async ({ home }) => {
  const rows = [row("m", "1", Table.meta), row("a", "1"), row("b", "1")];
  await submit(home.engine, { puts: rows });
  const { engine } = home;
  const pin = engine.pin();
  const incoming = await incomingOf(home, ...rows);
  await finished((done) => incoming.finish(moment(9), done));
  let isDone = false;
  engine.submit({ puts: [row("a", "late")], deletes: [] }, () => {});
  const replaced = finished((done) =>
    incoming.replace((error) => {
      isDone = true;
      done(error);
    }),
  );
  assert.equal(isDone, false, "done never comes within replace");
  // Every turn until then reads from an engine that answers.
  while (!isDone) {
    assert.ok(engine.get(Table.key, Buffer.from("b")));
    await new Promise(setImmediate);
  }
  await replaced;
  assert.equal(home.engine, engine);
  assert.equal(pin.isOpen, false);
  assert.deepEqual(rowsOf(engine), ["0/m=1", "1/a=1", "1/b=1"]);
  await submit(engine, { puts: [row("c", "later")], deletes: [row("a", "")] });
  assert.deepEqual(rowsOf(engine), ["0/m=1", "1/b=1", "1/c=later"]);
  const other = await incomingOf(home, row("d", "1"));
  other.abandon();
});

/** How far an incoming store comes before the member dies. */
const deaths: readonly { at: string; base: StoreMoment; want: "old" | "new" }[] = [
  { at: "begun", base: nothing, want: "old" },
  { at: "begun", base: moment(9), want: "old" },
  { at: "adding", base: moment(9), want: "old" },
  { at: "added", base: moment(9), want: "old" },
  { at: "finishing", base: nothing, want: "old" },
  { at: "finished", base: nothing, want: "old" },
  { at: "finished", base: moment(8), want: "old" },
  { at: "finished", base: moment(9, 2), want: "old" },
  { at: "finished", base: moment(9), want: "new" },
  { at: "committing", base: moment(9), want: "new" },
  { at: "committed", base: moment(9), want: "new" },
  { at: "committed", base: moment(12), want: "new" },
];

async function advance(home: StoreHome, at: string): Promise<void> {
  const steps = ["begun", "adding", "added", "finishing", "finished", "committing", "committed"];
  const reach = steps.indexOf(at);
  const incoming = home.begin();
  if (reach < 1) return;
  const added = finished((done) => incoming.add([row("a", "new")], done));
  if (reach < 2) return;
  await added;
  if (reach < 3) return;
  const isFinished = finished((done) => incoming.finish(moment(9), done));
  if (reach < 4) return;
  await isFinished;
  if (reach < 5) return;
  const isCommitted = finished((done) => incoming.commit(done));
  if (reach === 6) await isCommitted;
}

for (const { at, base, want } of deaths) {
  onEach(`dead while ${at}, log behind ${base.index}/${base.term}: ${want}`, async (made) => {
    await submit(made.home.engine, { puts: [row("a", "old")] });
    await advance(made.home, at);
    const next = await made.restart(base);
    assert.deepEqual(rowsOf(next.engine), [`1/a=${want}`]);
    // And once more: what was decided stays decided.
    const incoming = await incomingOf(next, row("a", "newer"));
    incoming.abandon();
    await next.close();
  });
}
