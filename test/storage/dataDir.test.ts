// Data directories: whose they are, who has them now, and how often a member booted.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { MemberId } from "../../src/base/brand.ts";
import { claimDataDir, type DataMarker, inspectDataDir } from "../../src/storage/dataDir.ts";
import { DataDirError } from "../../src/storage/dataDirError.ts";
import { type LockKind, lockDirectory } from "../../src/storage/dataDirLock.ts";
import { nodeArgs } from "../support/paths.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorlet-data-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));
let folders = 0;
const freshPath = (): string => path.join(folder, `${++folders}`);

const marker: DataMarker = {
  clusterId: 0xabcn,
  members: [
    { name: "m1", id: MemberId(1n) },
    { name: "m2", id: MemberId(0xfedcba9876543210n) },
  ],
};
/** Incarnations then count from 1. */
const atZero = (): number => 0;
const [firstId, secondId] = [MemberId(1n), MemberId(0xfedcba9876543210n)];

/** Every name below a directory, with the contents of files. */
function treeOf(directory: string): Record<string, string> {
  const tree: Record<string, string> = {};
  for (const name of fs.readdirSync(directory, { recursive: true, encoding: "utf8" })) {
    const file = path.join(directory, name);
    tree[name] = fs.statSync(file).isDirectory() ? "/" : fs.readFileSync(file, "latin1");
  }
  return tree;
}

async function claimedOnce(): Promise<string> {
  const directory = freshPath();
  await (await claimDataDir(directory, marker)).release();
  return directory;
}

async function refusal(run: Promise<unknown>): Promise<DataDirError> {
  try {
    await run;
  } catch (error) {
    if (error instanceof DataDirError) return error;
    throw error;
  }
  return assert.fail("the directory was taken");
}

test("looking changes nothing", async () => {
  const directory = freshPath();
  assert.deepEqual(await inspectDataDir(directory), { kind: "empty" });
  assert.equal(fs.existsSync(directory), false);
});

test("a claim makes the directory for its owner alone", async () => {
  const directory = path.join(freshPath(), "deep", "down");
  const claimed = await claimDataDir(directory, marker);
  assert.equal(claimed.isNew, true);
  assert.equal(fs.statSync(directory).mode & 0o777, 0o700);
  for (const name of Object.keys(treeOf(directory))) {
    assert.equal(fs.statSync(path.join(directory, name)).mode & 0o077, 0, name);
  }
  assert.deepEqual(await inspectDataDir(directory), { kind: "ours", marker, complete: true });
  await claimed.release();
  const again = await claimDataDir(directory, marker);
  assert.equal(again.isNew, false);
  await again.release();
});

test("an empty directory is restricted, the order of the members does not matter", async () => {
  const directory = freshPath();
  fs.mkdirSync(path.join(directory, "lost+found"), { recursive: true, mode: 0o755 });
  await (await claimDataDir(directory, marker)).release();
  assert.equal(fs.statSync(directory).mode & 0o777, 0o700);
  const turned = { ...marker, members: marker.members.toReversed() };
  await (await claimDataDir(directory, turned)).release();
});

test("what is not ours is refused in one line, and not touched", async () => {
  const rows = [
    {
      why: "somebody's files",
      make: () => {
        const directory = freshPath();
        fs.mkdirSync(directory);
        fs.writeFileSync(path.join(directory, "thesis.tex"), "precious");
        return directory;
      },
      kind: "foreign",
      says: /is no data directory of quorlet: it holds thesis\.tex$/,
    },
    {
      why: "a file in place of the directory",
      make: () => {
        const file = freshPath();
        fs.writeFileSync(file, "");
        return file;
      },
      kind: "io",
      says: /cannot be used: ENOTDIR/,
    },
    { why: "another cluster", change: { clusterId: "0000000000000001" }, kind: "otherCluster" },
    { why: "other members", change: { members: [] }, kind: "otherMembers" },
    { why: "another format", change: { format: 2 }, kind: "format" },
    { why: "no format", change: { format: "1" }, kind: "damaged" },
    { why: "a bad id", change: { clusterId: "xyz" }, kind: "damaged" },
    { why: "bad members", change: { members: [{ name: 1 }] }, kind: "damaged" },
  ];
  for (const { why, make, change, kind, says } of rows) {
    const directory = make ? make() : await claimedOnce();
    if (change) {
      const file = path.join(directory, "quorlet.json");
      const json = JSON.parse(fs.readFileSync(file, "utf8"));
      fs.writeFileSync(file, JSON.stringify({ ...json, ...change }));
    }
    const isDirectory = fs.statSync(directory).isDirectory();
    const before = isDirectory ? treeOf(directory) : {};
    const error = await refusal(claimDataDir(directory, marker));
    assert.equal(error.trouble.kind, kind, why);
    assert.ok(!error.message.includes("\n"), why);
    if (says) assert.match(error.message, says, why);
    if (isDirectory) assert.deepEqual(treeOf(directory), before, why);
  }
});

test("a marker that is no JSON is damage", async () => {
  for (const text of ["", "{", "null", "[]", "7"]) {
    const directory = await claimedOnce();
    fs.writeFileSync(path.join(directory, "quorlet.json"), text);
    assert.equal((await refusal(inspectDataDir(directory))).trouble.kind, "damaged", text);
  }
});

test("a claim that was cut short is finished by the next one", async () => {
  const directory = await claimedOnce();
  const file = path.join(directory, "quorlet.json");
  const json = JSON.parse(fs.readFileSync(file, "utf8"));
  fs.writeFileSync(file, JSON.stringify({ ...json, complete: false }));
  fs.rmSync(path.join(directory, "member-0000000000000001"), { recursive: true });
  fs.writeFileSync(path.join(directory, "quorlet.json.tmp"), "half");
  const claimed = await claimDataDir(directory, marker, atZero);
  assert.equal(claimed.isNew, true);
  assert.equal((await claimed.boot(firstId)).incarnation, 1);
  await claimed.release();
  const cut = freshPath();
  fs.mkdirSync(cut);
  fs.writeFileSync(path.join(cut, "quorlet.json.tmp"), "half");
  await (await claimDataDir(cut, marker, atZero)).release();
});

test("each boot of a member has its own number", async () => {
  const directory = await claimedOnce();
  for (let life = 1; life <= 3; life++) {
    const claimed = await claimDataDir(directory, marker, atZero);
    assert.equal((await claimed.boot(firstId)).incarnation, 2 * life - 1);
    assert.equal((await claimed.boot(firstId)).incarnation, 2 * life, "restarted in this process");
    await claimed.release();
  }
  const claimed = await claimDataDir(directory, marker, atZero);
  assert.equal((await claimed.boot(secondId)).incarnation, 1, "members count apart");
  await claimed.release();
});

test("a life in a directory made anew is above those in the one that was lost", async () => {
  let nowMs = Date.UTC(2026, 0, 1);
  const directory = freshPath();
  const bootOnce = async (): Promise<number> => {
    const claimed = await claimDataDir(directory, marker, () => nowMs);
    const { incarnation } = await claimed.boot(firstId);
    await claimed.release();
    return incarnation;
  };
  const lives = [await bootOnce(), await bootOnce()];
  nowMs += 50;
  fs.rmSync(directory, { recursive: true });
  lives.push(await bootOnce());
  nowMs -= 60_000;
  lives.push(await bootOnce());
  for (let i = 1; i < lives.length; i++) {
    assert.ok((lives[i] ?? 0) > (lives[i - 1] ?? 0), `${lives}`);
  }
  assert.ok(lives.every((life) => life < 2 ** 48));
});

test("no boot is counted twice by a life that marks its start late", async () => {
  const claimed = await claimDataDir(freshPath(), marker, atZero);
  const first = await claimed.boot(firstId);
  const second = await claimed.boot(firstId);
  await first.markStarted();
  const [third, , fourth] = await Promise.all([
    claimed.boot(firstId),
    second.markStarted(),
    claimed.boot(firstId),
  ]);
  assert.deepEqual(
    [first, second, third, fourth].map(({ incarnation }) => incarnation),
    [1, 2, 3, 4],
  );
  assert.equal(fourth.mayCreate, false);
  await claimed.release();
});

test("a member may create its log until it has started once", async () => {
  const claimed = await claimDataDir(freshPath(), marker);
  assert.equal((await claimed.boot(firstId)).mayCreate, true);
  const second = await claimed.boot(firstId);
  assert.equal(second.mayCreate, true, "the first life ended before it had started");
  await second.markStarted();
  assert.equal((await claimed.boot(firstId)).mayCreate, false);
  assert.equal((await claimed.boot(secondId)).mayCreate, true);
  assert.ok(second.logDirectory.startsWith(claimed.path));
  await claimed.release();
});

test("a lost or damaged identity is not begun anew", async () => {
  const claimed = await claimDataDir(freshPath(), marker);
  const file = path.join(claimed.path, "member-0000000000000001", "identity.json");
  for (const text of ["{}", '{"incarnation":-0.5,"started":true}', ""]) {
    fs.writeFileSync(file, text);
    assert.equal((await refusal(claimed.boot(firstId))).trouble.kind, "damaged", text);
  }
  fs.rmSync(file);
  assert.equal((await refusal(claimed.boot(firstId))).trouble.kind, "damaged");
  await claimed.release();
});

test("a second claim is refused while the first one holds, by whatever path", async () => {
  const directory = freshPath();
  const claimed = await claimDataDir(directory, marker);
  const alias = freshPath();
  fs.symlinkSync(directory, alias);
  for (const way of [directory, alias]) {
    const error = await refusal(claimDataDir(way, marker));
    assert.equal(error.trouble.kind, "inUse");
    assert.match(error.message, /is in use by another process$/);
  }
  await claimed.release();
  await (await claimDataDir(alias, marker)).release();
});

test("of many claims at once one succeeds", async () => {
  const directory = freshPath();
  const claims = Array.from({ length: 20 }, () => claimDataDir(directory, marker));
  const settled = await Promise.allSettled(claims);
  const won = settled.filter((result) => result.status === "fulfilled");
  assert.equal(won.length, 1);
  for (const { value } of won) await value.release();
});

const child = nodeArgs(new URL("./lockChild.ts", import.meta.url));

for (const kind of ["socket", "file"] satisfies LockKind[]) {
  test(`another process keeps it until it is killed: ${kind}`, async () => {
    const directory = freshPath();
    fs.mkdirSync(directory);
    const holder = spawn(process.execPath, [...child, directory, kind], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    assert.equal((await refusal(lockDirectory(directory, kind))).trouble.kind, "inUse");
    holder.kill("SIGKILL");
    await once(holder, "exit");
    const lock = await lockDirectory(directory, kind);
    assert.equal((await refusal(lockDirectory(directory, kind))).trouble.kind, "inUse");
    await lock.release();
    assert.deepEqual(fs.readdirSync(directory), []);
  });
}

test("of many who find a stale lock file one takes it", async () => {
  const directory = freshPath();
  fs.mkdirSync(directory);
  for (let round = 0; round < 20; round++) {
    // No process has this number: it is above the kernel's limit.
    fs.writeFileSync(path.join(directory, ".quorlet.lock"), "2147483647.dead");
    const tries = Array.from({ length: 8 }, () => lockDirectory(directory, "file"));
    const settled = await Promise.allSettled(tries);
    const won = settled.filter((result) => result.status === "fulfilled");
    assert.equal(won.length, 1, `round ${round}`);
    for (const { value } of won) await value.release();
    assert.deepEqual(fs.readdirSync(directory), [], `round ${round}`);
  }
});
