// scale-watchers: what idle watchers of distinct keys cost in memory, and puts to other keys beside them.
import { noLease } from "../../src/base/brand.ts";
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import { Malformed } from "../../src/proto/reader.ts";
import { decodeWatchResponse, encodeWatchRequest } from "../../src/proto/watchCodec.ts";
import { Writer } from "../../src/proto/writer.ts";
import type { Caller } from "../load/caller.ts";
import type { Target } from "../targets/target.ts";
import { putRate, restingMiB, signal } from "./callers.ts";
import type { ScaleOptions } from "./scale.ts";

const streamsPerConnection = 10;
const keySpace = 10_000;

export async function idleWatchers(
  callers: readonly Caller[],
  target: Target,
  { count, clients, ms, warmup }: ScaleOptions,
): Promise<readonly string[]> {
  const [putter, ...watching] = callers;
  if (putter === undefined || watching.length === 0) throw new Error("two connections are needed");
  const writer = new Writer();
  let lastPut = 0;
  const put = (): Uint8Array => {
    const key = Buffer.from(`put/${++lastPut % keySpace}`);
    const value = Buffer.alloc(256, 7);
    const flags = { lease: noLease, prevKv: false, ignoreValue: false, ignoreLease: false };
    return encodePutRequest(writer, { key, value, ...flags });
  };
  const load = { clients, ms, put };
  await watchKeys(watching, { from: 0, count: warmup });
  // The same keys again and again: what grows afterwards is no history.
  for (let i = 0; i < 3; i++) await putRate(putter, load);
  const alone = await putRate(putter, load);
  const beforeMiB = await restingMiB(target);
  const startMs = performance.now();
  await watchKeys(watching, { from: warmup, count });
  const perSec = Math.round((count / (performance.now() - startMs)) * 1000);
  const grownMiB = (await restingMiB(target)) - beforeMiB;
  const beside = await putRate(putter, load);
  for (const caller of watching) caller.close();
  const after = await putRate(putter, load);
  const change = (100 * beside) / ((alone + after) / 2) - 100;
  return [
    `${count} idle watchers, created at ${perSec} per second`,
    `memory: ${beforeMiB.toFixed(0)} MiB + ${grownMiB.toFixed(1)} MiB, ${Math.round((grownMiB * 2 ** 20) / count)} bytes each`,
    `puts, ${clients} callers: ${Math.round(alone)} per second without them, ${Math.round(beside)} with them, ` +
      `${Math.round(after)} when they are gone: ${change.toFixed(1)} %`,
  ];
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
