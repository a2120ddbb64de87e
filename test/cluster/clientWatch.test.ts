// Watches of the embedded client against member threads: order, resumption, bounds, ends.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { type EtcdError, StatusCode } from "../../src/base/errors.ts";
import type { Client } from "../../src/client/client.ts";
import type { Watch } from "../../src/client/watch.ts";
import { CompactedError, type WatchBatch, type WatchEvent } from "../../src/client/watchEvent.ts";
import { Cluster } from "../../src/cluster/cluster.ts";
import { projectRoot } from "../support/paths.ts";
import { turnsUntil } from "../support/turns.ts";

let cluster: Cluster;
let client: Client;
before(async () => {
  cluster = await Cluster.start({ members: 3 });
  client = cluster.client();
});
after(() => cluster.close());

const told = ({ kind, pair }: WatchEvent): string => `${kind} ${pair.keyText()}=${pair.text()}`;

/** Reads until `count` events were told, then closes. */
async function take(watch: Watch, count: number): Promise<readonly WatchEvent[]> {
  const events: WatchEvent[] = [];
  for await (const event of watch) if (events.push(event) === count) break;
  return events;
}

const leaderOf = (): number => cluster.members.findIndex(({ role }) => role === "leader");

/** Puts until told to stop; a put whose answer is lost is made again. @returns values that were answered. */
function putSteadily(key: string): { stop(): Promise<number>; readonly done: () => number } {
  let stopped = false;
  let count = 0;
  const run = async (): Promise<number> => {
    while (!stopped) {
      try {
        await client.put(key, `${count + 1}`, { timeoutMs: 2_000 });
        count++;
      } catch (error) {
        assert.notEqual((error as EtcdError).code, StatusCode.internal, `${error}`);
      }
    }
    return count;
  };
  const running = run();
  return {
    done: () => count,
    stop: () => {
      stopped = true;
      return running;
    },
  };
}

/** Each value once, in order, but for a put whose answer was lost and which was made again. */
function judgeSteady(events: readonly WatchEvent[], key: string): void {
  let revision = 0;
  let value = 0;
  for (const { pair } of events) {
    assert.equal(pair.keyText(), key);
    assert.ok(pair.modRevision > revision, `revision ${pair.modRevision} after ${revision}`);
    const next = Number(pair.text());
    assert.ok(next === value || next === value + 1, `value ${next} after ${value}`);
    revision = pair.modRevision;
    value = next;
  }
}

test("puts and deletes are told in order, of the range and of nothing else", async () => {
  const watch = client.watch({ prefix: "order/" });
  await watch.ready();
  await client.put("order/a", "1");
  await client.put("elsewhere", "x");
  await client.put("order/b", "2");
  await client.delete("order/a");
  assert.deepEqual((await take(watch, 3)).map(told), [
    "put order/a=1",
    "put order/b=2",
    "delete order/a=",
  ]);
});

test("a watch begins in the past, with the pairs before, and filters", async () => {
  const { header } = await client.put("past", "1");
  await client.put("past", "2");
  await client.delete("past");
  const from = header.revision;
  const events = await take(client.watch("past", { from, previous: true }), 3);
  assert.deepEqual(
    events.map(({ kind, previous }) => `${kind} after ${previous?.text()}`),
    ["put after undefined", "put after 1", "delete after 2"],
  );
  const deletes = await take(client.watch("past", { from, filters: ["noPut"] }), 1);
  assert.deepEqual(deletes.map(told), ["delete past="]);
  const range = { key: "past", rangeEnd: "pasu" };
  assert.equal((await take(client.watch(range, { from }), 3)).length, 3);
});

test("the events of a revision come together", async () => {
  const watch = client.watch({ prefix: "txn/" });
  await watch.ready();
  const { op } = await import("../../src/client/txn.ts");
  await client.txn().then(op.put("txn/a", "1"), op.put("txn/b", "2"), op.put("other", "")).commit();
  await client.txn().then(op.delete("txn/a"), op.put("txn/c", "3")).commit();
  const batches: WatchBatch[] = [];
  for await (const batch of watch.batches()) if (batches.push(batch) === 2) break;
  assert.deepEqual(
    batches.map(({ events }) => events.map(told)),
    [
      ["put txn/a=1", "put txn/b=2"],
      ["delete txn/a=", "put txn/c=3"],
    ],
  );
  for (const { revision, events } of batches) {
    assert.ok(events.every(({ pair }) => pair.modRevision === revision));
  }
});

test("refusals and compactions end the reader with a clear word", async () => {
  await assert.rejects(
    take(client.watch({ from: "b", to: "a" }), 1),
    (error: EtcdError) =>
      error.code === StatusCode.invalidArgument && /range is empty/.test(error.message),
  );
  for (let i = 0; i < 5; i++) await client.put("compacted", `${i}`);
  const { header } = await client.put("compacted", "last");
  await client.compact(header.revision);
  const reader = take(client.watch("compacted", { from: 1 }), 1);
  await assert.rejects(reader, (error: unknown) => {
    assert.ok(error instanceof CompactedError);
    assert.equal(error.code, StatusCode.outOfRange);
    assert.equal(error.floor, header.revision);
    return true;
  });
  const again = await take(client.watch("compacted", { from: header.revision }), 1);
  assert.deepEqual(again.map(told), ["put compacted=last"]);
});

test("a signal ends the reader; so do break and close, and the watch is gone at the member", async () => {
  const abort = new AbortController();
  const watch = client.watch("signal", { signal: abort.signal });
  const reader = take(watch, 1);
  await watch.ready();
  abort.abort();
  await assert.rejects(reader, (error: EtcdError) => error.code === StatusCode.canceled);
  const aborted = client.watch("signal", { signal: abort.signal });
  await assert.rejects(take(aborted, 1), /canceled/);
  await assert.rejects(aborted.ready(), /canceled/);
  const closed = client.watch("signal");
  const end = take(closed, 1);
  closed.close();
  assert.deepEqual(await end, []);
});

test("a hundred watches share what they hear", async () => {
  const watches = Array.from({ length: 100 }, (_, i) =>
    client.watch(i % 2 === 0 ? { prefix: "many/" } : `many/${i}`),
  );
  await Promise.all(watches.map((watch) => watch.ready()));
  const counts = watches.map((watch, i) => take(watch, i % 2 === 0 ? 100 : 1));
  await Promise.all(Array.from({ length: 100 }, (_, i) => client.put(`many/${i}`, `${i}`)));
  for (const [i, events] of (await Promise.all(counts)).entries()) {
    if (i % 2 === 1) assert.deepEqual(events.map(told), [`put many/${i}=${i}`]);
    else {
      const revisions = events.map(({ pair }) => pair.modRevision);
      assert.deepEqual(
        revisions,
        revisions.toSorted((a, b) => a - b),
      );
      assert.equal(new Set(events.map(({ pair }) => pair.keyText())).size, 100);
    }
  }
});

test("a killed leader costs a watch nothing: no loss, no repeat", async () => {
  const watch = client.watch("steady");
  await watch.ready();
  const seen: WatchEvent[] = [];
  const reading = (async () => {
    for await (const event of watch) seen.push(event);
  })();
  const load = putSteadily("steady");
  for (let round = 0; round < 2; round++) {
    const before = seen.length;
    await turnsUntil(() => seen.length >= before + 20, "events come");
    const victim = cluster.member(leaderOf());
    await victim.kill();
    const atKill = seen.length;
    await turnsUntil(
      () => seen.length >= atKill + 20,
      "events go on under the next leader",
      30_000,
    );
    await victim.restart();
  }
  const count = await load.stop();
  await turnsUntil(() => seen.at(-1)?.pair.text() === `${count}`, "the last event");
  watch.close();
  await reading;
  judgeSteady(seen, "steady");
  const history = await take(
    client.watch("steady", { from: seen[0]?.pair.modRevision ?? 0 }),
    seen.length,
  );
  assert.deepEqual(
    seen.map(({ pair }) => pair.modRevision),
    history.map(({ pair }) => pair.modRevision),
  );
});

test("a leader that is cut off does not keep its watches", async () => {
  const watch = client.watch("paused");
  await watch.ready();
  const seen: WatchEvent[] = [];
  const reading = (async () => {
    for await (const event of watch) seen.push(event);
  })();
  const load = putSteadily("paused");
  await turnsUntil(() => seen.length >= 20, "events come");
  const { name } = cluster.member(leaderOf());
  for (const other of cluster.members) {
    if (other.name !== name) cluster.faults.cut(name, other.name);
  }
  const atCut = seen.length;
  await turnsUntil(() => seen.length >= atCut + 20, "events go on elsewhere", 30_000);
  cluster.faults.mend();
  const count = await load.stop();
  await turnsUntil(() => seen.at(-1)?.pair.text() === `${count}`, "the last event");
  watch.close();
  await reading;
  judgeSteady(seen, "paused");
});

test("a reader that does not read holds nobody up, and what waits for it is bounded", async () => {
  const own = cluster.client();
  const bufferBytesMax = 256 << 10;
  const lazy = own.watch({ prefix: "slow/" }, { bufferBytesMax });
  const quick = own.watch({ prefix: "slow/" });
  const first = await lazy.ready();
  await quick.ready();
  const count = 640;
  const value = new Uint8Array(16_384);
  const reading = take(quick, count);
  for (let i = 0; i < count; i += 64) {
    await Promise.all(Array.from({ length: 64 }, (_, j) => own.put(`slow/${i + j}`, value)));
  }
  assert.equal((await reading).length, count, "the other got all");
  const waiting = (await lazy.ready()) - first;
  // What one message may hold, and the one that filled the buffer.
  assert.ok(waiting * value.length <= bufferBytesMax + (2 << 20), `${waiting} events wait`);
  const revisions = (await take(lazy, count)).map(({ pair }) => pair.modRevision);
  assert.equal(new Set(revisions).size, count, "it goes on where it stopped, to the end");
  assert.deepEqual(
    revisions,
    revisions.toSorted((a, b) => a - b),
  );
  own.close();
});

test("a closed client ends its watches, and a program that is done ends by itself", async () => {
  const own = cluster.client();
  const watch = own.watch("closed");
  await watch.ready();
  const reader = take(watch, 1);
  own.close();
  await assert.rejects(reader, /server stopped/);
  await assert.rejects(take(own.watch("closed"), 1), /server stopped/);
  const program = `
    const { Cluster } = await import(${JSON.stringify(pathToFileURL(`${projectRoot}/.build/src/quorlet.js`).href)});
    const cluster = await Cluster.start({ members: 1 });
    const client = cluster.client();
    const watch = client.watch("k");
    await watch.ready();
    await client.put("k", "v");
    for await (const event of watch) { console.log(event.pair.text()); break; }
    await cluster.close();
  `;
  const args = ["--input-type=module", "-e", program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
  assert.equal(stdout, "v\n");
});
