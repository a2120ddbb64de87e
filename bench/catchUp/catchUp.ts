// catch-up: a member that missed a gigabyte comes back while puts go on. How fast it catches up, what the
// puts notice of it, how long members are silent meanwhile, what memory it takes.
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { noLease } from "../../src/base/brand.ts";
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import { Writer } from "../../src/proto/writer.ts";
import { GrpcConnection } from "../load/grpcConnection.ts";
import { usageOf } from "../measure/usage.ts";
import { callAll, Puts, pause } from "../scale/callers.ts";
import { Members, type Program } from "../targets/members.ts";
import { Observer } from "./observer.ts";

/** The log keeps all that is missing, or next to nothing of it. */
export type Way = "log" | "snapshot";

export interface CatchUpOptions {
  /** What is missing. */
  readonly mib: number;
  readonly valSize: number;
  /** Callers that put 256 bytes beside. */
  readonly clients: number;
  /** For which puts are counted before. */
  readonly ms: number;
  /** Of these puts, before anything counts. */
  readonly warmup: number;
}

/** "Meanwhile" is from the start of the process until nothing is missing. */
export interface CatchUp {
  readonly ms: number;
  readonly mibPerSec: number;
  /** Of that, from its first answer; undefined for one that answers only when it has caught up. */
  readonly answering: { readonly ms: number; readonly mibPerSec: number } | undefined;
  readonly diskMibPerSec: number;
  readonly putsBefore: number;
  readonly putsDuring: number;
  readonly failedPuts: number;
  /** Terms beyond the first that any member was seen in. */
  readonly elections: number;
  /** Longest time without an answer: who leads, who follows, who catches up. */
  readonly silentMs: readonly [leader: number, follower: number, behind: number];
  /** CPU time meanwhile, user and system, in the same order. */
  readonly cpuMs: readonly [leader: number, follower: number, behind: number];
  /** Most memory that is no mapped file, in the same order. */
  readonly anonMiB: readonly [leader: number, follower: number, behind: number];
}

const wayFlags: Readonly<Record<Way, readonly string[]>> = {
  log: ["--snapshot-count", "10000000", "--experimental-snapshot-catchup-entries", "10000000"],
  snapshot: ["--snapshot-count", "100", "--experimental-snapshot-catchup-entries", "20"],
};
/** Each with one put under way: a connection's window may hold no more. */
const fillConnections = 32;
const retryMs = 20;
const smallKeys = 10_000;
const pollMs = 5;
const waitMsMax = 300_000;
const mebibyte = 1 << 20;

export async function catchUp(
  program: Program,
  way: Way,
  options: CatchUpOptions,
): Promise<CatchUp> {
  await using members = await Members.start(program, { count: 3, flags: wayFlags[way] });
  const observers = members.all.map(
    (at) => new Observer(members.endpoint(at), () => members.pid(at)),
  );
  try {
    return await measure(members, observers, options);
  } finally {
    await Promise.all(observers.map((observer) => observer.end()));
  }
}

async function measure(
  members: Members,
  observers: readonly Observer[],
  { mib, valSize, clients, ms, warmup }: CatchUpOptions,
): Promise<CatchUp> {
  await until("a leader", () => observers.some(({ position }) => position?.leads === true));
  const leads = observers.findIndex(({ position }) => position?.leads === true);
  const [follows = 0, behind = 0] = members.all.filter((at) => at !== leads);
  const caller = await GrpcConnection.open(members.endpoint(leads));
  const [leader, follower, before] = [leads, follows, behind].map((at) => observers[at]);
  if (!leader || !follower || !before) throw new Error("three members are needed");
  const put = smallPuts();
  await callAll([caller], { path: putPath, count: warmup, messageOf: put });
  await members.stop(behind);
  await before.end();
  await fill(members.endpoint(leads), largePuts(mib, valSize));
  const diskMibPerSec = sequentialMibPerSec(members.folder);
  const puts = new Puts(caller, { clients, put });
  await pause(ms / 4);
  const putsBefore = await rateOf(puts, () => pause(ms));
  const goal = leader.position?.applied ?? 0;
  const late = new Observer(members.endpoint(behind), () => members.pid(behind));
  try {
    const isThere = () => (late.position?.applied ?? 0) >= goal;
    const cpuMs = () => [leads, follows, behind].map((at) => cpuMsOf(members.pid(at)));
    const cpuMsBefore = cpuMs();
    let firstMs = 0;
    const spawnMs = performance.now();
    const putsDuring = await rateOf(puts, async () => {
      members.spawn(behind);
      await until("the member that was stopped", () => late.position !== undefined);
      firstMs = isThere() ? 0 : performance.now();
      await until("it to catch up", isThere);
    });
    const endMs = performance.now();
    const [a = 0, b = 0, c = 0] = cpuMs().map((after, i) => after - (cpuMsBefore[i] ?? 0));
    const { failed } = puts.end();
    const three = [leader, follower, late] as const;
    const triple = (figure: (observer: Observer) => number) =>
      [figure(three[0]), figure(three[1]), figure(three[2])] as const;
    const from = (ms: number) => ({ ms: endMs - ms, mibPerSec: (1000 * mib) / (endMs - ms) });
    return {
      ...from(spawnMs),
      ...{ answering: firstMs === 0 ? undefined : from(firstMs), diskMibPerSec },
      ...{ putsBefore, putsDuring, failedPuts: failed },
      elections: Math.max(...three.map(({ termCount }) => termCount)) - 1,
      cpuMs: [a, b, c],
      silentMs: triple(({ silentMsMax }) => silentMsMax),
      anonMiB: triple(({ anonMiBMax }) => anonMiBMax),
    };
  } finally {
    await late.end();
    caller.close();
  }
}

const putPath = "/etcdserverpb.KV/Put";
const flags = { lease: noLease, prevKv: false, ignoreValue: false, ignoreLease: false };

function smallPuts(): () => Uint8Array {
  const writer = new Writer();
  const value = Buffer.alloc(256, 7);
  let last = 0;
  return () =>
    encodePutRequest(writer, { key: Buffer.from(`small/${++last % smallKeys}`), value, ...flags });
}

/** A key for each, so that no state is smaller than what was put. */
function largePuts(mib: number, valSize: number): Parameters<typeof fill>[1] {
  const writer = new Writer();
  // No two pages alike: nobody may gain by leaving out what repeats itself.
  const value = Buffer.alloc(valSize);
  for (let at = 0; at + 4 <= valSize; at += 4) value.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  return {
    count: Math.ceil((mib * mebibyte) / valSize),
    messageOf: (i: number): Uint8Array => {
      value.writeUInt32LE(i, 0);
      return encodePutRequest(writer, { key: Buffer.from(`large/${i}`), value, ...flags });
    },
  };
}

/** All of them; one that is refused because the store cannot keep up is asked again. */
async function fill(
  endpoint: string,
  { count, messageOf }: { readonly count: number; readonly messageOf: (i: number) => Uint8Array },
): Promise<void> {
  let next = 0;
  const run = async (): Promise<void> => {
    const caller = await GrpcConnection.open(endpoint);
    for (let i = next++; i < count; i = next++) await putAgain(caller, () => messageOf(i));
    caller.close();
  };
  await Promise.all(Array.from({ length: fillConnections }, run));
}

async function putAgain(caller: GrpcConnection, messageOf: () => Uint8Array): Promise<void> {
  const endMs = performance.now() + waitMsMax;
  for (;;) {
    const why = await new Promise<string>((resolve) => {
      caller.call(putPath, messageOf(), (reply, reason) => resolve(reply ? "" : reason));
      caller.flush();
    });
    if (why === "") return;
    if (performance.now() > endMs || !why.includes("too many requests")) throw new Error(why);
    await pause(retryMs);
  }
}

function cpuMsOf(pid: number): number {
  if (pid === 0) return 0;
  const { userMs, systemMs } = usageOf([pid]);
  return userMs + systemMs;
}

async function rateOf(puts: Puts, act: () => Promise<void>): Promise<number> {
  const [before, startMs] = [puts.done, performance.now()];
  await act();
  return ((puts.done - before) / (performance.now() - startMs)) * 1000;
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + waitMsMax;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`waited in vain for ${what}`);
    await pause(pollMs);
  }
}

/** As `dd bs=1M count=256 conv=fdatasync` does it. */
function sequentialMibPerSec(folder: string): number {
  const path = join(folder, "sequential");
  const block = Buffer.alloc(mebibyte, 7);
  const file = openSync(path, "w");
  const startMs = performance.now();
  for (let i = 0; i < 256; i++) writeSync(file, block);
  fdatasyncSync(file);
  const rate = (256 * 1000) / (performance.now() - startMs);
  closeSync(file);
  rmSync(path);
  return rate;
}
