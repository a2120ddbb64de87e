// What watching costs: bytes per idle watcher, what 100,000 of them add to a put, one put to many
// watchers, many puts to a few, and reading of history. From the store to the bytes of the answers.
// Run: npx tsx --expose-gc bench/micro/watch.ts [watchers]. Quote ratios, not figures.

import { Headers } from "../../src/api/header.ts";
import { WatchService } from "../../src/api/watch.ts";
import { unreachable } from "../../src/base/assert.ts";
import { MemberId, noLease, Revision, Term } from "../../src/base/brand.ts";
import { fromLatin1 } from "../../src/base/bytes.ts";
import { Prng } from "../../src/base/prng.ts";
import type { StreamCall, StreamHandler } from "../../src/grpc/call.ts";
import type { MemberService, MemberStatus } from "../../src/member/service.ts";
import { pairOf } from "../../src/mvcc/row.ts";
import { Store } from "../../src/mvcc/store.ts";
import { encodeEvent, encodeWatchRequest } from "../../src/proto/watchCodec.ts";
import { Writer } from "../../src/proto/writer.ts";
import { MemoryEngine } from "../../src/storage/memory.ts";
import { WatchHub } from "../../src/watch/hub.ts";

const watchersMax = Number(process.argv[2] ?? 100_000);
const value = Buffer.alloc(256, "v");
const keyText = (i: number): string => `registry/pods/${String(i).padStart(8, "0")}`;

/** A client that copies what it is sent, as a socket's buffer would. */
class Client implements StreamCall {
  readonly cancelled = false;
  readonly backlogBytes = 0;
  readonly #buffer = Buffer.allocUnsafe(4 << 20);
  messages = 0;
  bytes = 0;

  write(message: Uint8Array): boolean {
    this.#buffer.set(message, 0);
    this.messages++;
    this.bytes += message.length;
    return true;
  }
  metadata(): undefined {
    return undefined;
  }
  end(): void {}
  fail(): void {}
}

class World {
  readonly store = Store.open(new MemoryEngine({ defer: () => {} }));
  readonly hub = new WatchHub({
    store: this.store,
    encode: encodeEvent,
    random: new Prng(1),
    wake: () => {},
    progressTicks: 6000,
  });
  readonly #writer = new Writer();
  readonly #service: WatchService;

  constructor() {
    const { hub, store } = this;
    const never = (): never => unreachable("the bench only watches");
    const member: Partial<MemberService> = {
      clusterId: 0xf000_0000_0000_0001n,
      id: MemberId(0x8000_0000_0000_0002n),
      term: Term(7),
      watches: hub,
      state: {
        get revision() {
          return Revision(store.revision);
        },
        range: never,
        beginRange: never,
        stepRange: never,
        readTxn: never,
      },
      status: () => ({ isLearner: false }) as MemberStatus,
    };
    const whole = member as MemberService;
    this.#service = new WatchService(whole, new Headers(whole), this.#writer);
  }

  open(): { client: Client; stream: StreamHandler } {
    const client = new Client();
    return { client, stream: this.#service.watch(client) };
  }

  watch(stream: StreamHandler, key: string, startRevision = 0): void {
    const create = {
      key: Buffer.from(key),
      rangeEnd: new Uint8Array(0),
      startRevision,
      progressNotify: false,
      filters: [],
      prevKv: false,
      watchId: 0,
      fragment: false,
    };
    stream.onMessage(encodeWatchRequest(this.#writer, { kind: "create", create }));
  }

  put(key: string): void {
    this.store.write.begin();
    this.store.write.put(pairOf(fromLatin1(key), value), noLease);
    this.store.write.end();
  }
}

function report(name: string, figure: number, unit: string): void {
  console.log(`${name.padEnd(52)} ${figure.toFixed(figure < 10 ? 2 : 0).padStart(10)} ${unit}`);
}

function timedMs(run: () => void): number {
  const began = performance.now();
  run();
  return performance.now() - began;
}

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function idleWatchers(): void {
  const world = new World();
  const { stream } = world.open();
  const before = heapBytes();
  for (let i = 0; i < watchersMax; i++) world.watch(stream, keyText(i));
  report("bytes per idle watcher", (heapBytes() - before) / watchersMax, "bytes");
  world.watch(stream, keyText(0));
}

/** Medians of alternated rounds: one store is watched, the other is not. */
function putCost(): void {
  const puts = Math.max(1000, watchersMax / 2);
  const watched = new World();
  const { stream } = watched.open();
  for (let i = 0; i < watchersMax; i++) watched.watch(stream, keyText(i));
  const alone = new World();
  const took = { watched: [] as number[], alone: [] as number[] };
  for (let round = 0; round < 7; round++) {
    for (const name of ["watched", "alone"] as const) {
      const world = name === "watched" ? watched : alone;
      const ms = timedMs(() => {
        for (let i = 0; i < puts; i++) {
          world.put(`other/${i % 10_000}`);
          if (i % 20 === 0) world.hub.turn();
        }
      });
      took[name].push((1e6 * ms) / puts);
    }
  }
  const median = (list: number[]): number => list.toSorted((a, b) => a - b)[3] ?? 0;
  report("put, nobody watches", median(took.alone), "ns");
  report(`put, ${watchersMax} watch other keys`, median(took.watched), "ns");
}

function fanOut(): void {
  const world = new World();
  const watchers = Math.max(100, watchersMax / 10);
  const clients = Array.from({ length: 100 }, () => world.open());
  for (let i = 0; i < watchers; i++) {
    const client = clients[i % clients.length];
    if (client !== undefined) world.watch(client.stream, "hot");
  }
  const rounds: number[] = [];
  for (let round = 0; round < 21; round++) {
    rounds.push(
      timedMs(() => {
        world.put("hot");
        world.hub.turn();
      }),
    );
  }
  report(
    `one put to ${watchers} watchers of its key`,
    rounds.toSorted((a, b) => a - b)[10] ?? 0,
    "ms",
  );
}

function manyPuts(): void {
  const world = new World();
  const clients = Array.from({ length: 100 }, () => world.open());
  for (const { stream } of clients) world.watch(stream, "hot");
  const turns = Math.max(20, watchersMax / 100);
  const ms = timedMs(() => {
    for (let turn = 0; turn < turns; turn++) {
      for (let i = 0; i < 20; i++) world.put("hot");
      world.hub.turn();
    }
  });
  report("event, 100 watchers, 20 puts a turn", (1e6 * ms) / (turns * 20 * 100), "ns");
}

function history(): void {
  const world = new World();
  const puts = Math.max(2000, watchersMax / 2);
  for (let i = 0; i < puts; i++) world.put(keyText(i % 100));
  const { client, stream } = world.open();
  world.watch(stream, keyText(7), 2);
  let turns = 1;
  const ms = timedMs(() => {
    while (world.hub.turn()) turns++;
  });
  report("revision of history, read for one key of 100", (1e6 * ms) / puts, "ns");
  report("longest share of a turn, on average", ms / turns, "ms");
  if (client.messages < 2) throw new Error("history was not sent");
}

idleWatchers();
putCost();
fanOut();
manyPuts();
history();
