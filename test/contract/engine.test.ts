// One suite for every engine: LMDB on real files, and memory.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { Mistake } from "../../src/base/assert.ts";
import { Prng } from "../../src/base/prng.ts";
import { type Engine, type EngineBatch, type PinnedRows, Table } from "../../src/storage/engine.ts";
import { LmdbEngine } from "../../src/storage/lmdb.ts";
import { MemoryEngine } from "../../src/storage/memory.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorlet-engine-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));
let folders = 0;

const makers: readonly { readonly name: string; make(): Engine }[] = [
  {
    name: "LMDB",
    // A small map, so that the suite passes through its growth.
    make: () => new LmdbEngine({ directory: path.join(folder, `${++folders}`), mapBytes: 65536 }),
  },
  { name: "memory", make: () => new MemoryEngine({ defer: (run) => setImmediate(run) }) },
];

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined): string | undefined =>
  value && Buffer.from(value).toString();

const put = (key: string, value: string, table: Table = Table.key) => ({
  table,
  key: bytes(key),
  value: bytes(value),
});
const del = (key: string, table: Table = Table.key) => ({ table, key: bytes(key) });

function submit(engine: Engine, batch: Partial<EngineBatch>): Promise<void> {
  return new Promise((resolve, reject) => {
    const whole = { puts: batch.puts ?? [], deletes: batch.deletes ?? [] };
    engine.submit(whole, (error) => (error ? reject(error) : resolve()));
  });
}

function rowsOf(engine: Engine, from = "", to?: string, table: Table = Table.key): string[] {
  const rows: string[] = [];
  const range = { table, from: bytes(from), to: to === undefined ? undefined : bytes(to) };
  engine.scan(range, (key, value) => {
    rows.push(`${text(key)}=${text(value)}`);
    return true;
  });
  return rows;
}

/** One test per engine. */
function onEach(title: string, run: (engine: Engine, make: () => Engine) => unknown): void {
  for (const { name, make } of makers) {
    test(`${name}: ${title}`, async () => {
      const engine = make();
      await run(engine, make);
      await engine.close();
    });
  }
}

onEach("a new engine is empty", (engine) => {
  assert.equal(engine.get(Table.meta, bytes("a")), undefined);
  assert.deepEqual(rowsOf(engine), []);
});

onEach("a batch is visible when it is done, not before", async (engine) => {
  const written = submit(engine, { puts: [put("a", "1")] });
  assert.equal(engine.get(Table.key, bytes("a")), undefined);
  assert.deepEqual(rowsOf(engine), []);
  await written;
  assert.equal(text(engine.get(Table.key, bytes("a"))), "1");
});

onEach("done never comes within submit", async (engine) => {
  let within = true;
  const written = new Promise<boolean>((resolve) => {
    engine.submit({ puts: [], deletes: [] }, () => resolve(within));
  });
  within = false;
  assert.equal(await written, false);
});

onEach("puts replace, deletes come after the puts, absent keys may be deleted", async (engine) => {
  await submit(engine, { puts: [put("a", "1"), put("b", "1"), put("a", "2")] });
  await submit(engine, {
    puts: [put("b", "2"), put("c", "3")],
    deletes: [del("c"), del("absent")],
  });
  assert.deepEqual(rowsOf(engine), ["a=2", "b=2"]);
  assert.equal(engine.rowCount(Table.key), 2);
  assert.equal(engine.rowCount(Table.lease), 0);
});

onEach("tables are apart", async (engine) => {
  const all = Object.values(Table);
  await submit(engine, { puts: all.map((table) => put("k", `${table}`, table)) });
  await submit(engine, { deletes: [del("k", Table.lease)] });
  for (const table of all) {
    const want = table === Table.lease ? undefined : `${table}`;
    assert.equal(text(engine.get(table, bytes("k"))), want);
  }
});

onEach("scans give [from, to) in byte order and stop on demand", async (engine) => {
  const keys = ["a", "aa", "b", "ba", "c", "\u00ff"];
  await submit(engine, { puts: keys.toReversed().map((key) => put(key, key)) });
  const rows = [
    { from: "", to: undefined, want: keys, why: "everything" },
    { from: "a", to: "b", want: ["a", "aa"], why: "from is in, to is not" },
    { from: "ab", to: "bb", want: ["b", "ba"], why: "bounds need not be rows" },
    { from: "b", to: undefined, want: ["b", "ba", "c", "\u00ff"], why: "to the end" },
    { from: "c", to: "b", want: [], why: "an empty range" },
    { from: "\u00ff\u00ff", to: undefined, want: [], why: "behind the last row" },
  ];
  for (const { from, to, want, why } of rows) {
    assert.deepEqual(
      rowsOf(engine, from, to),
      want.map((key) => `${key}=${key}`),
      why,
    );
  }
  let seen = 0;
  engine.scan({ table: Table.key, from: bytes("a") }, () => ++seen < 2);
  assert.equal(seen, 2);
});

onEach("a visit that throws leaves the engine usable", async (engine) => {
  await submit(engine, { puts: [put("a", "1")] });
  const visit = (): boolean => assert.fail("stop");
  assert.throws(() => engine.scan({ table: Table.key, from: bytes("") }, visit));
  await submit(engine, { puts: [put("b", "2")] });
  assert.deepEqual(rowsOf(engine), ["a=1", "b=2"]);
});

onEach("bytes that were read belong to the caller", async (engine) => {
  await submit(engine, { puts: [put("a", "value")] });
  engine.get(Table.key, bytes("a"))?.fill(0);
  assert.equal(text(engine.get(Table.key, bytes("a"))), "value");
});

onEach("bytes that were written are the caller's again when done", async (engine) => {
  const row = put("a", "value");
  await submit(engine, { puts: [row] });
  row.key.fill(120);
  row.value.fill(0);
  assert.deepEqual(rowsOf(engine), ["a=value"]);
});

onEach("keys of 1 to 511 bytes, values of any length", async (engine) => {
  const long = "k".repeat(511);
  const large = "v".repeat(100_000);
  await submit(engine, { puts: [put("k", ""), put(long, large)] });
  assert.equal(engine.get(Table.key, bytes("k"))?.length, 0);
  assert.equal(text(engine.get(Table.key, bytes(long))), large);
  for (const key of ["", `${long}k`]) {
    assert.throws(() => engine.submit({ puts: [put(key, "")], deletes: [] }, () => {}), Mistake);
    assert.throws(() => engine.submit({ puts: [], deletes: [del(key)] }, () => {}), Mistake);
  }
  await submit(engine, {});
});

onEach("one batch at a time", async (engine) => {
  const written = submit(engine, { puts: [put("a", "1")] });
  assert.throws(() => engine.submit({ puts: [], deletes: [] }, () => {}), Mistake);
  await written;
});

onEach("close waits for the batch under way", async (_engine, make) => {
  const other = make();
  let done = false;
  other.submit({ puts: [put("a", "1")], deletes: [] }, () => {
    done = true;
  });
  await other.close();
  assert.ok(done);
});

function pinnedRows(pin: PinnedRows, perCall: number): string[] {
  const rows: string[] = [];
  let more = true;
  while (more) {
    let left = perCall;
    more = pin.next(({ table, key, value }) => {
      rows.push(`${table}/${text(key)}=${text(value)}`);
      return --left > 0;
    });
  }
  return rows;
}

onEach("a pin shows one moment of all tables, however much is written later", async (engine) => {
  const puts = Array.from({ length: 700 }, (_, i) => put(`k${1000 + i}`, "old"));
  await submit(engine, { puts: [...puts, put("m", "1", Table.meta), put("l", "1", Table.lease)] });
  const pin = engine.pin();
  const want = ["0/m=1", ...puts.map(({ key }) => `1/${text(key)}=old`), "2/l=1"];
  const read = pinnedRows(pin, 50);
  assert.deepEqual(read, want);
  const changed = puts.map(({ key }) => put(text(key) ?? "", "new"));
  await submit(engine, { puts: changed.slice(0, 400), deletes: puts.slice(400) });
  await submit(engine, { puts: [put("m", "2", Table.meta), put("k0", "new")] });
  pin.rewind();
  assert.deepEqual(pinnedRows(pin, 300), want, "and once more from the start");
  assert.equal(text(pin.get(Table.meta, bytes("m"))), "1");
  assert.equal(pin.get(Table.key, bytes("k0")), undefined);
  assert.equal(text(engine.get(Table.meta, bytes("m"))), "2");
  pin.close();
  assert.equal(pin.isOpen, false);
});

onEach("a pin is read while batches change what lies before it", async (engine) => {
  const puts = Array.from({ length: 1000 }, (_, i) => put(`k${1000 + i}`, "old"));
  await submit(engine, { puts });
  const pin = engine.pin();
  const seen: string[] = [];
  for (let more = true; more; ) {
    let left = 90;
    more = pin.next(({ key, value }) => {
      seen.push(`${text(key)}=${text(value)}`);
      return --left > 0;
    });
    const at = seen.length;
    await submit(engine, { puts: [put(`k${1000 + at}`, "new")], deletes: [del(`k${999 + at}`)] });
  }
  assert.deepEqual(
    seen,
    puts.map(({ key }) => `${text(key)}=old`),
  );
  pin.close();
});

onEach("a pin gives values of all lengths while others take their place", async (engine) => {
  const lengths = [0, 1, 300, 1_900, 2_100, 4_080, 5_000, 31_000, 33_000, 70_000, 300_000];
  const filled = (letter: string, i: number) =>
    `${letter}${i}`.padEnd(lengths[i % lengths.length] ?? 0, ".");
  const keys = Array.from({ length: 60 }, (_, i) => `k${100 + i}`);
  await submit(engine, { puts: keys.map((key, i) => put(key, filled("old", i))) });
  const pin = engine.pin();
  const want = keys.map((key, i) => `1/${key}=${filled("old", i)}`);
  assert.deepEqual(pinnedRows(pin, 7), want);
  for (const letter of ["new", "newer", "newest"]) {
    await submit(engine, { puts: keys.map((key, i) => put(key, filled(letter, i))) });
  }
  pin.rewind();
  assert.deepEqual(pinnedRows(pin, 1), want);
  pin.close();
});

test("LMDB: a map that grows far takes the pins with it, and says so", async () => {
  const directory = path.join(folder, `${++folders}`);
  const engine = new LmdbEngine({ directory, mapBytes: 65536 });
  await submit(engine, { puts: [put("a", "1")] });
  const written = submit(engine, { puts: [put("b", "1")] });
  const pin = engine.pin();
  await written;
  // The file may show another moment than this pin.
  assert.ok(["1/a=1", "1/a=1 1/b=1"].includes(pinnedRows(pin, 1).join(" ")));
  const large = "v".repeat(100_000);
  await submit(engine, { puts: Array.from({ length: 40 }, (_, i) => put(`k${i}`, large)) });
  assert.equal(pin.isOpen, false);
  assert.equal(text(engine.get(Table.key, bytes("b"))), "1");
  pin.close();
  await engine.close();
});

onEach("the size follows what is stored", async (engine) => {
  const empty = engine.size();
  const puts = Array.from({ length: 200 }, (_, i) => put(`k${i}`, "v".repeat(1000)));
  await submit(engine, { puts });
  const full = engine.size();
  assert.ok(full.inUseBytes >= empty.inUseBytes + 200_000);
  assert.ok(full.allocatedBytes >= full.inUseBytes);
  await submit(engine, { deletes: puts.map(({ table, key }) => ({ table, key })) });
  assert.ok(engine.size().inUseBytes < empty.inUseBytes + 50_000);
});

onEach("agrees with a map over random batches", async (engine) => {
  const seed = 7;
  const random = new Prng(seed);
  const model = new Map<string, string>();
  for (let round = 0; round < 40; round++) {
    const puts = Array.from({ length: random.integer(60) }, () =>
      put(`${random.integer(400)}`, `${round}`.repeat(random.integer(40))),
    );
    const deletes = Array.from({ length: random.integer(40) }, () => del(`${random.integer(400)}`));
    await submit(engine, { puts, deletes });
    for (const { key, value } of puts) model.set(text(key) ?? "", text(value) ?? "");
    for (const { key } of deletes) model.delete(text(key) ?? "");
    const want = [...model.keys()].sort().map((key) => `${key}=${model.get(key)}`);
    assert.deepEqual(rowsOf(engine), want, `seed ${seed}, round ${round}`);
  }
});
