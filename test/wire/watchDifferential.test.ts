// Quorlet and a real etcd get the same writes, compactions and watches; every watcher must be told the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.ts";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import { type RunningCluster, Server } from "../support/server.ts";
import { WatchClient, type WireEvent, type WireWatchAnswer } from "../support/watchClient.ts";
import { WireClient } from "../support/wireClient.ts";

const binary = findEtcd();
const skip = binary ? false : noEtcdReason;
const seed = Number(process.env.QUORLET_SEED ?? Date.now() % 1_000_000);
const actCount = Number(process.env.QUORLET_DIFF_WATCH ?? 400);
const flags = ["--unsafe-no-fsync"];

const keys = ["a", "b", "c", "ca", "cb", "d", "zz"].map((key) => Buffer.from(key));
const ends = ["", "c", "d", "\0", "cb\0", "z"].map((end) => Buffer.from(end));

/** One server, its writes and two streams; both sides are told the same things in the same order. */
class Side {
  readonly cluster: RunningCluster;
  readonly kv: WireClient;
  readonly streams: readonly WatchClient[];
  revision = 1;
  /** Ids of watchers that were told of a compaction and let go. */
  readonly #gone = new Set<string>();

  constructor(cluster: RunningCluster) {
    this.cluster = cluster;
    const endpoint = cluster.endpoints[0] ?? "";
    this.kv = new WireClient(endpoint);
    this.streams = [new WatchClient(endpoint), new WatchClient(endpoint)];
  }

  async call(method: string, fields: object): Promise<string> {
    const request = encodeMessage(`${method}Request`, fields);
    const rpc = method === "Compaction" ? "Compact" : method;
    const answer = await this.kv.call(`/etcdserverpb.KV/${rpc}`, request);
    if (answer.kind === "error") return `${answer.code} ${answer.text}`;
    const fieldsOf = decodeMessage(`${method}Response`, answer.message);
    const { revision } = fieldsOf.header as { revision?: string };
    this.revision = Number(revision ?? 0);
    return `revision ${revision}`;
  }

  /** Everything up to now has been sent: a progress message says so. */
  async barrier(): Promise<void> {
    for (const stream of this.streams) {
      // etcd tells no progress either while it keeps the id of a watcher whose history is compacted.
      const letGo = (): void => {
        for (const { watch_id = "0", compact_revision } of stream.answers) {
          if (compact_revision === undefined || this.#gone.has(watch_id)) continue;
          this.#gone.add(watch_id);
          stream.send({ cancel_request: { watch_id } });
        }
      };
      let seen = 0;
      const heard = (): boolean => {
        while (seen < stream.answers.length) {
          const answer = stream.answers[seen++];
          const isProgress = answer?.watch_id === "-1" && answer.created !== true;
          if (isProgress && Number(answer.header?.revision) >= this.revision) return true;
        }
        return false;
      };
      // etcd drops the request while a watcher of the stream is behind.
      const askOnce = (): void => {
        letGo();
        stream.send({ progress_request: {} });
      };
      const ask = setInterval(askOnce, 20);
      askOnce();
      try {
        await stream.until(`progress to ${this.revision} of ${this.cluster.name}`, heard);
      } finally {
        clearInterval(ask);
      }
    }
  }

  close(): void {
    for (const stream of this.streams) stream.close();
    this.kv.close();
  }
}

test("random writes, compactions and watches: the streams of a real etcd", { skip }, async (t) => {
  assert.ok(binary);
  await using oracle = await Etcd.start({ binary, flags });
  await using subject = await Server.start({ members: 3 });
  t.diagnostic(`seed ${seed}`);
  const sides = [new Side(oracle), new Side(subject)] as const;
  try {
    await play(sides, new Prng(seed));
    const [want, got] = sides.map((side) => side.streams.map(told));
    let events = 0;
    for (const [s, watchers] of (want ?? []).entries()) {
      for (const [id, lines] of watchers) {
        events += lines.length;
        assertSame(got?.[s]?.get(id) ?? [], lines, `seed ${seed}: stream ${s}, watcher ${id}`);
      }
      assert.deepEqual([...(got?.[s]?.keys() ?? [])].sort(), [...watchers.keys()].sort());
    }
    for (const side of sides) for (const stream of side.streams) judgeMessages(stream.answers);
    t.diagnostic(`${actCount} acts, revision ${sides[0].revision}, ${events} lines compared`);
  } finally {
    for (const side of sides) side.close();
  }
});

/** @param sides are told the same. */
async function play(sides: readonly [Side, Side], random: Prng): Promise<void> {
  const both = async (method: string, fields: object): Promise<void> => {
    const [one, two] = await Promise.all(sides.map((side) => side.call(method, fields)));
    assert.equal(two, one, `seed ${seed}: ${method} ${JSON.stringify(fields)}`);
  };
  // Nothing is told of progress while a watcher of the stream waits for a later revision.
  const settle = async (): Promise<void> => {
    do await both("Put", putOf(0, Buffer.from("zz")));
    while (sides[0].revision < latestStart);
    await Promise.all(sides.map((side) => side.barrier()));
  };
  let latestStart = 0;
  let watchId = 100;
  let floor = 0;
  const creations = [1, 1];
  const live: { stream: number; id: number }[] = [];
  // A watcher that always lives, so that progress is always told.
  for (const stream of sides.flatMap((side) => side.streams)) {
    stream.create({ key: Buffer.from("~") });
    await created(stream, 1);
  }
  for (let act = 0; act < actCount; act++) {
    const kind = random.integer(100);
    if (kind < 55) await both("Put", putOf(act, keyOf(random.integer(1000))));
    else if (kind < 65) {
      const pick = random.integer(1000);
      await both("DeleteRange", { key: keyOf(pick), range_end: endOf(pick) });
    } else if (kind < 75) {
      const pick = random.integer(1000);
      await both("Txn", txnOf(act, pick));
    } else if (kind < 90) {
      const stream = random.integer(2);
      const fields = createOf(random, { id: ++watchId, floor, revision: sides[0].revision });
      live.push({ stream, id: watchId });
      creations[stream] = (creations[stream] ?? 0) + 1;
      latestStart = Math.max(latestStart, fields.start_revision);
      for (const side of sides) {
        side.streams[stream]?.create(fields);
        await created(side.streams[stream], creations[stream] ?? 0);
      }
    } else if (kind < 96 && live.length > 0) {
      const [gone] = live.splice(random.integer(live.length), 1);
      // What is on its way when it is cancelled may or may not arrive.
      await settle();
      for (const side of sides) await cancelled(side.streams[gone?.stream ?? 0], gone?.id ?? 0);
    } else if (kind >= 96) {
      await settle();
      floor = Math.max(floor, sides[0].revision - random.integer(30));
      await both("Compaction", { revision: floor });
    }
  }
  await settle();
}

function createOf(
  random: Prng,
  { id, floor, revision }: { id: number; floor: number; revision: number },
): { readonly start_revision: number; readonly [field: string]: unknown } {
  const pick = random.integer(1000);
  const kinds = [0, 0, revision - random.integer(40), revision + random.integer(6)];
  const start = kinds[random.integer(4)] ?? 0;
  // Previous pairs at the floor depend on when it is read: those are left to the unit tests.
  const prevKv = random.integer(2) === 0 && (start === 0 || start > floor + 1);
  return {
    key: keyOf(pick),
    range_end: endOf(random.integer(1000)),
    start_revision: Math.max(0, start),
    prev_kv: prevKv && floor === 0,
    filters: [[], [], [0], [1], [0, 1]][random.integer(5)],
    watch_id: id,
  };
}

const keyOf = (pick: number): Buffer => keys[pick % keys.length] ?? Buffer.from("a");
const endOf = (pick: number): Buffer => ends[pick % ends.length] ?? Buffer.alloc(0);
const putOf = (act: number, key: Buffer): object => ({ key, value: Buffer.from(`v${act}`) });

function txnOf(act: number, pick: number): object {
  return {
    success: [
      { request_put: putOf(act, keyOf(pick)) },
      { request_delete_range: { key: keyOf(pick + 1) } },
      { request_put: putOf(act + 1, keyOf(pick + 2)) },
    ],
  };
}

/** As many creations were answered as were asked for; the first is that of the idle watcher. */
async function created(stream: WatchClient | undefined, count: number): Promise<void> {
  const done = (): boolean =>
    (stream?.answers.filter((answer) => answer.created === true).length ?? 0) >= count;
  await stream?.until(`${count} creations`, done);
}

/** Cancels a watcher and waits for the word that it is gone, unless it never was. */
async function cancelled(stream: WatchClient | undefined, id: number): Promise<void> {
  const own = (answer: WireWatchAnswer): boolean => answer.watch_id === String(id);
  if (stream === undefined || !stream.answers.some(own)) return;
  stream.send({ cancel_request: { watch_id: id } });
  const done = (answer: WireWatchAnswer): boolean => own(answer) && answer.canceled === true;
  await stream.until(`the end of watcher ${id}`, () => stream.answers.some(done));
}

/** Names the first line that differs; whole streams are long. */
function assertSame(got: readonly string[], want: readonly string[], what: string): void {
  const length = Math.max(got.length, want.length);
  for (let i = 0; i < length; i++) assert.equal(got[i], want[i], `${what}, line ${i}`);
}

/** By watcher: what it was told, one line each; how live events are batched is left out. */
function told(stream: WatchClient): ReadonlyMap<string, string[]> {
  const byId = new Map<string, string[]>();
  for (const answer of stream.answers) {
    const { watch_id = "0", created, canceled, header, compact_revision, cancel_reason } = answer;
    const isProgress = !created && !canceled && (answer.events ?? []).length === 0;
    // The answer to a cancel may overtake, and be overtaken.
    const isAnswer = canceled === true && !created && compact_revision === undefined;
    if (isProgress || isAnswer) continue;
    const lines = byId.get(watch_id) ?? [];
    byId.set(watch_id, lines);
    if (created) lines.push(`created at ${header?.revision}`);
    if (canceled) lines.push(`canceled ${compact_revision ?? ""} ${cancel_reason ?? ""}`);
    for (const event of answer.events ?? []) lines.push(lineOf(event));
  }
  return byId;
}

const lineOf = ({ type, kv, prev_kv }: WireEvent): string =>
  JSON.stringify([type ?? 0, kv, prev_kv], (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value,
  );

/** No watcher gets a revision in two messages, and none out of order. */
function judgeMessages(answers: readonly WireWatchAnswer[]): void {
  const lasts = new Map<string, number>();
  for (const { watch_id = "0", events = [], header } of answers) {
    if (events.length === 0) continue;
    const revisions = events.map(({ kv }) => Number(kv?.mod_revision));
    assert.ok((revisions[0] ?? 0) > (lasts.get(watch_id) ?? 0), "a revision in one message");
    assert.deepEqual(
      revisions,
      revisions.toSorted((a, b) => a - b),
      "in order",
    );
    assert.ok(Number(header?.revision) >= (revisions.at(-1) ?? 0), "header at or above");
    lasts.set(watch_id, revisions.at(-1) ?? 0);
  }
}
