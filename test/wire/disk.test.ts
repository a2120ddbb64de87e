// One member's disk is torn, damaged or full, in a cluster of three processes: it says so or repairs
// itself, the others serve, and nothing that was acknowledged is lost.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { AckedLoad } from "../support/ackedLoad.ts";
import { KvClient } from "../support/kvClient.ts";
import { MemberProcesses } from "../support/memberProcesses.ts";

const lineMsMax = 30_000;
const sectorBytes = 512;
const segmentHeadBytes = 4096;
/** Of the store. */
const pageBytes = 4096;
/** What the victim of the full disk still finds: soon used up. */
const roomLeftBytes = 256 * 1024;
/** The member whose disk suffers; the others keep the quorum. */
const victim = "m3";
const others = ["m1", "m2"];

/** One cluster and one load, over all tests but the last: each leaves the members whole, and all serving. */
const kept: { cluster?: MemberProcesses } = {};
const keptLoad = new AckedLoad();
before(async () => {
  kept.cluster = await MemberProcesses.start();
});
after(() => kept.cluster?.[Symbol.asyncDispose]());

function running(): { readonly cluster: MemberProcesses; readonly load: AckedLoad } {
  assert.ok(kept.cluster);
  return { cluster: kept.cluster, load: keptLoad };
}

/** The segments of the victim's log, the newest last. */
function logFilesOf(cluster: MemberProcesses): readonly string[] {
  const dataDir = cluster.dataDir(victim);
  const member = readdirSync(dataDir).find((name) => name.startsWith("member-")) ?? "";
  const folder = join(dataDir, member, "log");
  const segments = readdirSync(folder).filter((name) => name.endsWith(".log"));
  return segments.sort().map((name) => join(folder, name));
}

const logFileOf = (cluster: MemberProcesses): string =>
  logFilesOf(cluster).at(-1) ?? assert.fail("there is a log");

function endpointsOf(cluster: MemberProcesses, names: readonly string[]): readonly string[] {
  return names.map((name) => cluster.member(name).endpoint);
}

/** Writes through `names` until `count` are acknowledged. */
async function writeThrough(
  load: AckedLoad,
  { cluster, names, count }: { cluster: MemberProcesses; names: readonly string[]; count: number },
): Promise<void> {
  const before = load.ackedCount;
  await load.write(endpointsOf(cluster, names), (acked) => acked < count);
  assert.ok(load.ackedCount - before >= count, `the writers failed\n${cluster.output}`);
}

function patch(file: string, offset: number, bytes: Uint8Array): void {
  const fd = openSync(file, "r+");
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

test("a damaged store is set aside and built again from the log", async () => {
  const { cluster, load } = running();
  await writeThrough(load, { cluster, names: cluster.names, count: 150 });
  await cluster.member(victim).child.kill9();
  const member = dirname(dirname(logFileOf(cluster)));
  const file = join(member, "store", "data.mdb");
  patch(file, 2 * pageBytes, Buffer.alloc(readFileSync(file).length - 2 * pageBytes, 0x5a));
  await writeThrough(load, { cluster, names: others, count: 150 });
  const { child } = await cluster.run(victim);
  assert.match(child.output, /the store \S+data\.mdb is damaged at page \d+, offset \d+: /);
  assert.deepEqual(readdirSync(member).sort(), [
    "births.json",
    "identity.json",
    "log",
    "store",
    "store.damaged-1",
  ]);
  await load.verify(endpointsOf(cluster, cluster.names));
  // It never stopped voting: the log, which vouches for its promises, was whole.
  await cluster.member("m1").child.kill9();
  await writeThrough(load, { cluster, names: ["m2", victim], count: 150 });
  await load.verify(endpointsOf(cluster, ["m2", victim]));
  await cluster.run("m1");
});

test("a write that was torn by the crash is cut; everything before it is there", async () => {
  const { cluster, load } = running();
  await writeThrough(load, { cluster, names: cluster.names, count: 150 });
  await cluster.member(victim).child.kill9();
  const file = logFileOf(cluster);
  const { bytes, sector } = lastSector(file);
  // The first sector of a batch that was on its way, with a bit that did not make it.
  const torn = Buffer.from(bytes.subarray(sector, sector + sectorBytes));
  torn[20] = (torn[20] ?? 0) ^ 1;
  patch(file, sector + sectorBytes, torn);
  await cluster.run(victim);
  await load.verify(endpointsOf(cluster, cluster.names));
});

function lastSector(file: string): { readonly bytes: Buffer; readonly sector: number } {
  const bytes = readFileSync(file);
  const last = bytes.findLastIndex((byte) => byte !== 0);
  const sector = last - (last % sectorBytes);
  assert.ok(sector > segmentHeadBytes, "the log holds batches");
  return { bytes, sector };
}

test("a bit flipped in the middle of the log: the member says where, and the others refill it", async () => {
  const { cluster, load } = running();
  await writeThrough(load, { cluster, names: cluster.names, count: 150 });
  const needle = "value of the needle";
  // In the middle, and in bytes that count: behind the records of a batch there is only padding.
  const client = new KvClient(cluster.member(victim).endpoint);
  await client.put("needle", needle);
  client.close();
  await writeThrough(load, { cluster, names: cluster.names, count: 150 });
  await cluster.member(victim).child.kill9();
  const file = logFilesOf(cluster).find((each) => readFileSync(each).includes(needle));
  assert.ok(file, "the needle is in the log");
  const bytes = readFileSync(file);
  const at = bytes.indexOf(needle);
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  patch(file, at, bytes.subarray(at, at + 1));

  await writeThrough(load, { cluster, names: others, count: 150 });
  const { child } = await cluster.run(victim);
  const [, name, offset] = /log file (\S+) is damaged at offset (\d+)/.exec(child.output) ?? [
    undefined,
    "",
    "",
  ];
  assert.ok(name && file.endsWith(name), child.output);
  assert.ok(Number(offset) <= at && Number(offset) > at - 4096, `${offset}, flipped at ${at}`);
  await load.verify(endpointsOf(cluster, cluster.names));
  // Whole again: its vote makes a majority with one other.
  await cluster.member("m1").child.kill9();
  await writeThrough(load, { cluster, names: ["m2", victim], count: 150 });
  await load.verify(endpointsOf(cluster, ["m2", victim]));
  await cluster.run("m1");
});

test("a last record that the disk lost is brought back by the others", async () => {
  const { cluster, load } = running();
  await writeThrough(load, { cluster, names: cluster.names, count: 150 });
  await cluster.member(victim).child.kill9();
  const file = logFileOf(cluster);
  patch(file, lastSector(file).sector, Buffer.alloc(sectorBytes));
  // A store that holds more than the log would tell of the loss: the member would refuse to start.
  rmSync(join(dirname(dirname(file)), "store"), { recursive: true });
  await writeThrough(load, { cluster, names: others, count: 150 });
  await cluster.run(victim);
  await load.verify(endpointsOf(cluster, cluster.names));
});

test("a full disk stops its member, and room brings it back with everything", async (t) => {
  await using cluster = await MemberProcesses.start();
  const load = new AckedLoad();
  await cluster.member(victim).child.stop();
  const dataDir = cluster.dataDir(victim);
  const moved = join(cluster.folder, "moved");
  renameSync(dataDir, moved);
  if (!mountSmallDisk(dataDir, t)) return;
  try {
    cpSync(moved, dataDir, { recursive: true });
    const { child } = await cluster.run(victim);
    await writeThrough(load, { cluster, names: cluster.names, count: 200 });
    const filler = join(dataDir, ".quorlet.lock-filler");
    const { bavail, bsize } = statfsSync(dataDir);
    writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - roomLeftBytes)));
    const full = child.line({ pattern: /no space left on the disk/, timeoutMs: lineMsMax });
    let waiting = true;
    const over = (): void => {
      waiting = false;
    };
    full.then(over, over);
    // Large ones: a few use up what is left.
    const client = new KvClient(cluster.member("m1").endpoint);
    for (let i = 0; waiting; i++) {
      await client.put(`bulk${i % 20}`, `${i}`.padEnd(50_000, ".")).catch(() => {});
    }
    client.close();
    await full;
    // Without a member the others go on; it tries again now and then, and may give up.
    await writeThrough(load, { cluster, names: others, count: 200 });
    await child.kill9();
    rmSync(filler);
    await cluster.run(victim);
    await load.verify(endpointsOf(cluster, cluster.names));
  } finally {
    execFileSync("umount", ["-l", dataDir]);
  }
});

function mountSmallDisk(folder: string, t: TestContext): boolean {
  mkdirSync(folder);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], { stdio: "ignore" });
    return true;
  } catch {
    t.skip("may not mount a tmpfs");
    return false;
  }
}
