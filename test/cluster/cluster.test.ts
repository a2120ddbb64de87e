// Whole clusters in this process, as programs and tests embed them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { Cluster, EtcdError, type MemberNotice } from "../../src/quorlet.ts";
import { projectRoot } from "../support/paths.ts";

function temporaryDir(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "quorlet-cluster-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function leaderOf(cluster: Cluster): number {
  const found = cluster.members.findIndex(({ role }) => role === "leader");
  assert.notEqual(found, -1, "there is a leader");
  return found;
}

test("a cluster in memory answers, loses its leader's thread, goes on, and gets it back", async () => {
  const notices: MemberNotice[] = [];
  await using cluster = await Cluster.start({ onMember: (notice) => notices.push(notice) });
  const client = cluster.client();
  const acked = new Map<string, number>();
  const put = async (key: string): Promise<void> => {
    acked.set(key, (await client.put(key, "v")).header.revision);
  };
  for (let i = 0; i < 50; i++) await put(`before${i}`);
  const victim = leaderOf(cluster);
  const load = Array.from({ length: 50 }, (_, i) => put(`during${i}`).catch(() => {}));
  await cluster.member(victim).kill();
  assert.equal(cluster.member(victim).state, "down");
  await put("after");
  await Promise.all(load);
  await cluster.member(victim).restart();
  assert.equal(cluster.member(victim).state, "serving");
  assert.deepEqual(
    notices.map(({ kind }) => kind),
    ["down", "serving"],
  );
  for (const [key, revision] of acked) {
    assert.equal((await client.get(key))?.modRevision, revision, `${key} is what was acknowledged`);
  }
});

test("data on disk outlives the cluster, and revisions continue", async () => {
  using dir = temporaryDir();
  const dataDir = join(dir.path, "data");
  let id = 0n;
  {
    await using cluster = await Cluster.start({ dataDir });
    id = cluster.clusterId;
    assert.equal((await cluster.client().put("k", "v")).header.revision, 2);
    assert.equal(statSync(dataDir).mode & 0o777, 0o700);
  }
  await using again = await Cluster.start({ dataDir });
  assert.equal(again.clusterId, id);
  assert.equal((await again.client().get("k"))?.modRevision, 2);
  assert.equal((await again.client().put("k", "w")).header.revision, 3);
});

test("a member that was down while others wrote catches up from the leader's log", async () => {
  using dir = temporaryDir();
  await using cluster = await Cluster.start({ dataDir: join(dir.path, "data") });
  const client = cluster.client();
  const victim = (leaderOf(cluster) + 1) % 3;
  await cluster.member(victim).kill();
  for (let i = 0; i < 200; i++) await client.put(`k${i}`, "v");
  await cluster.member(victim).restart();
  await cluster.member((victim + 1) % 3).kill();
  // With one of the others gone, every answer needs the member that came back.
  assert.equal((await client.put("last", "v")).header.revision, 202);
});

test("a port in use is one clear line, and nothing is made", async () => {
  using dir = temporaryDir();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const dataDir = join(dir.path, "data");
  await assert.rejects(Cluster.start({ dataDir, clientPorts: [0, address.port, 0] }), {
    name: "StartError",
    message: `127.0.0.1:${address.port} is in use by another process`,
  });
  assert.deepEqual(readdirSync(dir.path), []);
  server.close();
});

test("a directory in use, of another size, or not ours is one clear line each", async () => {
  using dir = temporaryDir();
  const dataDir = join(dir.path, "data");
  {
    await using first = await Cluster.start({ dataDir, members: 1 });
    await assert.rejects(Cluster.start({ dataDir, members: 1 }), /in use/);
    assert.equal((await first.client().put("k", "v")).header.revision, 2);
  }
  await assert.rejects(Cluster.start({ dataDir, members: 3 }), {
    name: "StartError",
    message: `${dataDir} holds a cluster of 1 members, not 3`,
  });
  cpSync(import.meta.filename, join(dir.path, "foreign.txt"));
  await assert.rejects(Cluster.start({ dataDir: dir.path }), (error: Error) => {
    assert.match(error.message, /^[^\n]* is no data directory of quorlet: it holds [^\n]*$/);
    return true;
  });
});

test("a closed cluster refuses its clients and leaves no handle open", () => {
  const script = `
    import { Cluster } from ${JSON.stringify(join(projectRoot, ".build/src/quorlet.js"))};
    const cluster = await Cluster.start({ members: 3 });
    const client = cluster.client();
    await client.put("k", "v");
    await cluster.close();
    await client.put("k", "w").then(() => process.exit(3), () => {});
  `;
  // The process ends by itself only when nothing is left open.
  const run = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    ...{ timeout: 200_000, encoding: "utf8" },
  });
  assert.equal(run.status, 0, run.stderr);
});

test("what etcd refuses, the embedded client refuses with etcd's words", async () => {
  await using cluster = await Cluster.start({ members: 1 });
  const client = cluster.client();
  await assert.rejects(client.put("", "v"), (error: unknown) => {
    assert.ok(error instanceof EtcdError);
    assert.equal(error.message, "etcdserver: key is not provided");
    return true;
  });
});

test("one member with a log that nobody can read stays down with its reason; the others serve", async () => {
  using dir = temporaryDir();
  const dataDir = join(dir.path, "data");
  const log = await leaveLog(dataDir);
  const bytes = readFileSync(log);
  // The head of the segment and its copy: without them no checksum can be judged.
  for (const at of [20, 2068]) bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(log, bytes);
  const notices: MemberNotice[] = [];
  await using cluster = await Cluster.start({ dataDir, onMember: (n) => notices.push(n) });
  assert.deepEqual(
    notices.map(({ kind }) => kind),
    ["failed"],
  );
  assert.match(notices[0]?.why ?? "", /^m\d: log file \S+ is damaged at offset \d+/);
  await checkPairs(cluster);
});

test("one member with a damaged log is refilled by the others, and counts again", async () => {
  using dir = temporaryDir();
  const dataDir = join(dir.path, "data");
  flipBit(await leaveLog(dataDir), "k3");
  const notices: MemberNotice[] = [];
  await using cluster = await Cluster.start({ dataDir, onMember: (n) => notices.push(n) });
  assert.deepEqual(notices, []);
  await checkPairs(cluster);
});

/** Twenty large pairs on three disks. @returns the log of one of them. */
async function leaveLog(dataDir: string): Promise<string> {
  {
    await using cluster = await Cluster.start({ dataDir });
    const client = cluster.client();
    for (let i = 0; i < 20; i++) await client.put(`k${i}`, "v".repeat(2_000));
  }
  const [folder] = readdirSync(dataDir).filter((name) => name.startsWith("member-"));
  assert.ok(folder !== undefined, "members have folders");
  return join(dataDir, folder, "log", "0000000001.log");
}

async function checkPairs(cluster: Cluster): Promise<void> {
  const client = cluster.client();
  for (let i = 0; i < 20; i++) {
    assert.equal((await served(() => client.get(`k${i}`)))?.version, 1, `k${i}`);
  }
  assert.equal((await served(() => client.put("k", "v"))).header.revision, 22);
}

/** A member that is being refilled refuses what it is asked, and nothing has happened then. */
async function served<T>(ask: () => Promise<T>): Promise<T> {
  const endMs = performance.now() + 30_000;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const isRefused = error instanceof EtcdError && error.message === "etcdserver: no leader";
      if (!isRefused || performance.now() > endMs) throw error;
    }
  }
}

/** Flips one bit of the first place in a file that holds `marker`. */
function flipBit(file: string, marker: string): void {
  const bytes = readFileSync(file);
  const at = bytes.indexOf(Buffer.from(marker));
  assert.ok(at > 0, `${file} holds ${marker}`);
  bytes[at + 10] = (bytes[at + 10] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}
