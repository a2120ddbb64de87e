// Leases, locks and elections of the typed client against member threads.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { LeaseId } from "../../src/base/brand.ts";
import { type EtcdError, StatusCode } from "../../src/base/errors.ts";
import { placeKey } from "../../src/base/lineKeys.ts";
import type { Client } from "../../src/client/client.ts";
import type { Lease } from "../../src/client/lease.ts";
import { compare, op } from "../../src/client/txn.ts";
import { Cluster } from "../../src/cluster/cluster.ts";
import { turnsUntil } from "../support/turns.ts";

let cluster: Cluster;
let client: Client;
before(async () => {
  cluster = await Cluster.start({ members: 3 });
  client = cluster.client();
});
after(() => cluster.close());

const aborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason)));
const leader = () => cluster.members.find(({ role }) => role === "leader");

test("a lease is granted, holds its keys, tells its time and takes them along", async () => {
  const lease = await client.lease({ ttl: 30 });
  await client.put("leased", "v", { lease: lease.id });
  const time = await lease.timeToLive({ keys: true });
  assert.equal(time.grantedTtl, 30);
  assert.ok(time.ttl > 0 && time.ttl <= 30);
  assert.deepEqual(time.keys.map(String), [String(new TextEncoder().encode("leased"))]);
  await lease.revoke();
  assert.equal(await client.get("leased"), undefined);
  assert.equal((await lease.timeToLive()).ttl, -1);
  assert.equal(lease.lost.aborted, false, "it was ended, not lost");
  const chosen = await client.lease({ ttl: 30, id: 77n });
  assert.equal(chosen.id, 77n);
  await assert.rejects(
    client.lease({ ttl: 30, id: 77n }),
    (error: EtcdError) => error.code === StatusCode.failedPrecondition,
  );
  await chosen.revoke();
});

/** In seconds: where another leader comes too late for the first, it comes in time for the last. */
const ttls = [3, 12, 50];

test("a lease outlives its time and its leader while it is kept, and ends when let go", async () => {
  let lease: Lease | undefined;
  for (const ttl of ttls) {
    lease = await client.lease({ ttl });
    await client.put("kept", "v", { lease: lease.id });
    await leader()?.kill();
    // Longer than it would live unkept.
    const until = performance.now() + ttl * 1_000 + 500;
    const { lost } = lease;
    await turnsUntil(() => lost.aborted || performance.now() > until, "its time goes by");
    const isKept = !lost.aborted && (await client.get("kept"))?.text() === "v";
    for (const member of cluster.members) if (member.state === "down") await member.restart();
    if (isKept) break;
    assert.notEqual(ttl, ttls.at(-1), `lost in ${ttl} s`);
  }
  const watch = client.watch("kept");
  await watch.ready();
  lease?.letGo();
  for await (const { kind } of watch) {
    assert.equal(kind, "delete");
    break;
  }
});

test("who loses a lease is told", async () => {
  const lease = await client.lease({ ttl: 2 });
  const told = aborted(lease.lost);
  const other = cluster.client();
  const { LeaseKeeper } = await import("../../src/client/leaseKeeper.ts");
  await new LeaseKeeper(cluster.connect()).revoke(lease.id, {});
  assert.match(String(await told), /requested lease not found/);
  other.close();
});

test("twenty holders of a lock come one after the other, in the order of their keys", async () => {
  const clients = Array.from({ length: 4 }, () => cluster.client());
  let inside = 0;
  const revisions: number[] = [];
  const hold = async (i: number): Promise<void> => {
    const lock = await (clients[i % clients.length] ?? client).lock("contended", { ttl: 30 });
    assert.equal(++inside, 1, "one at a time");
    revisions.push(lock.revision);
    // The fence: nobody of before may write any more.
    const guard = compare("fence").value("<", String(lock.revision).padStart(12, "0"));
    const value = String(lock.revision).padStart(12, "0");
    const { succeeded } = await client.txn().if(guard).then(op.put("fence", value)).commit();
    assert.ok(succeeded);
    inside--;
    await lock.unlock();
  };
  await client.put("fence", "");
  await Promise.all(Array.from({ length: 20 }, (_, i) => hold(i)));
  assert.deepEqual(
    revisions,
    revisions.toSorted((a, b) => a - b),
  );
  assert.equal(new Set(revisions).size, 20);
  assert.equal((await client.getAll({ prefix: "contended/" })).count, 0, "nothing is left");
  for (const other of clients) other.close();
});

test("who gives up waiting leaves the line; who dies is passed over", async () => {
  const first = await client.lock("line", { ttl: 30 });
  assert.equal(Buffer.from(first.key).toString(), `line/${first.lease.id.toString(16)}`);
  const abort = new AbortController();
  const second = client.lock("line", { ttl: 30, signal: abort.signal });
  const lines = async () => (await client.getAll({ prefix: "line/" })).count;
  while ((await lines()) < 2);
  abort.abort();
  await assert.rejects(second, (error: EtcdError) => error.code === StatusCode.canceled);
  assert.equal(await lines(), 1);
  // A waiter whose lease is revoked under him.
  const lease = await client.lease({ ttl: 30 });
  const third = client.lock("line", { lease });
  while ((await lines()) < 2);
  await client.delete(placeKey(Buffer.from("line"), LeaseId(lease.id)));
  await first.unlock();
  await assert.rejects(third, /lease not found/, "the key is checked when the lock is granted");
  await lease.revoke();
});

test("an election has one leader; the others read what it says and follow", async () => {
  const election = client.election("election");
  assert.equal(await election.leader(), undefined);
  const stop = new AbortController();
  const seen: string[] = [];
  const observing = (async () => {
    for await (const pair of election.observe({ signal: stop.signal })) seen.push(pair.text());
  })();
  const one = await election.campaign("one", { ttl: 30 });
  await turnsUntil(() => seen.includes("one"), "the first is seen");
  const waiting = client.election("election").campaign("two", { ttl: 30 });
  await one.proclaim("one again");
  assert.equal((await election.leader())?.text(), "one again");
  await turnsUntil(() => seen.includes("one again"), "what it says is seen");
  await leader()?.kill();
  await one.resign();
  const two = await waiting;
  assert.ok(two.revision > one.revision);
  await turnsUntil(() => seen.includes("two"), "the next is seen", 30_000);
  assert.deepEqual(seen, ["one", "one again", "two"]);
  await assert.rejects(one.proclaim("too late"), /not leader/);
  await two.resign();
  stop.abort();
  await assert.rejects(observing, /canceled/);
  for (const member of cluster.members) if (member.state === "down") await member.restart();
});
