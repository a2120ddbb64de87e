// npm's etcd3 against three members: transactions, watches, leases, locks, and an election in which it
// stands in one line with our own client.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Etcd3, EtcdLockFailedError } from "etcd3";
import { Cluster } from "../../src/cluster/cluster.ts";
import { turnsUntil } from "../support/turns.ts";

let cluster: Cluster;
let client: Etcd3;
before(async () => {
  cluster = await Cluster.start({ members: 3 });
  client = new Etcd3({ hosts: [...cluster.endpoints] });
});
after(async () => {
  client?.close();
  await cluster?.close();
});

test("npm: keys, ranges and transactions", async () => {
  await client.put("n/a").value("1");
  await client.put("n/b").value("2");
  assert.equal(await client.get("n/a").string(), "1");
  assert.deepEqual(await client.getAll().prefix("n/").strings(), { "n/a": "1", "n/b": "2" });
  const swap = () =>
    client
      .if("n/a", "Value", "==", "1")
      .then(client.put("n/a").value("3"))
      .else(client.get("n/a"))
      .commit();
  assert.equal((await swap()).succeeded, true);
  assert.equal((await swap()).succeeded, false);
  const deleted = await client.delete().prefix("n/");
  assert.equal(deleted.deleted, "2");
});

test("npm: a watch hears of puts and deletes", async () => {
  const watcher = await client.watch().prefix("nw/").create();
  const seen: string[] = [];
  watcher.on("put", ({ key }) => seen.push(`put ${key}`));
  watcher.on("delete", ({ key }) => seen.push(`delete ${key}`));
  await client.put("nw/a").value("1");
  await client.delete().key("nw/a");
  await turnsUntil(() => seen.length === 2, "both are heard");
  assert.deepEqual(seen, ["put nw/a", "delete nw/a"]);
  await watcher.cancel();
});

test("npm: a lease is kept alive by its client and takes its keys along", async () => {
  const lease = client.lease(5);
  await lease.put("nl").value("v");
  const { keys, grantedTTL } = await client.leaseClient.leaseTimeToLive({
    ID: await lease.grant(),
    keys: true,
  });
  assert.deepEqual([keys.map(String), grantedTTL], [["nl"], "5"]);
  await lease.keepaliveOnce();
  await lease.revoke();
  assert.equal(await client.get("nl").string(), null);
});

test("npm: a lock is held by one at a time", async () => {
  const lock = await client.lock("nd").ttl(30).acquire();
  await assert.rejects(client.lock("nd").acquire(), EtcdLockFailedError);
  await lock.release();
  assert.equal(await client.lock("nd").do(async () => "inside"), "inside");
});

test("npm: its campaigns and ours stand in one line", async () => {
  const ours = cluster.client();
  const election = ours.election("election/shared");
  const first = await election.campaign("ours", { ttl: 30 });
  const theirs = client.election("shared", 30);
  assert.equal(await theirs.leader(), "ours");
  const campaign = theirs.campaign("theirs");
  let elected = false;
  campaign.on("elected", () => {
    elected = true;
  });
  const line = async () => (await ours.getAll({ prefix: "election/shared/" })).count;
  while ((await line()) < 2);
  const third = election.campaign("ours again", { ttl: 30 });
  while ((await line()) < 3);
  assert.equal(elected, false);
  await first.resign();
  await turnsUntil(() => elected, "theirs leads");
  assert.equal((await election.leader())?.text(), "theirs");
  await campaign.resign();
  const last = await third;
  assert.equal(await theirs.leader(), "ours again");
  await last.resign();
  ours.close();
});
