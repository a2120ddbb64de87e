// What a start over a store of many keys costs: checking the file, then the state from its rows. CPU of
// the process, memory that stays.
//   tsx --expose-gc bench/micro/start.ts [keys] [folder]
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Applier } from "../../src/apply/applier.ts";
import { LogIndex, Term } from "../../src/base/brand.ts";
import { EntryKind } from "../../src/raft/types.ts";
import { defaultMapBytes, LmdbEngine } from "../../src/storage/lmdb.ts";
import { checkLmdbFile } from "../../src/storage/lmdbCheck.ts";
import { eachOnce, stamp } from "../path/entries.ts";

type Print = (line: string) => void;

const shape = { keySize: 20, valSize: 256, keySpace: 0, batch: 100, seed: 1 };
const entriesPerFlush = 100;

/** @param keys small counts make it a test that it still runs. */
export async function runStartBench(keys: number, folder: string, print: Print): Promise<void> {
  const directory = fs.mkdtempSync(path.join(folder, "quorlet-bench-"));
  try {
    await fill(directory, keys);
    globalThis.gc?.();
    const file = path.join(directory, "data.mdb");
    print(`${keys} keys, ${shape.valSize} B each, file of ${mebibytes(fs.statSync(file).size)}`);
    timed("check of the file", print, () => {
      if (checkLmdbFile(file) !== undefined) throw new Error("the store is damaged");
    });
    const engine = new LmdbEngine({ directory, mapBytes: defaultMapBytes, isChecked: true });
    const before = memoryBytes();
    const applier = timed("state from the rows", print, () => Applier.open(engine));
    globalThis.gc?.();
    print(`${"memory that stays".padEnd(24)}${mebibytes(memoryBytes() - before)}`);
    if (applier.store.keyCount !== keys) throw new Error("keys are missing");
    await engine.close();
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

async function fill(directory: string, keys: number): Promise<void> {
  const engine = new LmdbEngine({ directory, mapBytes: defaultMapBytes });
  const applier = Applier.open(engine);
  for (const [i, data] of eachOnce({ ...shape, keySpace: keys }, keys).entries()) {
    const index = LogIndex(i + 1);
    stamp(data, index);
    applier.apply({ term: Term(1), index, kind: EntryKind.normal, data }, false);
    if (index % entriesPerFlush === 0) await flush(engine, applier);
  }
  await flush(engine, applier);
  await engine.close();
}

async function flush(engine: LmdbEngine, applier: Applier): Promise<void> {
  const batch = applier.takeBatch();
  if (batch === undefined) return;
  await new Promise<void>((resolve, reject) => {
    engine.submit(batch, (error) => (error ? reject(error) : resolve()));
  });
  applier.batchWritten();
}

function timed<T>(what: string, print: Print, run: () => T): T {
  const before = process.cpuUsage();
  const result = run();
  const { user, system } = process.cpuUsage(before);
  const [userSec, systemSec] = [user / 1e6, system / 1e6].map((sec) => sec.toFixed(2));
  print(`${what.padEnd(24)}${userSec} + ${systemSec} s`);
  return result;
}

function memoryBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , keys = "1000000", folder = os.tmpdir()] = process.argv;
  await runStartBench(Number(keys), folder, console.log);
}
