// scale-watchers: what idle watchers of distinct keys cost in memory, and puts to other keys beside them.
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import { Malformed } from "../../src/proto/reader.ts";
import { decodeWatchResponse, encodeWatchRequest } from "../../src/proto/watchCodec.ts";
import { Writer } from "../../src/proto/writer.ts";
import type { Caller } from "../load/caller.ts";
import { GrpcConnection } from "../load/grpcConnection.ts";
import type { Target } from "../targets/target.ts";
import { putCost, putOf, putRate, restingMiB, signal } from "./callers.ts";
import type { ScaleOptions } from "./scale.ts";

const streamsPerConnection = 10;
const keySpace = 10_000;
/** Puts without watchers and with them, in turn. */
const rounds = 3;

export async function idleWatchers(
  callers: readonly Caller[],
  target: Target,
  { count, clients, ms, warmup }: ScaleOptions,
): Promise<readonly string[]> {
  const [putter, ...watching] = callers;
  if (putter === undefined || watching.length === 0) throw new Error("two connections are needed");
  const writer = new Writer();
  let lastPut = 0;
  const put = (): Uint8Array => encodePutRequest(writer, putOf(++lastPut % keySpace));
  const load = { clients, ms, put };
  await watchKeys(watching, { from: 0, count: warmup });
  // The same keys again and again: what grows afterwards is no history.
  for (let i = 0; i < 3; i++) await putRate(putter, load);
  const beforeMiB = await restingMiB(target);
  let [grownMiB, perSec] = [0, 0];
  const pairs: (readonly Cost[])[] = [];
  for (let round = 0; round < rounds; round++) {
    const alone = await putCost(putter, target, load);
    const idle = await open(target, watching.length);
    const startMs = performance.now();
    await watchKeys(idle, { from: warmup, count });
    if (round === 0) {
      perSec = Math.round((count / (performance.now() - startMs)) * 1000);
      grownMiB = (await restingMiB(target)) - beforeMiB;
    }
    pairs.push([alone, await putCost(putter, target, load)]);
    for (const caller of idle) caller.close();
  }
  const of = (at: number, figure: (cost: Cost) => number, digits = 0) =>
    pairs
      .map((pair) => pair[at])
      .map((cost) => (cost ? figure(cost).toFixed(digits) : ""))
      .join(", ");
  const line = (what: string, at: number) =>
    `puts ${what}, ${clients} callers: ${of(at, ({ cpuUs }) => cpuUs, 1)} µs of server CPU each; ` +
    `${of(at, ({ perSec: rate }) => rate)} per second`;
  return [
    `${count} idle watchers, created at ${perSec} per second`,
    `memory: ${beforeMiB.toFixed(0)} MiB + ${grownMiB.toFixed(1)} MiB, ${Math.round((grownMiB * 2 ** 20) / count)} bytes each`,
    line("without them", 0),
    line("with them", 1),
  ];
}

type Cost = Awaited<ReturnType<typeof putCost>>;

function open({ endpoints }: Target, count: number): Promise<readonly Caller[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) =>
      GrpcConnection.open(endpoints[(i + 1) % endpoints.length] ?? ""),
    ),
  );
}

async function watchKeys(
  callers: readonly Caller[],
  { from, count }: { from: number; count: number },
): Promise<void> {
  let created = 0;
  const all = signal();
  if (count === 0) all.tell();
  const streams = callers.flatMap((caller) =>
    Array.from({ length: streamsPerConnection }, () =>
      caller.stream("/etcdserverpb.Watch/Watch", {
        onMessage: (message) => {
          const response = decodeWatchResponse(message);
          if (response instanceof Malformed) throw new Error(response.why);
          if (response.created && ++created === count) all.tell();
        },
        onEnd: () => {},
      }),
    ),
  );
  const writer = new Writer();
  for (let i = 0; i < count; i++) {
    const create = {
      ...{ key: Buffer.from(`idle/${from + i}`), rangeEnd: Buffer.alloc(0), startRevision: 0 },
      ...{ progressNotify: false, filters: [], prevKv: false, watchId: 0, fragment: false },
    };
    streams[i % streams.length]?.send(encodeWatchRequest(writer, { kind: "create", create }));
  }
  for (const caller of callers) caller.flush();
  await all.told;
}
