// Pages that went bad since the start checked them: whoever reads rows by pages is told so by a fault that
// names the table, never by a mistake of ours, and gets no memory for lengths that cannot be.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { Prng } from "../../src/base/prng.ts";
import { Table } from "../../src/storage/engine.ts";
import { EngineFault } from "../../src/storage/engineFault.ts";
import { LmdbEngine } from "../../src/storage/lmdb.ts";
import { scanLmdbFile } from "../../src/storage/lmdbScan.ts";
import { numbered, submit } from "./storeFixture.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorlet-pages-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));
const seed = Number(process.env.QUORLET_SEED ?? 1);
const pageBytes = 4096;
const rounds = 3_000;

test("noise in a page is a fault, or is not in the way", async (t) => {
  t.diagnostic(`seed ${seed}`);
  const random = new Prng(seed);
  const engine = new LmdbEngine({ directory: folder, mapBytes: 1 << 20 });
  const puts = [
    ...numbered(0, 600, 120),
    ...numbered(600, 640, 9_000),
    ...numbered(640, 642, 40_000),
  ];
  await submit(engine, { puts });
  await engine.close();
  const whole = fs.readFileSync(path.join(folder, "data.mdb"));
  const file = path.join(folder, "harmed");
  fs.writeFileSync(file, whole);
  const fd = fs.openSync(file, "r+");
  let faults = 0;
  for (let round = 0; round < rounds; round++) {
    const at = harmedAt(random, whole.length);
    const noise = Buffer.from(
      Array.from({ length: 1 + random.integer(6) }, () => noiseByte(random)),
    );
    fs.writeSync(fd, noise, 0, noise.length, at);
    try {
      scanLmdbFile(file, { table: Table.key, isChecked: false }, () => true);
    } catch (error) {
      if (!(error instanceof EngineFault))
        throw new Error(`round ${round}, at ${at}`, { cause: error });
      faults++;
    }
    fs.writeSync(fd, whole, at, Math.min(noise.length, whole.length - at), at);
    fs.ftruncateSync(fd, whole.length);
  }
  fs.closeSync(fd);
  assert.ok(faults > rounds / 20, `${faults} of ${rounds}`);
});

/** Mostly where a page says what is in it. */
function harmedAt(random: Prng, fileBytes: number): number {
  if (random.oneIn(4)) return random.integer(fileBytes);
  const page = pageBytes * random.integer(fileBytes / pageBytes);
  return page + random.integer(random.oneIn(2) ? 160 : pageBytes);
}

const noiseByte = (random: Prng): number => (random.oneIn(3) ? 0xff : random.integer(256));
