// scale-compaction: what puts lose while much history goes.
import { decodePutResponse } from "../../src/proto/decodeResponses.ts";
import { encodeCompactionRequest, encodePutRequest } from "../../src/proto/encodeRequests.ts";
import { Malformed } from "../../src/proto/reader.ts";
import { Writer } from "../../src/proto/writer.ts";
import type { Caller } from "../load/caller.ts";
import type { Target } from "../targets/target.ts";
import { callAll, Puts, pause, putOf, putPath, putRate, signal } from "./callers.ts";
import type { ScaleOptions } from "./scale.ts";

const keySpace = 10_000;

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
