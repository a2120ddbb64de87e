// A thread that opens a store, writes to it, and stays until it is ended from outside.
import { parentPort, workerData } from "node:worker_threads";
import { Table } from "../../src/storage/engine.ts";
import { LmdbEngine } from "../../src/storage/lmdb.ts";

const engine = new LmdbEngine({ directory: workerData, mapBytes: 1 << 26 });
const key = Buffer.from("key");
const puts = [{ table: Table.key, key, value: Buffer.from("from a thread") }];
engine.submit({ puts, deletes: [] }, (error) => {
  parentPort?.postMessage(error?.message ?? "written");
});
// Keeps the engine reachable, and the thread alive.
setInterval(() => engine.size(), 60_000);
