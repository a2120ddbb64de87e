// SocketLink beyond the contract: who is let in, what ends a connection, how it is opened again.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { MemberId } from "../../src/base/brand.ts";
import { type Log, silentLog } from "../../src/base/ports.ts";
import { Prng } from "../../src/base/prng.ts";
import {
  handshakeHeaders,
  type PeerStanding,
  peerPath,
  peerUrlLengthMax,
} from "../../src/transport/handshake.ts";
import { Knocker } from "../../src/transport/knocker.ts";
import { listenForPeers, membersPath } from "../../src/transport/peerListener.ts";
import { SocketLink, type SocketLinkLimits } from "../../src/transport/socket.ts";
import { turnsUntil } from "../support/turns.ts";

const clusterId = 0xabcn;
const one = MemberId(1n);
const two = MemberId(2n);
const three = MemberId(3n);
const nowhere = "http://127.0.0.1:1";
const brisk = { redialMsMin: 1, redialMsMax: 2 };

function linkOf(
  t: TestContext,
  id: MemberId,
  options: { limits?: Partial<SocketLinkLimits>; log?: Log } = {},
): SocketLink {
  const { limits = {}, log = silentLog } = options;
  const random = new Prng(Number(id));
  const link = new SocketLink({
    self: { clusterId, id },
    random,
    log,
    limits: { ...brisk, ...limits },
  });
  t.after(() => link.close());
  return link;
}

/** Member 2, which knows member 1 and 3 and takes connections. */
async function acceptor(t: TestContext, limits: Partial<SocketLinkLimits> = {}) {
  const link = linkOf(t, two, { limits });
  link.setPeer(one, nowhere);
  link.setPeer(three, nowhere);
  const listener = await listenForPeers(link, { host: "127.0.0.1", port: 0 });
  t.after(() => {
    link.close();
    return listener.close();
  });
  return { link, address: `127.0.0.1:${listener.port}` };
}

const goodHeaders = handshakeHeaders({ clusterId, id: one }, two);

/** Opens a connection by hand. @returns the socket, or the status and reason of the refusal. */
function dialByHand(
  address: string,
  options: { path?: string; headers?: Record<string, string>; autoPong?: boolean } = {},
): Promise<WebSocket | { status: number | undefined; why: string }> {
  const { path = peerPath, headers = goodHeaders, autoPong = true } = options;
  const socket = new WebSocket(`ws://${address}${path}`, { headers, autoPong });
  return new Promise((resolve) => {
    socket.on("error", () => {});
    socket.on("open", () => resolve(socket));
    socket.on("unexpected-response", (_request, response) => {
      resolve({
        status: response.statusCode,
        why: String(response.headers["x-quorlet-refused"]),
      });
      socket.terminate();
    });
  });
}

test("strangers are refused with a reason", async (t) => {
  const { link, address } = await acceptor(t);
  const from = (id: bigint, to = two, cluster = clusterId): Record<string, string> =>
    handshakeHeaders({ clusterId: cluster, id: MemberId(id) }, to);
  const rows = [
    { path: "/", headers: goodHeaders, status: 404, why: /path/ },
    { headers: { ...goodHeaders, origin: "http://evil" }, status: 403, why: /browsers/ },
    { headers: {}, status: 400, why: /protocol version/ },
    { headers: { ...goodHeaders, "x-quorlet-protocol": "2" }, status: 400, why: /protocol/ },
    { headers: from(1n, two, 0xabdn), status: 412, why: /cluster id/ },
    { headers: from(1n, three), status: 412, why: /another member/ },
    { headers: from(9n), status: 403, why: /not a member/ },
    { headers: from(0n), status: 403, why: /not a member/ },
    { headers: from(3n), status: 403, why: /not the one who dials/ },
    { headers: from(2n), status: 403, why: /not a member/ },
    { headers: { ...goodHeaders, "x-quorlet-from": "-1" }, status: 400, why: /malformed/ },
    {
      headers: { ...goodHeaders, "x-quorlet-from": "1".repeat(17) },
      status: 400,
      why: /malformed/,
    },
  ];
  for (const { status, why, ...dial } of rows) {
    const answer = await dialByHand(address, dial);
    assert.ok(!(answer instanceof WebSocket), `let in: ${JSON.stringify(dial)}`);
    assert.equal(answer.status, status, answer.why);
    assert.match(answer.why, why);
  }
  assert.equal(link.counters.refusedHandshakes, rows.length);
  assert.equal(link.connected(one), false);
});

test("bad peer: a removed member is told so, by whoever it dials or knocks at", async (t) => {
  const standings = new Map<MemberId, PeerStanding>([
    [one, "removed"],
    [three, "reborn"],
  ]);
  const seen: string[] = [];
  const target = new SocketLink({
    self: { clusterId, id: two },
    ...{ random: new Prng(1), log: silentLog, limits: brisk },
    standingOf: (id, { birth, peerUrls }) => {
      seen.push(`${id} ${birth} ${peerUrls}`);
      return standings.get(id) ?? "stranger";
    },
  });
  const listener = await listenForPeers(target, { host: "127.0.0.1", port: 0 });
  t.after(() => {
    target.close();
    return listener.close();
  });
  const told: string[] = [];
  const self = { clusterId, id: one, birth: 7, peerUrls: ["http://me:1"] };
  const link = new SocketLink({
    ...{ self, random: new Prng(2), log: silentLog, limits: brisk },
    onTurnedAway: (why, peer) => told.push(`1 ${why} by ${peer}`),
  });
  t.after(() => link.close());
  link.setPeer(two, `http://127.0.0.1:${listener.port}`);
  await turnsUntil(() => told.length > 0, "the one that dials");
  assert.equal(told[0], "1 removed by 2");
  assert.equal(seen[0], "1 7 http://me:1");
  const knocker = new Knocker(
    {
      ...{ self: { clusterId, id: three }, peer: two, random: new Prng(3), log: silentLog },
      ...{ addresses: [`ws://127.0.0.1:${listener.port}`], tls: undefined },
      standingOf: () => "member",
      onTurnedAway: (why) => told.push(`3 ${why}`),
    },
    () => false,
    5,
  );
  t.after(() => knocker.close());
  await turnsUntil(() => told.includes("3 reborn"), "the one that waits to be dialled");
});

test("every address of a peer is dialled in turn, and each says once why it fails", async (t) => {
  const { link: target, address } = await acceptor(t);
  const warnings: string[] = [];
  const warn: Log["warn"] = (_message, fields) => void warnings.push(String(fields?.address));
  const link = linkOf(t, one, { log: { ...silentLog, warn } });
  const dead = ["ws://127.0.0.1:1", "http://127.0.0.1:2"];
  link.setPeer(two, ...dead, `http://${address}`);
  await turnsUntil(() => link.connected(two) && target.connected(one), "the third one answers");
  assert.deepEqual(warnings.slice(0, 2), dead);
  target.removePeer(one);
  await turnsUntil(() => !link.connected(two), "it is left");
  const refused = target.counters.refusedHandshakes;
  await turnsUntil(() => target.counters.refusedHandshakes > refused + 1, "it comes round again");
  const each = new Set(warnings.slice(2).map((line) => line));
  assert.deepEqual(each, new Set([...dead, `http://${address}`]));
});

test("a peer with other data than it began with is not talked to", async (t) => {
  const { address } = await acceptor(t);
  const warnings: string[] = [];
  const warn: Log["warn"] = (_message, fields) => void warnings.push(String(fields?.why));
  const log = { ...silentLog, warn };
  const link = new SocketLink({
    ...{ self: { clusterId, id: one }, random: new Prng(2), log, limits: brisk },
    standingOf: () => "reborn",
  });
  t.after(() => link.close());
  link.setPeer(two, `ws://${address}`);
  await turnsUntil(() => warnings.length > 0, "it says why");
  assert.match(warnings[0] ?? "", /lost the data/);
  assert.equal(link.connected(two), false);
});

test("what a sender says about itself is taken whole or not at all", async (t) => {
  const seen: string[] = [];
  const target = new SocketLink({
    self: { clusterId, id: two },
    ...{ random: new Prng(1), log: silentLog, limits: brisk },
    standingOf: (_id, { birth, peerUrls }) => {
      seen.push(`${birth} ${peerUrls}`);
      return "stranger";
    },
  });
  const listener = await listenForPeers(target, { host: "127.0.0.1", port: 0 });
  t.after(() => {
    target.close();
    return listener.close();
  });
  const rows = [
    { birth: "ff", url: "https://[::1]:2", want: "255 https://[::1]:2" },
    { birth: "1", url: "http://a:1,ws://b:2", want: "1 http://a:1,ws://b:2" },
    { birth: "0", url: "http://a:1,,b", want: "0 " },
    { birth: "1".repeat(13), url: "http://a:1/path", want: "0 " },
    { birth: "-1", url: "javascript:alert(1)", want: "0 " },
    { birth: "", url: `http://${"a".repeat(peerUrlLengthMax)}:1`, want: "0 " },
    { birth: "0", url: "http://user@evil:1", want: "0 " },
  ];
  for (const { birth, url, want } of rows) {
    const headers = { ...goodHeaders, "x-quorlet-birth": birth, "x-quorlet-peer-url": url };
    await dialByHand(`127.0.0.1:${listener.port}`, { headers });
    assert.equal(seen.pop(), want);
  }
});

test("who is about to join may ask for the members, a page in a browser may not", async (t) => {
  let members: string | undefined;
  const listener = await listenForPeers(
    { accept: (_request, stream) => void stream.destroy(), members: () => members },
    { host: "127.0.0.1", port: 0 },
  );
  t.after(() => listener.close());
  const url = `http://127.0.0.1:${listener.port}${membersPath}`;
  assert.equal((await fetch(url)).status, 503, "it does not know yet");
  members = `{"clusterId":"a","members":[]}`;
  assert.equal(await (await fetch(url)).text(), members);
  assert.equal((await fetch(url, { headers: { origin: "http://evil" } })).status, 426);
  assert.equal((await fetch(url, { method: "POST" })).status, 426);
  assert.equal((await fetch(`${url}/else`)).status, 426);
});

test("a removed member loses its connection and is refused", async (t) => {
  const { link, address } = await acceptor(t);
  const socket = await dialByHand(address);
  assert.ok(socket instanceof WebSocket);
  let closed = false;
  socket.on("close", () => {
    closed = true;
  });
  link.removePeer(one);
  await turnsUntil(() => closed, "it is disconnected");
  const again = await dialByHand(address);
  assert.equal(again instanceof WebSocket ? 101 : again.status, 403);
});

test("what is no frame, or too large a one, ends the connection only", async (t) => {
  const { link, address } = await acceptor(t, { frameBytesMax: 1_000 });
  const rows = [
    { sent: "text", why: "text" },
    { sent: new Uint8Array(1_001), why: "too large" },
  ];
  for (const [i, { sent, why }] of rows.entries()) {
    const socket = await dialByHand(address);
    assert.ok(socket instanceof WebSocket, why);
    socket.send(sent);
    await turnsUntil(() => socket.readyState === WebSocket.CLOSED, why);
    assert.equal(link.counters.badFrames, i + 1, why);
    assert.equal(link.connected(one), false, why);
  }
});

test("a peer that went silent is dropped", async (t) => {
  const { link, address } = await acceptor(t, { heartbeatMs: 2, silentBeatsMax: 30 });
  const dead = await dialByHand(address, { autoPong: false });
  assert.ok(dead instanceof WebSocket);
  await turnsUntil(() => !link.connected(one), "the half-open connection dies");
  const alive = await dialByHand(address);
  assert.ok(alive instanceof WebSocket);
  let pings = 0;
  alive.on("ping", () => pings++);
  await turnsUntil(() => pings > 60, "it is pinged");
  assert.ok(link.connected(one), "answering keeps it");
  alive.terminate();
});

test("a newer connection of the same peer replaces the older", async (t) => {
  const { link, address } = await acceptor(t);
  const older = await dialByHand(address);
  assert.ok(older instanceof WebSocket);
  const newer = await dialByHand(address);
  assert.ok(newer instanceof WebSocket);
  await turnsUntil(() => older.readyState === WebSocket.CLOSED, "the older is closed");
  const frames: Buffer[] = [];
  newer.on("message", (frame: Buffer) => frames.push(frame));
  link.send(one, Uint8Array.of(5));
  await turnsUntil(() => frames.length === 1, "the newer is used");
  assert.ok(link.connected(one));
  newer.terminate();
});

test("a dialler hears why it was refused and keeps trying", async (t) => {
  const { link: target, address } = await acceptor(t);
  target.removePeer(one);
  const loud: string[] = [];
  const quiet: string[] = [];
  const log: Log = {
    ...silentLog,
    warn: (_message, fields) => loud.push(String(fields?.why)),
    debug: (_message, fields) => quiet.push(String(fields?.why)),
  };
  const link = linkOf(t, one, { log });
  link.setPeer(two, `http://${address}`);
  await turnsUntil(() => quiet.length >= 2, "it tries again");
  assert.deepEqual(loud, ["refused with 403: the sender is not a member"], "said once");
  assert.deepEqual(new Set(quiet), new Set(loud));
  target.setPeer(one, nowhere);
  await turnsUntil(() => link.connected(two), "it gets in at last");
  target.removePeer(one);
  await turnsUntil(() => loud.length === 2, "after a success it is news again");
});

test("an answer of somebody else is not believed", async (t) => {
  const rows = [
    { headers: handshakeHeaders({ clusterId, id: three }, one), why: /another member answered/ },
    { headers: handshakeHeaders({ clusterId: 1n, id: two }, one), why: /cluster id/ },
    { headers: handshakeHeaders({ clusterId, id: two }, three), why: /another member/ },
    { headers: {}, why: /protocol version/ },
  ];
  for (const { headers, why } of rows) {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    server.on("headers", (lines) => {
      for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    });
    await new Promise((resolve) => server.on("listening", resolve));
    const reasons: string[] = [];
    const log: Log = {
      ...silentLog,
      warn: (_text, fields) => reasons.push(String(fields?.why)),
    };
    const link = linkOf(t, one, { log });
    link.setPeer(two, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await turnsUntil(() => reasons.length > 0, "it is noticed");
    assert.match(reasons[0] ?? "", why);
    assert.equal(link.connected(two), false);
    link.close();
    server.close();
    for (const client of server.clients) client.terminate();
  }
});

test("pauses between tries grow to their bound", async (t) => {
  const server = createServer((_request, response) => response.writeHead(503).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const pauses: number[] = [];
  const set = globalThis.setTimeout;
  t.mock.method(globalThis, "setTimeout", (run: () => void, delayMs: number) => {
    if (delayMs <= 80) pauses.push(delayMs);
    return set(run, delayMs);
  });
  const link = linkOf(t, one, { limits: { redialMsMin: 10, redialMsMax: 80 } });
  link.setPeer(two, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const bounds = [10, 20, 40, 80, 80];
  for (const [i, boundMs] of bounds.entries()) {
    await turnsUntil(() => pauses.length === i + 1, `try ${i}`);
    const pauseMs = pauses[i] ?? 0;
    assert.ok(pauseMs >= boundMs / 2 && pauseMs <= boundMs, `${pauseMs} for ${boundMs}`);
    t.mock.timers.tick(boundMs);
  }
});

test("frames travel unmasked, so that large ones cost no pass over their bytes", async (t) => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  t.after(() => server.close());
  server.on("headers", (lines) => {
    const headers = handshakeHeaders({ clusterId, id: two }, one);
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  });
  const chunks: Buffer[] = [];
  server.on("connection", (_socket, request) => {
    request.socket.prependListener("data", (chunk: Buffer) => chunks.push(Buffer.from(chunk)));
  });
  await new Promise((resolve) => server.on("listening", resolve));
  const link = linkOf(t, one);
  link.setPeer(two, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await turnsUntil(() => link.connected(two), "connected");
  link.send(two, Buffer.from("plain to see"));
  await turnsUntil(() => Buffer.concat(chunks).includes("plain to see"), "as it is");
  link.close();
  for (const client of server.clients) client.terminate();
});
