// scale-compaction: what puts lose while much history goes. scale-range: what others wait for while ranges
// over many keys are answered.
import { noLease } from "../../src/base/brand.ts";
import { decodePutResponse } from "../../src/proto/decodeResponses.ts";
import {
  encodeCompactionRequest,
  encodePutRequest,
  encodeRangeRequest,
} from "../../src/proto/encodeRequests.ts";
import { Malformed } from "../../src/proto/reader.ts";
import { Writer } from "../../src/proto/writer.ts";
import type { Caller } from "../load/caller.ts";
import type { Target } from "../targets/target.ts";
import { callAll, Puts, pause, putRate, signal } from "./callers.ts";
import type { ScaleOptions } from "./scale.ts";

const putPath = "/etcdserverpb.KV/Put";
const keySpace = 10_000;
const ranges = 5;

/** `count` revisions of ten thousand keys, all but the newest compacted at once. */
export async function compaction(
  callers: readonly Caller[],
  _target: Target,
  { count, clients, ms }: ScaleOptions,
): Promise<readonly string[]> {
  const [caller] = callers;
  if (caller === undefined) throw new Error("a connection is needed");
  const writer = new Writer();
  const messageOf = (i: number): Uint8Array => encodePutRequest(writer, putOf(i % keySpace));
  await callAll(callers, { path: putPath, count, messageOf });
  let last = 0;
  const load = { clients, ms, put: () => messageOf(last++) };
  const before = await putRate(caller, load);
  const revision = await revisionOf(caller, messageOf(0));
  const puts = new Puts(caller, { clients, put: load.put });
  await pause(ms / 4);
  const [doneBefore, startMs] = [puts.done, performance.now()];
  const request = encodeCompactionRequest(writer, { revision, physical: true });
  await callAll([caller], {
    ...{ path: "/etcdserverpb.KV/Compact", count: 1 },
    messageOf: () => request,
  });
  const seconds = (performance.now() - startMs) / 1000;
  const during = (puts.done - doneBefore) / seconds;
  const { p99Ms } = puts.end();
  const after = await putRate(caller, load);
  const change = (100 * during) / ((before + after) / 2) - 100;
  return [
    `${count} revisions compacted in ${seconds.toFixed(2)} s, until their rows were gone`,
    `puts beside, ${clients} callers: ${Math.round(before)} per second before, ${Math.round(during)} meanwhile, ` +
      `${Math.round(after)} after: ${change.toFixed(1)} %; p99 ${p99Ms.toFixed(1)} ms`,
  ];
}

/** Ranges over `count` keys on one connection, one put after the other on another. */
export async function longRanges(
  callers: readonly Caller[],
  _target: Target,
  { count }: ScaleOptions,
): Promise<readonly string[]> {
  const [ranger, putter] = callers;
  if (ranger === undefined || putter === undefined) throw new Error("two connections are needed");
  const writer = new Writer();
  const messageOf = (i: number): Uint8Array => encodePutRequest(writer, putOf(i));
  await callAll(callers, { path: putPath, count, messageOf });
  const quiet = await slowestPut(putter, messageOf(0), pause(1_000));
  const request = encodeRangeRequest(writer, allKeys);
  const startMs = performance.now();
  const read = callAll([ranger], {
    ...{ path: "/etcdserverpb.KV/Range", count: ranges },
    messageOf: () => request,
  });
  const beside = await slowestPut(putter, messageOf(0), read);
  const eachMs = (performance.now() - startMs) / ranges;
  return [
    `a range of ${count} keys of 256 bytes: ${eachMs.toFixed(0)} ms each, ${ranges} of them`,
    `slowest put of one caller: ${quiet.toFixed(1)} ms before, ${beside.toFixed(1)} ms meanwhile`,
  ];
}

/** One put after the other until `over`. @returns milliseconds. */
async function slowestPut(caller: Caller, put: Uint8Array, over: Promise<void>): Promise<number> {
  let isOver = false;
  let slowestMs = 0;
  const ended = over.then(() => {
    isOver = true;
  });
  while (!isOver) {
    const startMs = performance.now();
    await callAll([caller], { path: putPath, count: 1, messageOf: () => put });
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
  }
  await ended;
  return slowestMs;
}

async function revisionOf(caller: Caller, put: Uint8Array): Promise<number> {
  const answered = signal();
  let revision = 0;
  caller.call(putPath, put, (reply, why) => {
    const response = reply && decodePutResponse(reply);
    if (response === undefined || response instanceof Malformed) throw new Error(why);
    revision = response.header?.revision ?? 0;
    answered.tell();
  });
  caller.flush();
  await answered.told;
  return revision;
}

const putOf = (i: number) => ({
  ...{ key: Buffer.from(`scale/${String(i).padStart(8, "0")}`), value: Buffer.alloc(256, 7) },
  ...{ lease: noLease, prevKv: false, ignoreValue: false, ignoreLease: false },
});

const allKeys = {
  ...{ key: Buffer.from("scale/"), rangeEnd: Buffer.from("scale0"), limit: 0, revision: 0 },
  ...{ sortOrder: 0, sortTarget: 0, serializable: false, keysOnly: false, countOnly: false },
  ...{ minModRevision: 0, maxModRevision: 0, minCreateRevision: 0, maxCreateRevision: 0 },
};
