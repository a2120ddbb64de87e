// The store: what a row costs the event loop and in all, scans from the start and from the middle,
// gets. LMDB beside memory.
//   tsx bench/micro/engine.ts [rows] [folder]
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type Engine, type EngineBatch, Table } from "../../src/storage/engine.ts";
import { defaultMapBytes, LmdbEngine } from "../../src/storage/lmdb.ts";
import { MemoryEngine } from "../../src/storage/memory.ts";

type Print = (line: string) => void;

const valueBytes = 300;
const batchRows = 1000;

/** @param rows in all; small counts make it a test that it still runs. */
export async function runEngineBench(rows: number, folder: string, print: Print): Promise<void> {
  const directory = fs.mkdtempSync(path.join(folder, "quorlet-bench-"));
  print(`rows of ${valueBytes} B in revision order, batches of ${batchRows}, µs a row`);
  print("             submit   batch    scan  middle     get");
  const engines: readonly (readonly [string, () => Engine])[] = [
    ["LMDB", () => new LmdbEngine({ directory, mapBytes: defaultMapBytes })],
    ["memory", () => new MemoryEngine({ defer: (run) => void setImmediate(run) })],
  ];
  try {
    for (const [name, make] of engines) {
      const engine = make();
      const [submitUs, batchUs] = await fill(engine, rows);
      const figures = [submitUs, batchUs, scan(engine, 0), scan(engine, 1), gets(engine, rows)];
      print(`${name.padEnd(12)}${figures.map((us) => us.toFixed(2).padStart(7)).join(" ")}`);
      await engine.close();
    }
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** Time within `submit` and until `done`, for a row. */
async function fill(engine: Engine, rows: number): Promise<[submitUs: number, batchUs: number]> {
  let submitMs = 0;
  let batchMs = 0;
  for (let from = 0; from < rows; from += batchRows) {
    const batch = batchOf(from, Math.min(rows, from + batchRows));
    const started = performance.now();
    await new Promise<void>((resolve, reject) => {
      engine.submit(batch, (error) => (error ? reject(error) : resolve()));
      submitMs += performance.now() - started;
    });
    batchMs += performance.now() - started;
  }
  return [(submitMs * 1000) / rows, (batchMs * 1000) / rows];
}

function batchOf(from: number, to: number): EngineBatch {
  const puts = Array.from({ length: to - from }, (_, i) => ({
    table: Table.key,
    key: keyOf(from + i),
    value: Buffer.alloc(valueBytes, i),
  }));
  return { puts, deletes: [] };
}

/** A main and a sub revision. */
function keyOf(revision: number): Buffer {
  const key = Buffer.alloc(12);
  key.writeUIntBE(revision, 2, 6);
  return key;
}

function scan(engine: Engine, from: number): number {
  let rows = 0;
  const started = performance.now();
  engine.scan({ table: Table.key, from: keyOf(from) }, () => ++rows > 0);
  return ((performance.now() - started) * 1000) / Math.max(1, rows);
}

function gets(engine: Engine, rows: number): number {
  let found = 0;
  const started = performance.now();
  for (let i = 0; i < rows; i++) {
    if (engine.get(Table.key, keyOf((i * 7919) % rows))) found++;
  }
  if (found !== rows) throw new Error(`${found} of ${rows} rows were found`);
  return ((performance.now() - started) * 1000) / rows;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , rows = "200000", folder = os.tmpdir()] = process.argv;
  await runEngineBench(Number(rows), folder, console.log);
}
