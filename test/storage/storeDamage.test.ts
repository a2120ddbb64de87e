// A store that is lost, damaged or another's: found before it is opened, set aside where the state can be
// had again, and refused with all that a person needs where it cannot.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { LogIndex, Term } from "../../src/base/brand.ts";
import { Prng } from "../../src/base/prng.ts";
import { type Engine, Table } from "../../src/storage/engine.ts";
import { EngineFault, type EngineTrouble } from "../../src/storage/engineFault.ts";
import { asideStoresMax } from "../../src/storage/lmdbBoot.ts";
import { checkLmdbFile } from "../../src/storage/lmdbCheck.ts";
import { openLmdbHome } from "../../src/storage/lmdbHome.ts";
import { recordingLog } from "./logFixture.ts";
import { homeOptions, numbered, storeOwner, submit } from "./storeFixture.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorlet-damage-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));
let folders = 0;
const freshDirectory = (): string => path.join(folder, `${++folders}`, "store");
const dataOf = (directory: string): string => path.join(directory, "data.mdb");

const seed = Number(process.env.QUORLET_SEED ?? 1);

/** How many rows, and what they come to. */
function rowsOf(engine: Engine): string {
  const digest = createHash("sha1");
  let count = 0;
  const pin = engine.pin();
  pin.next(({ table, key, value }) => {
    digest.update(Buffer.of(table, key.length)).update(key).update(value);
    return ++count > 0;
  });
  pin.close();
  return count === 0 ? "none" : `${count}: ${digest.digest("hex")}`;
}

/** A store with a past: tables, deletions, values of several pages, free pages. */
async function makeStore(directory: string, random: Prng, batches = 12): Promise<string> {
  const home = openLmdbHome(homeOptions(directory));
  for (let batch = 0; batch < batches; batch++) {
    const from = random.integer(900);
    const puts = [
      ...numbered(from, from + 150, 1 + random.integer(400)),
      ...numbered(from, from + random.integer(4), 3000 + random.integer(20_000)),
      ...numbered(0, random.integer(9), 60, Table.lease),
      ...numbered(0, 1, 49, Table.meta),
    ];
    const low = random.integer(900);
    const deletes = numbered(low, low + random.integer(200), 0);
    await submit(home.engine, { puts, deletes });
  }
  const rows = rowsOf(home.engine);
  await home.close();
  return rows;
}

test("a whole store passes, whatever its past", async () => {
  for (let round = 0; round < 8; round++) {
    const directory = freshDirectory();
    await makeStore(directory, new Prng(seed * 100 + round), 1 + 3 * round);
    assert.equal(checkLmdbFile(dataOf(directory)), undefined, `seed ${seed}, round ${round}`);
  }
  const empty = freshDirectory();
  await openLmdbHome(homeOptions(empty)).close();
  assert.equal(checkLmdbFile(dataOf(empty)), undefined, "without rows");
});

type Harm = (image: Buffer, random: Prng) => Buffer;

const harms: Readonly<Record<string, Harm>> = {
  "a flipped bit": (image, random) => {
    const at = random.integer(image.length);
    image[at] = (image[at] ?? 0) ^ (1 << random.integer(8));
    return image;
  },
  // Pages begin with what LMDB trusts.
  "a flipped bit in the head of a page": (image, random) => {
    const at = 4096 * random.integer(image.length / 4096) + random.integer(64);
    image[at] = (image[at] ?? 0) ^ (1 << random.integer(8));
    return image;
  },
  "a sector of noise": (image, random) => {
    const at = 512 * random.integer(image.length / 512);
    for (let i = 0; i < 512; i++) image[at + i] = random.integer(256);
    return image;
  },
  "a page of zeros": (image, random) => {
    const at = 4096 * random.integer(image.length / 4096);
    return image.fill(0, at, at + 4096);
  },
  "a page in another's place": (image, random) => {
    const [from, to] = [random.integer(image.length / 4096), random.integer(image.length / 4096)];
    image.copyWithin(to * 4096, from * 4096, from * 4096 + 4096);
    return image;
  },
  "a shorter file": (image, random) => image.subarray(0, random.integer(image.length)),
};

// An undamaged rest may be damage to free pages; then every row must be as it was. What passed and is
// not whole would be followed by LMDB out of its map, and end this process.
for (const [name, harm] of Object.entries(harms)) {
  test(`damage is found or harmless: ${name}`, async () => {
    const random = new Prng(seed);
    let found = 0;
    for (let round = 0; round < 60; round++) {
      const why = `seed ${seed}, round ${round}`;
      const directory = freshDirectory();
      // One past for several harms.
      if (round % 20 === 0) {
        origin.rows = await makeStore(directory, random);
        origin.image = fs.readFileSync(dataOf(directory));
      }
      fs.mkdirSync(directory, { recursive: true });
      fs.writeFileSync(dataOf(directory), harm(Buffer.from(origin.image), random));
      const { size } = fs.statSync(dataOf(directory));
      if (size === 0 || checkLmdbFile(dataOf(directory)) !== undefined) {
        found++;
        continue;
      }
      const home = openLmdbHome(homeOptions(directory, { mayRebuild: false }));
      assert.equal(rowsOf(home.engine), origin.rows, why);
      await submit(home.engine, { puts: numbered(5000, 5400, 300) });
      await home.close();
      assert.equal(checkLmdbFile(dataOf(directory)), undefined, `${why}, written to`);
    }
    assert.ok(found >= 5, `${found} of 60 were found`);
  });
}

const origin = { rows: "", image: Buffer.alloc(0) };

/** What becomes of a store before the next start. */
const losses: Readonly<Record<string, (directory: string) => void>> = {
  "a missing directory": (directory) => fs.rmSync(directory, { recursive: true }),
  "a missing file": (directory) => fs.rmSync(dataOf(directory)),
  "an empty file": (directory) => fs.truncateSync(dataOf(directory), 0),
  "half a file": (directory) => {
    fs.truncateSync(dataOf(directory), Math.floor(fs.statSync(dataOf(directory)).size / 2));
  },
  garbage: (directory) => fs.writeFileSync(dataOf(directory), Buffer.alloc(50_000, "garbage ")),
  "a damaged row": (directory) => {
    const image = fs.readFileSync(dataOf(directory));
    // A page that was split keeps the bytes of the rows that left it.
    const needle = Buffer.from("row 7.row 7.row 7.");
    for (let at = image.indexOf(needle); at >= 0; at = image.indexOf(needle, at + 1)) image[at] = 1;
    fs.writeFileSync(dataOf(directory), image);
  },
};

const image = { index: LogIndex(9), term: Term(2) };

async function lostStore(lose: (directory: string) => void): Promise<string> {
  const directory = freshDirectory();
  const home = openLmdbHome(homeOptions(directory));
  await submit(home.engine, { puts: numbered(0, 40, 100) });
  await home.close();
  lose(directory);
  return directory;
}

function treeOf(directory: string): Record<string, string> {
  const tree: Record<string, string> = {};
  const parent = path.dirname(directory);
  for (const name of fs.readdirSync(parent, { recursive: true, encoding: "utf8" })) {
    const file = path.join(parent, name);
    tree[name] = fs.statSync(file).isDirectory() ? "/" : fs.readFileSync(file, "latin1");
  }
  return tree;
}

function troubleOf(run: () => unknown): EngineTrouble & { message: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof EngineFault) return { ...error.trouble, message: error.message };
    throw error;
  }
  return assert.fail("the store opened");
}

describe("a lost store", () => {
  for (const [name, lose] of Object.entries(losses)) {
    test(`begins anew where the state can be had again: ${name}`, async () => {
      const directory = await lostStore(lose);
      const { log, lines } = recordingLog();
      const home = openLmdbHome(homeOptions(directory, { logBase: image, log }));
      assert.equal(rowsOf(home.engine), "none");
      await submit(home.engine, { puts: numbered(0, 3, 10) });
      await home.close();
      const asides = fs.readdirSync(path.dirname(directory)).filter((each) => each !== "store");
      const isThere = !/missing|empty/.test(name);
      assert.deepEqual(asides, isThere ? ["store.damaged-1"] : []);
      assert.equal(lines.length, 1);
      // And is then a store as any other.
      const again = openLmdbHome(homeOptions(directory, { logBase: image, mayRebuild: false }));
      assert.notEqual(rowsOf(again.engine), "none");
      await again.close();
    });

    test(`is refused where nobody has the state, and nothing changes: ${name}`, async () => {
      const directory = await lostStore(lose);
      const before = treeOf(directory);
      const options = homeOptions(directory, { logBase: image, mayRebuild: false });
      const { kind, message } = troubleOf(() => openLmdbHome(options));
      assert.equal(kind, /missing|empty/.test(name) ? "missing" : "damagedFile");
      assert.ok(message.includes(dataOf(directory)), message);
      assert.match(message, /the log is whole from entry 10 to 20$/);
      if (kind === "damagedFile") assert.match(message, /at page \d+, offset \d+: /);
      assert.deepEqual(treeOf(directory), before);
    });
  }

  test("is no loss before anything was compacted: the log has it all", async () => {
    const directory = await lostStore(losses["a missing file"] ?? assert.fail());
    const { log, lines } = recordingLog();
    await openLmdbHome(homeOptions(directory, { mayRebuild: false, log })).close();
    assert.deepEqual(lines, [], "a first start looks the same");
  });

  test("does not fill the disk with what was set aside", async () => {
    const directory = await lostStore(losses.garbage ?? assert.fail());
    for (let round = 1; round <= 3; round++) {
      await openLmdbHome(homeOptions(directory)).close();
      const asides = fs.readdirSync(path.dirname(directory)).filter((each) => each !== "store");
      assert.deepEqual(asides, [`store.damaged-${round}`]);
      assert.equal(asides.length, asideStoresMax);
      losses.garbage?.(directory);
    }
  });

  test("is replaced by an image that was complete", async () => {
    const directory = await lostStore(() => {});
    const home = openLmdbHome(homeOptions(directory));
    const incoming = home.begin();
    await new Promise((done) => incoming.add(numbered(0, 9, 9), done));
    await new Promise((done) => incoming.finish(image, done));
    await home.close();
    losses.garbage?.(directory);
    const next = openLmdbHome(homeOptions(directory, { logBase: image, mayRebuild: false }));
    assert.match(rowsOf(next.engine), /^9:/);
    await next.close();
  });
});

describe("a store is refused that is another's", () => {
  const rows = [
    { owner: { ...storeOwner, clusterId: 1n }, kind: "foreignCluster", says: "cluster" },
    { owner: { ...storeOwner, memberId: 1n }, kind: "foreignMember", says: "member" },
  ] as const;
  for (const { owner, kind, says } of rows) {
    test(`another ${says}'s, by its id`, async () => {
      const directory = await lostStore(() => {});
      const before = fs.readFileSync(dataOf(directory));
      const trouble = troubleOf(() => openLmdbHome(homeOptions(directory, { owner })));
      assert.equal(trouble.kind, kind);
      const found = says === "cluster" ? "00000000000000c1" : "00000000000000a1";
      assert.equal(
        trouble.message,
        `the store belongs to ${says} ${found}, not to 0000000000000001`,
      );
      assert.ok(fs.readFileSync(dataOf(directory)).equals(before), "nothing was changed");
      await openLmdbHome(homeOptions(directory)).close();
    });
  }

  test("an image is signed by who receives it", async () => {
    const directory = freshDirectory();
    const home = openLmdbHome(homeOptions(directory));
    const incoming = home.begin();
    await new Promise((done) => incoming.add(numbered(0, 9, 9), done));
    await new Promise((done) => incoming.finish(image, done));
    await new Promise((done) => incoming.commit(done));
    await home.close();
    const owner = { ...storeOwner, memberId: 1n };
    assert.equal(
      troubleOf(() => openLmdbHome(homeOptions(directory, { owner }))).kind,
      "foreignMember",
    );
  });
});
