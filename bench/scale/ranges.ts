// scale-range: what others wait for while ranges over many keys are answered. Whoever takes the ranges does
// so in a thread of its own: the one that times the puts beside them does nothing else.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Piscina } from "piscina";
import { encodePutRequest, encodeRangeRequest } from "../../src/proto/encodeRequests.ts";
import { Writer } from "../../src/proto/writer.ts";
import type { Caller } from "../load/caller.ts";
import { GrpcConnection } from "../load/grpcConnection.ts";
import { countersOf } from "../measure/counters.ts";
import type { Target } from "../targets/target.ts";
import { callAll, pause, putOf, putPath } from "./callers.ts";
import type { ScaleOptions } from "./scale.ts";

const ranges = 5;
const quietMs = 2_000;
const loopResolutionMs = 1;

export interface RangesTask {
  readonly endpoint: string;
  readonly message: Uint8Array;
  readonly count: number;
}

export interface RangesDone {
  readonly eachMs: number;
  /** Of the slowest answer. */
  readonly bytes: number;
}

/** Takes the same range again and again, over a connection of its own. */
export async function takeRanges({ endpoint, message, count }: RangesTask): Promise<RangesDone> {
  const caller = await GrpcConnection.open(endpoint);
  try {
    const startMs = performance.now();
    let bytes = 0;
    for (let i = 0; i < count; i++) bytes = Math.max(bytes, await rangeBytes(caller, message));
    return { eachMs: (performance.now() - startMs) / count, bytes };
  } finally {
    caller.close();
  }
}

/** Ranges over `count` keys; at the same member and at another one, one put after the other. */
export async function longRanges(
  callers: readonly Caller[],
  target: Target,
  { count }: ScaleOptions,
): Promise<readonly string[]> {
  // Of two members, if there are several.
  const putters = callers.slice(0, 2);
  const writer = new Writer();
  const messageOf = (i: number): Uint8Array => encodePutRequest(writer, putOf(i));
  await callAll(callers, { path: putPath, count, messageOf });
  const pool = new Piscina<RangesTask, RangesDone>({
    filename: new URL("../../workers/load.js", import.meta.url).href,
    ...{ name: "takeRanges", atomics: "disabled", minThreads: 1, maxThreads: 1 },
  });
  try {
    const put = messageOf(0).slice();
    const message = encodeRangeRequest(writer, allKeys).slice();
    const task = { endpoint: target.endpoints[0] ?? "", message };
    // The first one compiles what the others run.
    await pool.run({ ...task, count: 1 });
    const before = await slowestPut({ putters, put, target }, pause(quietMs));
    let done: RangesDone = { eachMs: 0, bytes: 0 };
    const read = pool.run({ ...task, count: ranges }).then((result) => {
      done = result;
    });
    const beside = await slowestPut({ putters, put, target }, read);
    return [
      `a range of ${count} keys of 256 bytes, ${(done.bytes / 1e6).toFixed(1)} MB: ` +
        `${done.eachMs.toFixed(0)} ms each, ${ranges} of them`,
      `slowest put at the same member and at another: ${putText(before)} before, ${putText(beside)} meanwhile`,
      `longest delay of an event loop: servers ${loopText(before)} before, ${loopText(beside)} meanwhile; ` +
        `of whoever put ${before.ownMs.toFixed(1)} and ${beside.ownMs.toFixed(1)} ms`,
    ];
  } finally {
    await pool.destroy();
  }
}

interface Slowest {
  /** By caller. */
  readonly putMs: readonly number[];
  /** Undefined where servers do not tell it. */
  readonly serversMs: number | undefined;
  readonly ownMs: number;
}

const loopText = ({ serversMs }: Slowest): string =>
  serversMs === undefined ? "do not tell" : `${serversMs.toFixed(1)} ms`;

const putText = ({ putMs }: Slowest): string =>
  `${putMs.map((ms) => ms.toFixed(1)).join(" and ")} ms`;

/** Each caller puts, one after the other, until `over`. */
async function slowestPut(
  parts: { readonly putters: readonly Caller[]; readonly put: Uint8Array; readonly target: Target },
  over: Promise<void>,
): Promise<Slowest> {
  const { putters, put, target } = parts;
  // Servers tell what happened since the last look.
  await countersOf(target.endpoints);
  const loop = monitorEventLoopDelay({ resolution: loopResolutionMs });
  loop.enable();
  let isOver = false;
  const ended = over.then(() => {
    isOver = true;
  });
  const slowestOf = async (caller: Caller): Promise<number> => {
    let slowestMs = 0;
    while (!isOver) {
      const startMs = performance.now();
      await callAll([caller], { path: putPath, count: 1, messageOf: () => put });
      slowestMs = Math.max(slowestMs, performance.now() - startMs);
    }
    return slowestMs;
  };
  const putMs = await Promise.all(putters.map(slowestOf));
  await ended;
  const ownMs = Math.max(0, loop.max / 1e6 - loopResolutionMs);
  loop.disable();
  const counters = await countersOf(target.endpoints);
  return { putMs, serversMs: counters?.loopDelayMaxMs, ownMs };
}

function rangeBytes(caller: Caller, message: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    caller.call("/etcdserverpb.KV/Range", message, (reply, why) => {
      if (reply === undefined) reject(new Error(`range: ${why}`));
      else resolve(reply.length);
    });
    caller.flush();
  });
}

const allKeys = {
  ...{ key: Buffer.from("scale/"), rangeEnd: Buffer.from("scale0"), limit: 0, revision: 0 },
  ...{ sortOrder: 0, sortTarget: 0, serializable: false, keysOnly: false, countOnly: false },
  ...{ minModRevision: 0, maxModRevision: 0, minCreateRevision: 0, maxCreateRevision: 0 },
};
