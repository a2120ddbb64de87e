// Debian's python3-etcd3 against three members: keys, transactions, watches, leases and locks.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Cluster } from "../../src/cluster/cluster.ts";
import { findPython, noPythonReason, runPython } from "../support/pythonEtcd3.ts";

const found = findPython();
const options = { skip: found === undefined && noPythonReason };
let cluster: Cluster;
before(async () => {
  if (found !== undefined) cluster = await Cluster.start({ members: 3 });
});
after(() => cluster?.close());

const run = (script: string): Promise<readonly string[]> =>
  runPython(found ?? "", cluster.endpoints[1] ?? "", script);

test("python: keys, prefixes and compare-and-swap", options, async () => {
  const lines = await run(`
client.put("py/a", "1")
client.put("py/b", "2")
print(client.get("py/a")[0].decode())
print([m.key.decode() + "=" + v.decode() for v, m in client.get_prefix("py/", sort_order="descend")])
print(client.replace("py/a", "1", "3"), client.replace("py/a", "1", "4"))
print(client.put_if_not_exists("py/a", "5"), client.delete("py/b"), client.get("py/b")[0])
print(client.delete_prefix("py/").deleted)
`);
  assert.deepEqual(lines, ["1", "['py/b=2', 'py/a=1']", "True False", "False True None", "1"]);
});

test("python: transactions take one of two branches", options, async () => {
  const lines = await run(`
t = client.transactions
def swap():
    return client.transaction(
        compare=[t.value("txn") == "old", t.version("txn") > 0],
        success=[t.put("txn", "new"), t.get("txn")],
        failure=[t.put("txn", "old")])
first, second = swap(), swap()
print(first[0], second[0], second[1][1][0][0].decode())
`);
  assert.deepEqual(lines, ["False True new"]);
});

test("python: watches call back, iterate, begin in the past and end", options, async () => {
  const lines = await run(`
seen, done = [], threading.Event()
def heard(response):
    for event in response.events:
        seen.append(type(event).__name__ + " " + event.key.decode())
    if len(seen) >= 3: done.set()
id = client.add_watch_prefix_callback("w/", heard)
client.put("w/a", "1"); client.put("other", ""); client.put("w/b", "2"); client.delete("w/a")
assert done.wait(30)
client.cancel_watch(id)
print(seen)
revision = client.get("w/b")[1].mod_revision
events, cancel = client.watch("w/b", start_revision=revision)
print(next(events).value.decode()); cancel()
client.compact(revision)
events, cancel = client.watch("w/b", start_revision=1)
try: next(events)
except etcd3.exceptions.RevisionCompactedError as e: print("compacted", e.compacted_revision == revision)
`);
  assert.deepEqual(lines, [
    "['PutEvent w/a', 'PutEvent w/b', 'DeleteEvent w/a']",
    "2",
    "compacted True",
  ]);
});

test(
  "python: a lease is refreshed, tells its time, and takes its keys along",
  options,
  async () => {
    const lines = await run(`
lease = client.lease(30)
client.put("leased", "v", lease=lease)
print(lease.granted_ttl, 0 < lease.remaining_ttl <= 30, lease.keys)
print([r.TTL for r in lease.refresh()], client.get("leased")[1].lease_id == lease.id)
lease.revoke()
print(client.get("leased")[0])
`);
    assert.deepEqual(lines, ["30 True [b'leased']", "[30] True", "None"]);
  },
);

test(
  "python: a lock is held by one at a time, and goes over when it is left",
  options,
  async () => {
    // The waiting of its `acquire` does not fit the tenacity that Debian ships, and throws TypeError.
    const lines = await run(`
first, second = client.lock("door", ttl=30), client.lock("door", ttl=30)
print(first.acquire(timeout=10), first.is_acquired())
try: print(second.acquire(timeout=1))
except TypeError: print("would wait")
print(second.is_acquired(), first.release(), first.is_acquired())
print(second.acquire(timeout=10), second.is_acquired(), second.release())
`);
    assert.deepEqual(lines, ["True True", "would wait", "False True False", "True True True"]);
  },
);
