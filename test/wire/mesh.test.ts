// Members in processes of their own, joined by WebSockets: load, kill -9, strangers, and bad settings.
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { seedMembers } from "../../src/cluster/identity.ts";
import { KvClient } from "../support/kvClient.ts";
import { MemberProcesses } from "../support/memberProcesses.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import { WireClient } from "../support/wireClient.ts";

/** Far above two election timeouts, for a loaded machine. */
const failoverMsMax = 60_000;

async function ask(
  endpoint: string,
  method: string,
  response: string,
): Promise<Record<string, unknown>> {
  const client = new WireClient(endpoint);
  const request = method.endsWith("Status") ? "StatusRequest" : "MemberListRequest";
  const answer = await client.call(`/etcdserverpb.${method}`, encodeMessage(request, {}));
  client.close();
  assert.ok(answer.kind === "ok", `${method} at ${endpoint}: ${JSON.stringify(answer)}`);
  return decodeMessage(response, answer.message);
}

/**
 * A token other than the cluster's, under which `name` has the lowest id. Of two members the lower one
 * dials; one that nobody dials and that dials nobody would never hear that it is a stranger.
 */
function dialingToken(cluster: MemberProcesses, name: string): string {
  const members = cluster.names.map((each, i) => ({ name: each, peerUrls: [cluster.peerUrl(i)] }));
  for (let i = 0; ; i++) {
    const token = `another${i}`;
    const seeds = seedMembers(members, token).members;
    const self = seeds.find((seed) => seed.name === name)?.id ?? assert.fail(`${name} is a member`);
    if (seeds.every(({ id }) => self <= id)) return token;
  }
}

const statusOf = (endpoint: string) => ask(endpoint, "Maintenance/Status", "StatusResponse");

async function membersAt(endpoint: string): Promise<readonly Record<string, unknown>[]> {
  const { members } = await ask(endpoint, "Cluster/MemberList", "MemberListResponse");
  assert.ok(Array.isArray(members));
  return members;
}

async function put(endpoint: string, key: string, value: string): Promise<number> {
  const client = new KvClient(endpoint);
  try {
    return await client.put(key, value);
  } finally {
    client.close();
  }
}

async function valueAt(endpoint: string, key: string): Promise<string | undefined> {
  const client = new KvClient(endpoint);
  try {
    return (await client.get(key))?.value;
  } finally {
    client.close();
  }
}

/** Asks again at once until an answer comes: the member refuses while it knows no leader. */
async function putSoon(endpoint: string, key: string, value: string): Promise<void> {
  const endMs = performance.now() + failoverMsMax;
  for (;;) {
    try {
      await put(endpoint, key, value);
      return;
    } catch (error) {
      if (performance.now() > endMs) throw error;
    }
  }
}

suite("three members in three processes", () => {
  let cluster: MemberProcesses;
  before(async () => {
    cluster = await MemberProcesses.start();
  });
  after(() => cluster[Symbol.asyncDispose]());

  const endpoints = (): readonly string[] =>
    cluster.names.map((name) => cluster.member(name).endpoint);

  async function leaderName(): Promise<string> {
    for (const name of cluster.names) {
      const { header, leader } = await statusOf(cluster.member(name).endpoint);
      assert.ok(typeof header === "object" && header !== null && "member_id" in header);
      if (header.member_id === leader) return name;
    }
    throw new Error("no member says that it leads");
  }

  test("what is put through one is read through every other", async () => {
    for (const [i, from] of endpoints().entries()) {
      await put(from, `from${i}`, `value${i}`);
      for (const to of endpoints()) {
        assert.equal(await valueAt(to, `from${i}`), `value${i}`, `${from} to ${to}`);
      }
    }
  });

  test("every member lists all of them with the client URLs that each made known", async () => {
    const want = cluster.names.map((name, i) => ({
      name,
      peerURLs: [cluster.peerUrl(i)],
      clientURLs: [`http://${cluster.member(name).endpoint}`],
    }));
    for (const endpoint of endpoints()) {
      // A member makes its URLs known once it is ready: it may take another moment.
      let listed: readonly Record<string, unknown>[] = [];
      const endMs = performance.now() + failoverMsMax;
      do {
        listed = await membersAt(endpoint);
      } while (!listed.every(({ clientURLs }) => clientURLs) && performance.now() < endMs);
      const byName = listed
        .map(({ name, peerURLs, clientURLs }) => ({ name, peerURLs, clientURLs }))
        .toSorted((a, b) => `${a.name}`.localeCompare(`${b.name}`));
      assert.deepEqual(byName, want, endpoint);
    }
  });

  test("writes go on without the process that led, and it catches up", async () => {
    const victim = await leaderName();
    await cluster.member(victim).child.kill9();
    const rest = cluster.names.filter((name) => name !== victim);
    for (const name of rest) {
      await putSoon(cluster.member(name).endpoint, `without-${victim}`, name);
    }
    const [one = "", two = ""] = rest.map((name) => cluster.member(name).endpoint);
    for (let i = 0; i < 100; i++) await put(i % 2 === 0 ? one : two, `missed${i}`, `${i}`);
    const { endpoint } = await cluster.run(victim);
    // A linearizable read waits until the member has applied all that was acknowledged.
    assert.equal(await valueAt(endpoint, "missed99"), "99");
    await putSoon(endpoint, "back", victim);
    assert.equal(await valueAt(one, "back"), victim);
  });

  test("a process with another token is refused and disturbs nobody", async () => {
    const leader = await leaderName();
    const absent = cluster.names.find((name) => name !== leader) ?? "";
    const rest = cluster.names.filter((name) => name !== absent);
    const endpointsLeft = rest.map((name) => cluster.member(name).endpoint);
    await cluster.member(absent).child.kill9();
    const termBefore = (await statusOf(endpointsLeft[0] ?? "")).raftTerm;
    const dataDir = join(cluster.folder, "stranger");
    const token = dialingToken(cluster, absent);
    const stranger = cluster.spawn({ name: absent, dataDir, token });
    await stranger.line({ pattern: /the cluster id is another one/, timeoutMs: 30_000 });
    for (const endpoint of endpointsLeft) await put(endpoint, "stranger", endpoint);
    for (const endpoint of endpointsLeft) {
      assert.equal((await statusOf(endpoint)).raftTerm, termBefore, "no election was held");
    }
    assert.doesNotMatch(stranger.output, /^ready/m);
    await stranger.stop();
    assert.equal(stranger.ending, "ended with 0", "it leaves in order while it waits");
    const { endpoint } = await cluster.run(absent);
    assert.equal(await valueAt(endpoint, "stranger"), endpointsLeft.at(-1));
  });

  test("SIGTERM ends a member in order, and it comes back with its data", async () => {
    const [name = ""] = cluster.names;
    await put(cluster.member(name).endpoint, "before-stop", "kept");
    const { child } = cluster.member(name);
    await child.stop();
    assert.equal(child.ending, "ended with 0");
    const { endpoint } = await cluster.run(name);
    assert.equal(await valueAt(endpoint, "before-stop"), "kept");
  });

  test("another directory, or other settings for this one, is one line and changes nothing", async () => {
    const [name = "", other = ""] = cluster.names;
    await cluster.member(name).child.stop();
    const dataDir = cluster.dataDir(name);
    const rows = [
      { args: cluster.args({ name, dataDir, token: "another" }), why: "the token" },
      { args: cluster.args({ name, dataDir: cluster.dataDir(other) }), why: "in use or another's" },
    ];
    for (const { args, why } of rows) {
      const { status, stdout, stderr } = runToEnd(args);
      assert.equal(status, 1, why);
      assert.equal(stdout, "", why);
      assert.match(stderr, /^quorlet: \S+ was made for another member or cluster: [^\n]+\n$/, why);
    }
    const dev = runToEnd([cluster.args({ name, dataDir })[0] ?? "", "dev", "--data-dir", dataDir]);
    assert.equal(dev.status, 1);
    assert.match(dev.stderr, /^quorlet: \S+ holds one member of a larger cluster: [^\n]+\n$/);
    const { endpoint } = await cluster.run(name);
    assert.equal(await valueAt(endpoint, "before-stop"), "kept");
  });
});

test("a port in use is one line, and nothing is made", async (t) => {
  const busy = createServer();
  await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
  t.after(() => busy.close());
  const address = busy.address();
  assert.ok(address !== null && typeof address === "object");
  const taken = `127.0.0.1:${address.port}`;
  await using cluster = await MemberProcesses.start(1);
  const dataDir = join(cluster.folder, "never");
  const args = cluster.args({ name: "m1", dataDir });
  const rows = [
    { flags: ["--listen-peer", taken], why: "the peer port" },
    { flags: ["--listen-client", taken], why: "the client port" },
  ];
  for (const { flags, why } of rows) {
    const { status, stdout, stderr } = runToEnd([...args, ...flags]);
    assert.equal(status, 1, why);
    assert.equal(stdout, "", why);
    assert.equal(stderr, `quorlet: ${taken} is in use by another process\n`, why);
    assert.equal(existsSync(dataDir), false, why);
  }
});

function runToEnd(args: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, args, { encoding: "utf8", timeout: 30_000 });
}
