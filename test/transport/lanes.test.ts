// The two connections of a pair of members, who opens them, which protocol they speak, and what is said
// about those that are refused.
import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { type WebSocket, WebSocketServer } from "ws";
import { MemberId } from "../../src/base/brand.ts";
import { type Log, silentLog } from "../../src/base/ports.ts";
import { Prng } from "../../src/base/prng.ts";
import { seldomKindsMax, seldomMs } from "../../src/base/seldomLog.ts";
import { handshakeHeaders } from "../../src/transport/handshake.ts";
import { Knocker } from "../../src/transport/knocker.ts";
import { listenForPeers } from "../../src/transport/peerListener.ts";
import type { ProtocolVersions } from "../../src/transport/protocolVersion.ts";
import { RefusalLog } from "../../src/transport/refusalLog.ts";
import { SocketLink } from "../../src/transport/socket.ts";
import { turnsUntil } from "../support/turns.ts";

const clusterId = 0xabcn;
const one = MemberId(1n);
const two = MemberId(2n);

interface Told {
  readonly versions?: ProtocolVersions;
  readonly log?: Log;
  readonly clusterId?: bigint;
}

interface Standing {
  readonly link: SocketLink;
  readonly url: string;
}

async function member(t: TestContext, id: MemberId, told: Told = {}): Promise<Standing> {
  const { log = silentLog, versions, clusterId: cluster = clusterId } = told;
  const link = new SocketLink({
    self: { clusterId: cluster, id, ...(versions && { versions }) },
    ...{ random: new Prng(Number(id)), log, limits: { redialMsMin: 1, redialMsMax: 2 } },
  });
  const listener = await listenForPeers(link, { host: "127.0.0.1", port: 0 });
  t.after(() => {
    link.close();
    return listener.close();
  });
  return { link, url: `http://127.0.0.1:${listener.port}` };
}

interface Line {
  readonly level: "warn" | "debug";
  readonly why: string;
}

function noting(lines: Line[]): Log {
  const note =
    (level: Line["level"]): Log["warn"] =>
    (_message, fields) =>
      void lines.push({ level, why: String(fields?.why) });
  return { ...silentLog, warn: note("warn"), debug: note("debug") };
}

/** A server by hand in the place of member 2; its connections by lane. */
async function handMade(t: TestContext): Promise<{ url: string; lanes: Map<string, WebSocket> }> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  const lanes = new Map<string, WebSocket>();
  server.on("headers", (lines) => {
    const headers = handshakeHeaders({ clusterId, id: two }, one);
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  });
  server.on("connection", (socket, request) => {
    lanes.set(String(request.headers["x-quorlet-lane"] ?? "main"), socket);
  });
  await new Promise((resolve) => server.on("listening", resolve));
  t.after(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, lanes };
}

test("a heartbeat is not stuck behind bulk that nobody reads", async (t) => {
  const { url, lanes } = await handMade(t);
  const { link } = await member(t, one);
  link.setPeer(two, url);
  await turnsUntil(() => lanes.size === 2, "both lanes open");
  const got = { main: [] as Buffer[], bulkBytes: 0 };
  lanes.get("main")?.on("message", (frame: Buffer) => got.main.push(frame));
  lanes.get("bulk")?.on("message", (frame: Buffer) => {
    got.bulkBytes += frame.length;
  });
  lanes.get("bulk")?.pause();
  await turnsUntil(() => link.sendBulk(two, new Uint8Array(1)), "bulk is taken");
  // The kernel takes some megabytes of what is not read; then the bound is reached, and stays so.
  const chunk = 262_144;
  let sentBytes = 1;
  let refusals = 0;
  while (refusals < 100 && sentBytes < 64 << 20) {
    if (link.sendBulk(two, new Uint8Array(chunk))) sentBytes += chunk;
    else refusals++;
    await new Promise(setImmediate);
  }
  assert.ok(sentBytes < 64 << 20, `${sentBytes} bytes are taken for a peer that does not read`);
  link.send(two, Uint8Array.of(7));
  await turnsUntil(() => got.main.length === 1, "the heartbeat arrives");
  assert.equal(got.bulkBytes, 0, "before any of the bulk");
  lanes.get("bulk")?.resume();
  await turnsUntil(() => got.bulkBytes === sentBytes, "all that was taken arrives");
  assert.ok(link.sendBulk(two, new Uint8Array(1)), "and there is room again");
});

test("bulk goes both ways over the connection that the lower id opened", async (t) => {
  const [low, high] = [await member(t, one), await member(t, two)];
  const got: string[] = [];
  low.link.onFrame = (from, frame) => got.push(`1 from ${from}: ${frame}`);
  high.link.onFrame = (from, frame) => got.push(`2 from ${from}: ${frame}`);
  assert.equal(low.link.sendBulk(two, Uint8Array.of(1)), false, "there is no peer");
  high.link.setPeer(one, low.url);
  low.link.setPeer(two, high.url);
  await turnsUntil(() => low.link.sendBulk(two, Uint8Array.of(1)), "up");
  await turnsUntil(() => high.link.sendBulk(one, Uint8Array.of(2)), "down");
  await turnsUntil(() => got.length === 2, "both arrive");
  assert.deepEqual(new Set(got), new Set(["2 from 1: 1", "1 from 2: 2"]));
});

test("a bulk connection that breaks is opened again, and the main one lives on", async (t) => {
  const { url, lanes } = await handMade(t);
  const { link } = await member(t, one);
  link.setPeer(two, url);
  await turnsUntil(() => lanes.size === 2, "both lanes open");
  const first = lanes.get("bulk");
  first?.terminate();
  await turnsUntil(() => lanes.get("bulk") !== first, "it is opened again");
  assert.ok(link.connected(two));
  await turnsUntil(() => link.sendBulk(two, Uint8Array.of(1)), "and used");
});

test("both dial at once, in either order: one connection for each lane, the same for both", async (t) => {
  for (const lowFirst of [true, false]) {
    const [low, high] = [await member(t, one), await member(t, two)];
    const heard: string[] = [];
    low.link.onFrame = () => heard.push("low");
    high.link.onFrame = () => heard.push("high");
    const target = { peer: one, addresses: [low.url], random: new Prng(5), log: silentLog };
    // The higher id's way of dialling, as often as it can.
    const knocker = new Knocker(
      {
        ...{ ...target, self: { clusterId, id: two }, tls: undefined },
        ...{ standingOf: () => "member" as const, onTurnedAway: () => assert.fail("turned away") },
      },
      () => false,
      1,
    );
    t.after(() => knocker.close());
    const calls = [() => low.link.setPeer(two, high.url), () => high.link.setPeer(one, low.url)];
    for (const call of lowFirst ? calls : calls.toReversed()) call();
    const refused = (): number => low.link.counters.refusedHandshakes;
    await turnsUntil(() => low.link.connected(two) && high.link.connected(one), "they meet");
    const before = refused();
    await turnsUntil(() => refused() > before + 2, "the other one dials on");
    assert.ok(low.link.connected(two) && high.link.connected(one), "and that changes nothing");
    low.link.send(two, Uint8Array.of(1));
    high.link.send(one, Uint8Array.of(1));
    await turnsUntil(() => heard.length === 2, "frames arrive");
    assert.deepEqual(new Set(heard), new Set(["low", "high"]), "each once");
    knocker.close();
  }
});

test("an older and a newer release speak the highest version that both know", async (t) => {
  const rows = [
    { low: { min: 1, max: 1 }, high: { min: 1, max: 2 }, want: 1 },
    { low: { min: 1, max: 3 }, high: { min: 2, max: 5 }, want: 3 },
    { low: { min: 4, max: 9 }, high: { min: 1, max: 4 }, want: 4 },
  ];
  for (const { low, high, want } of rows) {
    const a = await member(t, one, { versions: low });
    const b = await member(t, two, { versions: high });
    b.link.setPeer(one, a.url);
    a.link.setPeer(two, b.url);
    await turnsUntil(() => a.link.connected(two) && b.link.connected(one), `${want}`);
    assert.deepEqual([a.link.versionWith(two), b.link.versionWith(one)], [want, want]);
  }
});

test("trap: a peer of an unknown version is refused, once in the log of both", async (t) => {
  const rows = [
    { low: { min: 1, max: 1 }, high: { min: 2, max: 3 }, says: /: 1, this member speaks 2-3$/ },
    { low: { min: 5, max: 6 }, high: { min: 2, max: 3 }, says: /: 5-6, this member speaks 2-3$/ },
  ];
  for (const { low, high, says } of rows) {
    const lines = { low: [] as Line[], high: [] as Line[] };
    const a = await member(t, one, { versions: low, log: noting(lines.low) });
    const b = await member(t, two, { versions: high, log: noting(lines.high) });
    b.link.setPeer(one, a.url);
    a.link.setPeer(two, b.url);
    await turnsUntil(() => lines.low.length > 3 && lines.high.length > 3, "it tries on");
    for (const said of [lines.low, lines.high]) {
      const loud = said.filter(({ level }) => level === "warn");
      assert.equal(loud.length, 1, "once, not for each try");
      assert.match(loud[0]?.why ?? "", says);
    }
    assert.equal(a.link.connected(two), false);
    a.link.close();
  }
});

test("bad peer: whoever only waits to be called learns that it is a stranger", async (t) => {
  const { url } = await member(t, one);
  const lines: Line[] = [];
  const target = { peer: one, addresses: [url], random: new Prng(5), log: noting(lines) };
  let asked = 0;
  const knocker = new Knocker(
    {
      ...{ ...target, self: { clusterId: 5n, id: two }, tls: undefined },
      ...{ standingOf: () => "member" as const, onTurnedAway: () => assert.fail("turned away") },
    },
    () => {
      asked++;
      return false;
    },
    1,
  );
  t.after(() => knocker.close());
  await turnsUntil(() => lines.length > 0, "it says so");
  const before = asked;
  await turnsUntil(() => asked > before + 20, "it goes on");
  assert.deepEqual(lines, [{ level: "warn", why: "412: the cluster id is another one" }]);
});

test("bad peer: refusals are loud once for each sender and reason in an interval, whoever comes", () => {
  const lines: Line[] = [];
  let nowMs = 0;
  const refusals = new RefusalLog(noting(lines), { nowMs: () => nowMs });
  const levelOf = (who: string, why: string, expected = false): string | undefined => {
    refusals.note({ who, why }, expected);
    return lines.at(-1)?.level;
  };
  const loud = (): number => lines.filter(({ level }) => level === "warn").length;
  assert.equal(levelOf("a", "x"), "warn");
  assert.equal(levelOf("a", "x"), "debug");
  assert.equal(levelOf("a", "y"), "warn");
  assert.equal(levelOf("b", "x"), "warn");
  assert.equal(levelOf("c", "x", true), "debug");
  refusals.forget("a");
  assert.equal(levelOf("a", "x"), "warn");
  assert.equal(levelOf("b", "x"), "debug");
  nowMs = seldomMs;
  assert.equal(levelOf("b", "x"), "warn", "again, once the interval is over");
  const before = loud();
  for (let i = 0; i < 10 * seldomKindsMax; i++) levelOf(`n${i}`, "x");
  assert.equal(loud() - before, seldomKindsMax, "and one that says that there are more");
  nowMs = 2 * seldomMs;
  assert.equal(levelOf("late", "x"), "warn");
});
