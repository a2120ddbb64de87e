// What the store costs in memory: µs per put, get, range and compaction step, bytes per key, time to open.
// Run: npx tsx --expose-gc bench/micro/mvcc.ts [keys]. Machine and noise: quote ratios, not figures.

import { Applier } from "../../src/apply/applier.ts";
import { BatchBuilder, CommandKind } from "../../src/apply/command.ts";
import { Mistake } from "../../src/base/assert.ts";
import { LogIndex, MemberId, noLease, Term } from "../../src/base/brand.ts";
import { Index } from "../../src/mvcc/index.ts";
import { Store } from "../../src/mvcc/store.ts";
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import type { RangeRequest } from "../../src/proto/kv.ts";
import { Writer } from "../../src/proto/writer.ts";
import { EntryKind } from "../../src/raft/types.ts";
import { type Engine, type EngineRow, Table, tableCount } from "../../src/storage/engine.ts";

const valueBytes = 256;
const commandsPerBatch = 100;
const value = Buffer.alloc(valueBytes, "v");
const keyText = (i: number): string => `registry/pods/${String(i).padStart(8, "0")}`;
/** A fixed walk over all keys that looks random to caches. */
const scattered = (i: number, keys: number): number => (i * 7_368_787) % keys;

/** Appends only: rows come in order. Completes at once. */
class AppendEngine implements Engine {
  readonly rows: EngineRow[] = [];
  readonly #others: Map<string, Uint8Array>[] = Array.from({ length: tableCount }, () => new Map());

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    if (table !== Table.key) return this.#others[table]?.get(Buffer.from(key).toString("latin1"));
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Buffer.compare(this.rows[middle]?.key ?? key, key) < 0) low = middle + 1;
      else high = middle;
    }
    return this.rows[low]?.value;
  }
  rowCount(): number {
    return this.rows.length;
  }
  scan(range: { table: Table }, visit: (key: Uint8Array, rowValue: Uint8Array) => boolean): void {
    if (range.table !== Table.key) return;
    for (const row of this.rows) if (!visit(row.key, row.value)) return;
  }
  submit(batch: Parameters<Engine["submit"]>[0], done: (error: Error | undefined) => void): void {
    for (const put of batch.puts) {
      if (put.table === Table.key) this.rows.push(put);
      else this.#others[put.table]?.set(Buffer.from(put.key).toString("latin1"), put.value);
    }
    done(undefined);
  }
  size() {
    return { allocatedBytes: 0, inUseBytes: 0 };
  }
  pin(): never {
    throw new Mistake("nothing here takes an image");
  }
  async close(): Promise<void> {}
}

/** Entries of a hundred puts each, made beforehand so that only their application is timed. */
function putEntries(keyOf: (i: number) => number, count: number, from: number): Uint8Array[] {
  const builder = new BatchBuilder();
  const writer = new Writer();
  const entries: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const key = Buffer.from(keyText(keyOf(i)), "latin1");
    const request = {
      key,
      value,
      lease: noLease,
      prevKv: false,
      ignoreValue: false,
      ignoreLease: false,
    };
    builder.add(CommandKind.put, encodePutRequest(writer, request));
    if (builder.count < commandsPerBatch && i < count - 1) continue;
    const sequence = from + entries.length + 1;
    entries.push(builder.finish({ member: MemberId(1n), incarnation: 1, sequence }));
  }
  return entries;
}

function applyAll(
  applier: Applier,
  entries: readonly Uint8Array[],
  options: { wanted: boolean; flush: Engine | undefined },
): void {
  let puts = 0;
  for (const data of entries) {
    const index = LogIndex(applier.applied + 1);
    applier.apply({ term: Term(1), index, kind: EntryKind.normal, data }, options.wanted);
    puts += commandsPerBatch;
    if (options.flush === undefined || puts % 1000 !== 0) continue;
    const batch = applier.takeBatch();
    if (batch !== undefined) options.flush.submit(batch, () => applier.batchWritten());
  }
}

/** CPU of the whole process, collector threads included: steadier than the clock on a shared machine. */
function timed(name: string, count: number, run: () => void): void {
  const start = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(start);
  const micros = (user + system) / count;
  console.log(`${name.padEnd(44)} ${micros.toFixed(3)} µs`);
}

const rangeOf = (from: string, to: string | undefined, limit = 0): RangeRequest => ({
  key: Buffer.from(from, "latin1"),
  rangeEnd: to === undefined ? Buffer.alloc(0) : Buffer.from(to, "latin1"),
  limit,
  revision: 0,
  sortOrder: 0,
  sortTarget: 0,
  serializable: true,
  keysOnly: false,
  countOnly: false,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
});

function benchApply(keys: number): void {
  for (const wanted of [false, true]) {
    const engine = new AppendEngine();
    const applier = Applier.open(engine);
    const fresh = putEntries((i) => scattered(i, keys), keys, 0);
    const again = putEntries((i) => scattered(i, keys), keys, fresh.length);
    const outcomes = wanted ? "outcomes" : "no outcomes";
    timed(`apply put, new key, ${outcomes}`, keys, () =>
      applyAll(applier, fresh, { wanted, flush: undefined }),
    );
    applier.takeBatch();
    applier.batchWritten();
    timed(`apply put, overwrite, ${outcomes}`, keys, () =>
      applyAll(applier, again, { wanted, flush: undefined }),
    );
  }
}

function benchReads(keys: number): void {
  const engine = new AppendEngine();
  const applier = Applier.open(engine);
  applyAll(
    applier,
    putEntries((i) => scattered(i, keys), keys, 0),
    { wanted: false, flush: engine },
  );
  let rows = 0;
  const gets = Array.from({ length: 1000 }, (_, i) =>
    rangeOf(keyText(scattered(i, keys)), undefined),
  );
  const getCount = 10 * keys;
  timed("get of a hot key", getCount, () => {
    for (let i = 0; i < getCount; i++) rows += applier.range(gets[i % 1000] ?? fail()).rows.length;
  });
  const ranges = Array.from({ length: 1000 }, (_, i) =>
    rangeOf(keyText(scattered(i, keys)), "\0", 100),
  );
  const rangeCount = Math.ceil(keys / 10);
  timed("range of 100", rangeCount, () => {
    for (let i = 0; i < rangeCount; i++)
      rows += applier.range(ranges[i % 1000] ?? fail()).rows.length;
  });
  timed("count of all keys", 1000, () => {
    for (let i = 0; i < 1000; i++)
      rows += applier.range({ ...rangeOf("\0", "\0"), countOnly: true }).count;
  });
  if (rows === 0) fail();
}

function fail(): never {
  throw new Error("nothing was read");
}

function memoryBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function benchIndex(keys: number): void {
  globalThis.gc?.();
  const bytes = Buffer.from(
    Array.from({ length: keys }, (_, i) => keyText(scattered(i, keys))).join(""),
  );
  const keyBytes = bytes.length / keys;
  const key = { bytes, from: 0, to: 0 };
  const at = (i: number) => {
    key.from = i * keyBytes;
    key.to = key.from + keyBytes;
    return key;
  };
  globalThis.gc?.();
  const before = memoryBytes();
  const index = new Index();
  timed("index, new key at random", keys, () => {
    for (let i = 0; i < keys; i++) index.put(at(i), i + 2, 0);
  });
  globalThis.gc?.();
  const bytesPerKey = (memoryBytes() - before) / keys;
  console.log(`${"index, with the key".padEnd(44)} ${bytesPerKey.toFixed(0)} bytes per key`);
  let found = 0;
  timed("index, known key at random", keys, () => {
    for (let i = 0; i < keys; i++) found += index.find(at(i));
  });
  if (found === 0) fail();
}

/** Rows of `keys` keys in an engine, and nothing else left in memory. */
function filledEngine(keys: number): Engine {
  const engine = new AppendEngine();
  const applier = Applier.open(engine, { recentBytesMax: 0 });
  const entries = putEntries((i) => scattered(i, keys), keys, 0);
  applyAll(applier, entries, { wanted: false, flush: engine });
  return engine;
}

function benchOpen(keys: number): void {
  const engine = filledEngine(keys);
  globalThis.gc?.();
  const start = performance.now();
  const store = Store.open(engine);
  const took = performance.now() - start;
  console.log(
    `${`open, ${keys} rows`.padEnd(44)} ${took.toFixed(0)} ms, revision ${store.revision}`,
  );
}

const keys = Number(process.argv[2] ?? 1_000_000);
benchIndex(keys);
benchApply(Math.min(keys, 200_000));
benchReads(Math.min(keys, 100_000));
benchOpen(keys);
