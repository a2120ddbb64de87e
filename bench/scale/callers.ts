// What the measurements of scale share: calls in windows, puts that go on beside, and what memory became.
import { noLease } from "../../src/base/brand.ts";
import type { Caller } from "../load/caller.ts";
import { serverUsage, type Target } from "../targets/target.ts";

export const putPath = "/etcdserverpb.KV/Put";
/** Calls under way on one connection. */
const windowMax = 256;
/** Memory counts when it has not moved for so long: what was garbage has gone, or stays. */
const restMs = 1_500;

/** `count` calls over the callers. @throws for the first that fails. */
export async function callAll(
  callers: readonly Caller[],
  { path, count, messageOf }: { path: string; count: number; messageOf: (i: number) => Uint8Array },
): Promise<void> {
  let next = 0;
  const run = (caller: Caller): Promise<void> =>
    new Promise((resolve, reject) => {
      let open = 0;
      const fill = (): void => {
        if (next >= count && open === 0) resolve();
        while (open < windowMax && next < count) {
          open++;
          caller.call(path, messageOf(next++), (reply, why) => {
            open--;
            if (reply === undefined) reject(new Error(`${path}: ${why}`));
            else fill();
          });
        }
      };
      fill();
      caller.flush();
    });
  await Promise.all(callers.map(run));
}

/** Puts of 256 bytes in a closed loop, until told to stop. */
export class Puts {
  readonly #caller: Caller;
  readonly #latencies: number[] = [];
  #failed = 0;
  #isOver = false;

  constructor(caller: Caller, { clients, put }: { clients: number; put: () => Uint8Array }) {
    this.#caller = caller;
    for (let i = 0; i < clients; i++) this.#next(put);
    caller.flush();
  }

  get done(): number {
    return this.#latencies.length;
  }

  /** @returns the slowest one percent begins there, in milliseconds. */
  end(): { readonly p99Ms: number; readonly failed: number } {
    this.#isOver = true;
    const ascending = this.#latencies.sort((a, b) => a - b);
    return { p99Ms: ascending[Math.floor(0.99 * ascending.length)] ?? 0, failed: this.#failed };
  }

  #next(put: () => Uint8Array): void {
    if (this.#isOver) return;
    const startMs = performance.now();
    this.#caller.call("/etcdserverpb.KV/Put", put(), (reply) => {
      if (reply !== undefined) this.#latencies.push(performance.now() - startMs);
      else if (!this.#isOver) this.#failed++;
      if (!this.#caller.isGone) this.#next(put);
    });
  }
}

interface PutLoad {
  readonly clients: number;
  readonly ms: number;
  readonly put: () => Uint8Array;
}

/** Puts for a while: how many per second, and server CPU of each, as a shared machine lets rates mean little. */
export async function putCost(
  caller: Caller,
  target: Target,
  load: PutLoad,
): Promise<{ readonly perSec: number; readonly cpuUs: number }> {
  const puts = new Puts(caller, load);
  await pause(load.ms / 4);
  const [before, cpuBefore, startMs] = [puts.done, cpuMsOf(target), performance.now()];
  await pause(load.ms);
  const count = puts.done - before;
  const perSec = (count / (performance.now() - startMs)) * 1000;
  const cpuUs = ((cpuMsOf(target) - cpuBefore) * 1000) / Math.max(1, count);
  puts.end();
  return { perSec, cpuUs };
}

function cpuMsOf(target: Target): number {
  const { userMs, systemMs } = serverUsage(target) ?? { userMs: 0, systemMs: 0 };
  return userMs + systemMs;
}

/** Puts per second for a while. */
export async function putRate(caller: Caller, { clients, ms, put }: PutLoad): Promise<number> {
  const puts = new Puts(caller, { clients, put });
  await pause(ms / 4);
  const before = puts.done;
  const startMs = performance.now();
  await pause(ms);
  const rate = ((puts.done - before) / (performance.now() - startMs)) * 1000;
  puts.end();
  return rate;
}

/** MiB of the servers, once at rest. */
export async function restingMiB(target: Target): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let sinceMs = performance.now(); performance.now() - sinceMs < restMs; ) {
    const now = serverUsage(target)?.rssMiB ?? 0;
    if (now < least - 1) {
      least = now;
      sinceMs = performance.now();
    }
    await pause(100);
  }
  return least;
}

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

/** A promise, and what keeps it. */
export function signal(): { readonly told: Promise<void>; readonly tell: () => void } {
  let tell = (): void => {};
  const told = new Promise<void>((resolve) => {
    tell = resolve;
  });
  return { told, tell };
}

/** A put of key `i` with 256 bytes. */
export const putOf = (i: number) => ({
  ...{ key: Buffer.from(`scale/${String(i).padStart(8, "0")}`), value: Buffer.alloc(256, 7) },
  ...{ lease: noLease, prevKv: false, ignoreValue: false, ignoreLease: false },
});
