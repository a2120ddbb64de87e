// Members that are far from one another: what a put waits for is one round trip, not two, whether it comes
// alone or among many.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Child } from "../support/child.ts";
import { DelayProxy } from "../support/delayProxy.ts";
import { KvClient } from "../support/kvClient.ts";
import { freePorts } from "../support/memberProcesses.ts";
import { serverEntry } from "../support/paths.ts";

const startMsMax = 60_000;
const names = ["n1", "n2", "n3"];
/** One way; far above what a put costs on a busy machine. */
const delayMs = 200;
const roundTripMs = 2 * delayMs;
/** A busy moment of the machine may spoil a measurement; two round trips would show in each. */
const attemptsMax = 6;

async function withFarHosts(run: (leader: KvClient) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "quorlet-far-"));
  const ports = await freePorts(9);
  const at = (i: number, kind: number): number => ports[3 * i + kind] ?? 0;
  const ways = names.map((_, i) => ({ listenPort: at(i, 1), port: at(i, 2), delayMs }));
  const proxies = await Promise.all(ways.map((way) => DelayProxy.start(way)));
  const cluster = names.map((name, i) => `${name}=http://127.0.0.1:${at(i, 1)}`).join();
  const children = names.map((name, i) => {
    const client = `http://127.0.0.1:${at(i, 0)}`;
    const args = [
      ...["serve", "--name", name, "--data-dir", join(folder, name), "--initial-cluster", cluster],
      ...["--listen-client-urls", client, "--advertise-client-urls", client],
      ...["--listen-peer-urls", `http://127.0.0.1:${at(i, 2)}`],
      ...["--initial-advertise-peer-urls", `http://127.0.0.1:${at(i, 1)}`],
    ];
    return new Child({ command: process.execPath, args: [serverEntry, ...args] });
  });
  const clients = names.map((_, i) => new KvClient(`127.0.0.1:${at(i, 0)}`));
  try {
    const ready = { pattern: /^ready /, timeoutMs: startMsMax };
    await Promise.all(children.map((child) => child.line(ready)));
    const leads = await Promise.all(clients.map((client) => client.isLeader()));
    const leader = clients[leads.indexOf(true)];
    assert.ok(leader, "somebody leads");
    await run(leader);
  } finally {
    for (const client of clients) client.close();
    await Promise.all(children.map((child) => child.kill9()));
    await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Medians {
  readonly aloneMs: number;
  readonly manyMs: number;
}

/** @param name of its keys. */
async function measure(leader: KvClient, name: string): Promise<Medians> {
  const timesMs: number[] = [];
  const puts = async (key: string, count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const fromMs = performance.now();
      await leader.put(`${name}/${key}${i}`, "v");
      timesMs.push(performance.now() - fromMs);
    }
  };
  const sortedMs = (): readonly number[] => timesMs.splice(0).sort((a, b) => a - b);
  await puts("alone", 3);
  const [aloneMs = 0] = sortedMs();
  // Another caller each few milliseconds: a round is always on its way when one comes.
  const callers = Array.from({ length: 40 }, async (_, i) => {
    await setTimeout(5 * i);
    await puts(`many${i}/`, 3);
  });
  await Promise.all(callers);
  const many = sortedMs();
  return { aloneMs, manyMs: many[Math.floor(many.length / 2)] ?? 0 };
}

test("a put among far hosts waits for one round trip, alone or among many", async (t) => {
  await withFarHosts(async (leader) => {
    for (let attempt = 1; ; attempt++) {
      const { aloneMs, manyMs } = await measure(leader, `${attempt}`);
      const shown = `${aloneMs.toFixed(1)} ms alone, ${manyMs.toFixed(1)} among many`;
      t.diagnostic(`${delayMs} ms each way: ${shown}`);
      assert.ok(aloneMs >= roundTripMs, `${shown}: it waits for a majority`);
      if (Math.max(aloneMs, manyMs) < 1.9 * roundTripMs) return;
      assert.ok(attempt < attemptsMax, `${shown}, at the ${attempt}th attempt`);
    }
  });
});
