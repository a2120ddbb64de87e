// What the store tests share: options of a home with small defaults, rows, and steps as promises.
import { LogIndex, Term } from "../../src/base/brand.ts";
import { silentLog } from "../../src/base/ports.ts";
import { type Engine, type EngineBatch, Table } from "../../src/storage/engine.ts";
import type { LmdbHomeOptions } from "../../src/storage/lmdbHome.ts";
import type { StoreMoment } from "../../src/storage/storeHome.ts";

export const storeOwner = { clusterId: 0xc1n, memberId: 0xa1n };
/** What a log begins behind that was never compacted. */
export const beginning: StoreMoment = { index: LogIndex(0), term: Term(0) };

export function homeOptions(
  directory: string,
  changed: Partial<LmdbHomeOptions> = {},
): LmdbHomeOptions {
  return {
    directory,
    // Small, so that every test passes through its growth.
    mapBytes: 65536,
    logBase: beginning,
    lastIndex: LogIndex(20),
    mayRebuild: true,
    owner: storeOwner,
    log: silentLog,
    ...changed,
  };
}

export function finished(start: (done: (error: Error | undefined) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error ? reject(error) : resolve()));
  });
}

export const submit = (engine: Engine, batch: Partial<EngineBatch>): Promise<void> =>
  finished((done) => engine.submit({ puts: [], deletes: [], ...batch }, done));

/** Rows with keys of 8 bytes in [from, to), and values that tell them apart. */
export const numbered = (
  from: number,
  to: number,
  valueBytes: number,
  table: Table = Table.key,
): EngineBatch["puts"] =>
  Array.from({ length: to - from }, (_, i) => {
    const key = Buffer.alloc(8);
    key.writeUInt32BE(from + i, 4);
    return { table, key, value: Buffer.alloc(valueBytes, `row ${from + i}.`) };
  });
