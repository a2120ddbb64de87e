// Watch streams over the wire: odd requests beside a real etcd, slow and hostile clients, the end of a member.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, suite, test } from "node:test";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { encodeMessage } from "../support/messages.ts";
import { type RunningCluster, Server } from "../support/server.ts";
import { WatchClient, type WireWatchAnswer } from "../support/watchClient.ts";
import { WireClient } from "../support/wireClient.ts";

const binary = findEtcd();
const flags = ["--unsafe-no-fsync"];
const k = Buffer.from("k");
const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

interface Case {
  readonly name: string;
  /** Each is sent after `answers` to those before it. */
  readonly steps: readonly Step[];
}
type Step =
  /** Waits for so many more answers. */
  | { readonly send: object; readonly answers: number }
  | { readonly raw: string; readonly answers: number }
  | { readonly put: string; readonly value?: string; readonly answers: number }
  | { readonly txn: readonly string[]; readonly answers: number }
  | { readonly compact: number };

const create = (fields: object, answers = 1): Step => ({
  send: { create_request: fields },
  answers,
});
const cancel = (watch_id: string | number, answers = 1): Step => ({
  send: { cancel_request: { watch_id } },
  answers,
});
const progress = (answers: number): Step => ({ send: { progress_request: {} }, answers });

/** Each begins with revisions 2 to 6 of "k" and compaction at 4; what gives no answer is followed by a create. */
const cases: readonly Case[] = [
  {
    name: "empty ranges",
    steps: [
      create({ key: k, range_end: k }),
      create({ key: k, range_end: bytes("a") }),
      create({ key: k }),
    ],
  },
  {
    name: "an empty key",
    steps: [create({}), create({ range_end: bytes("\0") }), { put: "k", answers: 1 }],
  },
  {
    name: "given, repeated, negative and huge ids",
    steps: [
      create({ key: k, watch_id: 1 }),
      create({ key: k, watch_id: 1 }),
      create({ key: k }),
      create({ key: k }),
      create({ key: k, watch_id: -5 }),
      create({ key: k, watch_id: "9223372036854775807" }),
      create({ key: k, watch_id: "-9223372036854775808" }),
      cancel("9223372036854775807"),
      cancel(0),
    ],
  },
  {
    name: "cancel of what does not exist",
    steps: [cancel(0, 0), cancel(77, 0), create({ key: k })],
  },
  {
    name: "an id again after its cancel",
    steps: [create({ key: k, watch_id: 9 }), cancel(9), create({ key: k, watch_id: 9 }), cancel(9)],
  },
  { name: "negative starts", steps: [create({ key: k, start_revision: -1 }), create({ key: k })] },
  {
    name: "starts below, at and above the floor",
    steps: [
      create({ key: k, start_revision: 1 }, 2),
      create({ key: k, start_revision: 3 }, 2),
      create({ key: k, start_revision: 4 }, 2),
      create({ key: k, start_revision: 6, prev_kv: true }, 2),
      create({ key: k, start_revision: 7, watch_id: 50 }),
      cancel(0, 0),
      create({ key: bytes("other") }),
    ],
  },
  {
    name: "previous pairs, gone with the compaction",
    steps: [
      create({ key: k, start_revision: 4, prev_kv: true }, 2),
      { put: "k", value: "new", answers: 1 },
      { txn: ["-k", "+l"], answers: 1 },
    ],
  },
  {
    name: "filters, unknown ones too",
    steps: [
      create({ key: k, filters: [0] }),
      create({ key: k, filters: [1] }),
      create({ key: k, filters: [7, -1] }),
      { put: "k", answers: 2 },
      { txn: ["-k"], answers: 2 },
    ],
  },
  {
    name: "progress without watchers, with a future one, with a live one",
    steps: [
      progress(0),
      create({ key: k, start_revision: 9 }),
      progress(0),
      cancel(0),
      create({ key: k }),
      progress(1),
    ],
  },
  {
    name: "nothing set, and unknown fields",
    steps: [{ raw: "", answers: 0 }, { raw: "22020801", answers: 0 }, create({ key: k })],
  },
  {
    name: "a future start gets nothing older",
    steps: [
      create({ key: k, start_revision: 9 }),
      { put: "k", value: "7", answers: 0 },
      { put: "k", value: "8", answers: 0 },
      { put: "k", value: "9", answers: 1 },
    ],
  },
];

async function play(cluster: RunningCluster, { steps }: Case): Promise<string[]> {
  const endpoint = cluster.endpoints[0] ?? "";
  const kv = new WireClient(endpoint);
  const stream = new WatchClient(endpoint);
  let wanted = 0;
  const shown: string[] = [];
  try {
    for (const step of steps) {
      if ("send" in step) stream.send(step.send);
      else if ("raw" in step) stream.sendBytes(Buffer.from(step.raw, "hex"));
      else if ("put" in step) await put(kv, step.put, step.value ?? "v");
      else if ("txn" in step) await txn(kv, step.txn);
      else await compact(kv, step.compact);
      wanted += "answers" in step ? step.answers : 0;
      const count = wanted;
      await stream.until(`${count} answers`, () => stream.answers.length >= count);
      // Between watchers a revision has no order: etcd takes them as its map gives them.
      const fresh = stream.answers.slice(shown.length);
      shown.push(...fresh.toSorted((a, b) => Number(watchIdOf(a) - watchIdOf(b))).map(show));
    }
    return shown;
  } finally {
    stream.close();
    kv.close();
  }
}

const watchIdOf = (answer: WireWatchAnswer): bigint => BigInt(answer.watch_id ?? 0);

/** Ids of cluster, member and term differ by nature. */
function show(answer: WireWatchAnswer): string {
  const revision = answer.header?.revision;
  return JSON.stringify({ ...answer, header: { revision } }, (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value,
  );
}

async function put(kv: WireClient, key: string, value: string): Promise<void> {
  await ok(kv, "Put", encodeMessage("PutRequest", { key: bytes(key), value: bytes(value) }));
}

async function txn(kv: WireClient, steps: readonly string[]): Promise<void> {
  const success = steps.map((step) => {
    const key = bytes(step.slice(1));
    return step.startsWith("+")
      ? { request_put: { key, value: key } }
      : { request_delete_range: { key } };
  });
  await ok(kv, "Txn", encodeMessage("TxnRequest", { success }));
}

async function compact(kv: WireClient, revision: number): Promise<void> {
  await ok(kv, "Compact", encodeMessage("CompactionRequest", { revision, physical: true }));
}

async function ok(kv: WireClient, method: string, request: Uint8Array): Promise<void> {
  const answer = await kv.call(`/etcdserverpb.KV/${method}`, request);
  assert.equal(answer.kind, "ok", `${method}: ${JSON.stringify(answer)}`);
}

/** Both with revisions 2 to 6 of "k" and compaction at 4. */
class Pair implements AsyncDisposable {
  readonly oracle: Etcd;
  readonly subject: Server;

  private constructor(oracle: Etcd, subject: Server) {
    this.oracle = oracle;
    this.subject = subject;
  }

  static async start(): Promise<Pair> {
    assert.ok(binary);
    const oracle = await Etcd.start({ binary, flags });
    const subject = await Server.start({ members: 1, flags: ["--log-level", "error"] });
    for (const cluster of [oracle, subject]) {
      const kv = new WireClient(cluster.endpoints[0] ?? "");
      for (let i = 2; i <= 6; i++) await put(kv, "k", String(i));
      await compact(kv, 4);
      kv.close();
    }
    return new Pair(oracle, subject);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.oracle[Symbol.asyncDispose]();
    await this.subject.stop();
  }
}

suite("as a real etcd", { skip: binary ? false : noEtcdReason }, () => {
  const judge = async ({ oracle, subject }: Pair, each: Case): Promise<void> => {
    const [want, got] = await Promise.all([play(oracle, each), play(subject, each)]);
    assert.deepEqual(got, want);
  };
  const isReading = ({ steps }: Case): boolean =>
    steps.every((step) => "send" in step || "raw" in step);
  const kept: { pair?: Pair } = {};
  before(async () => {
    kept.pair = await Pair.start();
  });
  after(() => kept.pair?.[Symbol.asyncDispose]());

  for (const each of cases.filter(isReading)) {
    test(each.name, () => judge(kept.pair ?? assert.fail("it runs"), each));
  }
  for (const each of cases.filter((one) => !isReading(one))) {
    test(each.name, async () => {
      await using pair = await Pair.start();
      await judge(pair, each);
    });
  }
});

test("bytes that are no request end the stream, and no other", async () => {
  await using server = await Server.start({ members: 1 });
  const endpoint = server.endpoints[0] ?? "";
  const [bad, good] = [new WatchClient(endpoint), new WatchClient(endpoint)];
  good.create({ key: k });
  bad.sendBytes(Buffer.from("0a7f", "hex"));
  assert.equal((await bad.ended()).code, 13);
  const kv = new WireClient(endpoint);
  await put(kv, "k", "v");
  await good.until("an event", () => good.answers.length === 2);
  for (const each of [bad, good, kv]) each.close();
});

test("half-close keeps the events coming; the end of the server is Unavailable", async () => {
  const server = await Server.start({ members: 1 });
  const stream = new WatchClient(server.endpoints[0] ?? "");
  stream.create({ key: k });
  stream.halfClose();
  const kv = new WireClient(server.endpoints[0] ?? "");
  await stream.until("created", () => stream.answers.length === 1);
  await put(kv, "k", "v");
  await stream.until("an event", () => stream.answers.length === 2);
  await server.stop();
  assert.equal((await stream.ended()).code, 14);
  stream.close();
  kv.close();
});

test("a member that loses its leader ends streams with hasleader, and only those", async () => {
  const { MemberProcesses } = await import("../support/memberProcesses.ts");
  await using processes = await MemberProcesses.start(3);
  const [survivor = "", ...others] = processes.names;
  const { endpoint } = processes.member(survivor);
  const led = new WatchClient(endpoint, { hasleader: "true" });
  const free = new WatchClient(endpoint);
  for (const stream of [led, free]) {
    stream.create({ key: k });
    await stream.until("created", () => stream.answers.length === 1);
  }
  await Promise.all(others.map((name) => processes.member(name).child.kill9()));
  assert.deepEqual(await led.ended(), { code: 14, text: "etcdserver: no leader" });
  const late = new WatchClient(endpoint, { hasleader: "true" });
  assert.deepEqual(await late.ended(), { code: 14, text: "etcdserver: no leader" });
  assert.equal(free.end, undefined);
  for (const stream of [led, free, late]) stream.close();
});

test("10,000 creations in a burst, streams dropped half way: memory and service return", async (t) => {
  await using server = await Server.start({ members: 1 });
  const endpoint = server.endpoints[0] ?? "";
  const kv = new WireClient(endpoint);
  await put(kv, "k", "v");
  const before = rssMib(server);
  for (let round = 0; round < 3; round++) {
    const stream = new WatchClient(endpoint);
    for (let i = 0; i < 10_000; i++) {
      stream.create({ key: bytes(`key${i}`), range_end: i % 2 === 0 ? bytes("~") : bytes("") });
    }
    const enough = round === 0 ? 10_000 : 100;
    await stream.until("creations", () => stream.answers.length >= enough);
    stream.close();
  }
  const after = new WatchClient(endpoint);
  after.create({ key: k });
  await after.until("created", () => after.answers.length === 1);
  await put(kv, "k", "v");
  await after.until("an event", () => after.answers.length === 2);
  const grownMib = rssMib(server) - before;
  t.diagnostic(`grown by ${grownMib} MiB`);
  assert.ok(grownMib < 200, `grown by ${grownMib} MiB`);
  // None is left of the streams that went, nor of what is cancelled.
  await awaitWatchers(endpoint, 1);
  after.send({ cancel_request: { watch_id: 0 } });
  await awaitWatchers(endpoint, 0);
  after.close();
  kv.close();
});

test("a client that does not read holds up nobody and costs no memory; it gets everything later", async (t) => {
  await using server = await Server.start({ members: 1 });
  const endpoint = server.endpoints[0] ?? "";
  const kv = new WireClient(endpoint);
  const [slow, fast] = [new WatchClient(endpoint), new WatchClient(endpoint)];
  for (const stream of [slow, fast]) {
    stream.create({ key: k });
    await stream.until("created", () => stream.answers.length === 1);
  }
  slow.pause();
  const value = "x".repeat(100_000);
  const puts = 1600;
  // First the caches of rows and log entries fill up, 40 MiB.
  for (let i = 0; i < 600; i++) await put(kv, "k", value);
  const before = rssMib(server);
  for (let i = 600; i < puts; i++) await put(kv, "k", value);
  const revisions = (stream: WatchClient): number[] =>
    stream.answers.flatMap(({ events = [] }) =>
      events.map(({ kv: pair }) => Number(pair?.mod_revision)),
    );
  await fast.until("all events", () => revisions(fast).length === puts);
  const grownMib = rssMib(server) - before;
  t.diagnostic(`100 MB not read: grown by ${grownMib} MiB`);
  assert.ok(grownMib < 50, `grown by ${grownMib} MiB`);
  slow.resume();
  await slow.until("all events", () => revisions(slow).length === puts);
  assert.deepEqual(revisions(slow), revisions(fast));
  for (const each of [slow, fast, kv]) each.close();
});

/** The server hears of the end of a stream a moment later. */
async function awaitWatchers(endpoint: string, count: number): Promise<void> {
  for (const endMs = performance.now() + 30_000; ; ) {
    const page = await (await fetch(`http://${endpoint}/metrics`)).text();
    const found = Number(/^etcd_debugging_mvcc_watcher_total (\d+)$/m.exec(page)?.[1]);
    if (found === count) return;
    assert.ok(performance.now() < endMs, `${found} watchers are left, not ${count}`);
  }
}

function rssMib(server: Server): number {
  const status = readFileSync(`/proc/${server.pids[0]}/status`, "utf8");
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}
