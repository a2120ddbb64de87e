// scale-leases: what many leases cost in memory, and how fast they end at once while puts go on.
import { LeaseId, noLease } from "../../src/base/brand.ts";
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import { encodeLeaseGrantRequest, encodeLeaseIdRequest } from "../../src/proto/leaseCodec.ts";
import { Malformed } from "../../src/proto/reader.ts";
import { decodeWatchResponse, encodeWatchRequest } from "../../src/proto/watchCodec.ts";
import { Writer } from "../../src/proto/writer.ts";
import type { Caller } from "../load/caller.ts";
import type { Target } from "../targets/target.ts";
import { callAll, Puts, restingMiB, signal } from "./callers.ts";
import type { ScaleOptions } from "./scale.ts";

const keyPrefix = "lease/";
/** Long enough to grant all of them, renew them at once, and wait. */
const ttlSec = 20;
const firstId = 1_000_000;
/** Under way at once: the window of a stream is narrow. */
const renewalsMax = 1_000;
/** From the first end to the last. */
const endMsMax = 120_000;

/** Leases without keys, that nobody renews and that do not end meanwhile. */
export async function leaseMemory(
  callers: readonly Caller[],
  target: Target,
  { count, warmup }: ScaleOptions,
): Promise<readonly string[]> {
  // What a first call costs is no cost of a lease.
  await grant(callers, { from: firstId - warmup, count: warmup, ttl: 36_000 });
  const beforeMiB = await restingMiB(target);
  const startMs = performance.now();
  await grant(callers, { from: firstId, count, ttl: 36_000 });
  const perSec = Math.round((count / (performance.now() - startMs)) * 1000);
  const grownMiB = (await restingMiB(target)) - beforeMiB;
  const each = Math.round((grownMiB * 2 ** 20) / count);
  return [
    `${count} live leases, granted at ${perSec} per second`,
    `memory of all members: ${beforeMiB.toFixed(0)} MiB + ${grownMiB.toFixed(1)} MiB, ${each} bytes each`,
  ];
}

/** A key for each lease; all end within a moment. */
export async function leaseEnds(
  callers: readonly Caller[],
  _target: Target,
  { count, clients }: ScaleOptions,
): Promise<readonly string[]> {
  const [caller] = callers;
  if (caller === undefined) throw new Error("a connection is needed");
  await grant(callers, { from: firstId, count, ttl: ttlSec });
  const writer = new Writer();
  const keyed = (i: number): Uint8Array =>
    encodePutRequest(writer, putOf(`${keyPrefix}${i}`, LeaseId(BigInt(firstId + i))));
  await callAll(callers, { path: "/etcdserverpb.KV/Put", count, messageOf: keyed });
  const ends = watchEnds(caller, count);
  await ends.created;
  await renewAll(caller, count);
  const beside = (): Uint8Array => encodePutRequest(writer, putOf("beside", noLease));
  const puts = new Puts(caller, { clients, put: beside });
  const quietMs = performance.now();
  await ends.first;
  const [before, firstMs] = [puts.done, performance.now()];
  await ends.last;
  const seconds = (performance.now() - firstMs) / 1000;
  const [during, all] = [puts.done - before, puts.done];
  const { p99Ms } = puts.end();
  return [
    `${count} leases with a key each ended in ${seconds.toFixed(2)} s: ${Math.round(count / seconds)} per second`,
    `puts beside, ${clients} callers: ${Math.round(before / ((firstMs - quietMs) / 1000))} per second before, ` +
      `${Math.round(during / seconds)} meanwhile, p99 ${p99Ms.toFixed(1)} ms of ${all}`,
  ];
}

async function grant(
  callers: readonly Caller[],
  { from, count, ttl }: { from: number; count: number; ttl: number },
): Promise<void> {
  const writer = new Writer();
  await callAll(callers, {
    path: "/etcdserverpb.Lease/LeaseGrant",
    count,
    messageOf: (i) =>
      encodeLeaseGrantRequest(writer, { id: LeaseId(BigInt(from + i)), ttlSec: ttl }),
  });
}

/** All over one stream, so that they are renewed within a moment. */
function renewAll(caller: Caller, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let [asked, renewed] = [0, 0];
    const writer = new Writer();
    const ask = (): void => {
      for (; asked < count && asked - renewed < renewalsMax; asked++) {
        stream.send(encodeLeaseIdRequest(writer, { id: LeaseId(BigInt(firstId + asked)) }));
      }
    };
    const stream = caller.stream("/etcdserverpb.Lease/LeaseKeepAlive", {
      onMessage: () => {
        renewed++;
        if (renewed === count) resolve();
        else ask();
      },
      onEnd: (why) => reject(new Error(`keep-alive: ${why}`)),
    });
    ask();
    caller.flush();
  });
}

interface Ends {
  readonly created: Promise<void>;
  readonly first: Promise<void>;
  readonly last: Promise<void>;
}

function watchEnds(caller: Caller, count: number): Ends {
  let deleted = 0;
  const [created, first, last] = [signal(), signal(), signal()];
  const late = new Promise<void>((_, reject) => {
    const fail = (): void => reject(new Error(`${deleted} of ${count} leases ended in time`));
    setTimeout(fail, ttlSec * 1000 + endMsMax).unref();
  });
  const stream = caller.stream("/etcdserverpb.Watch/Watch", {
    onMessage: (message) => {
      const response = decodeWatchResponse(message);
      if (response instanceof Malformed) throw new Error(response.why);
      if (response.created) created.tell();
      if (response.events.length === 0) return;
      deleted += response.events.length;
      first.tell();
      if (deleted >= count) last.tell();
    },
    onEnd: () => {},
  });
  const create = {
    ...{ key: Buffer.from(keyPrefix), rangeEnd: Buffer.from("lease0"), startRevision: 0 },
    // Only deletions.
    ...{ progressNotify: false, filters: [0], prevKv: false, watchId: 0, fragment: false },
  };
  stream.send(encodeWatchRequest(new Writer(), { kind: "create", create }));
  caller.flush();
  return { created: created.told, first: first.told, last: Promise.race([last.told, late]) };
}

const putOf = (key: string, lease: LeaseId) => ({
  ...{ key: Buffer.from(key), value: Buffer.alloc(64, 7), lease },
  ...{ prevKv: false, ignoreValue: false, ignoreLease: false },
});
