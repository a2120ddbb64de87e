// How connections begin, wait and end: deadlines, first bytes, shutdown; and node:http2 as a client.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { Listener } from "../../src/door/listener.ts";
import { Connection } from "../../src/http2/connection.ts";
import { connectionPreface, ErrorCode, Flag, FrameType } from "../../src/http2/frames.ts";
import { ManualTimers } from "./manualTimers.ts";
import { connectionHost } from "./memoryHost.ts";
import { grpcHeaders, grpcMessage, RawPeer, u32 } from "./rawPeer.ts";
import { openDoor, pattern } from "./testDoor.ts";

const isAck = ({ type, flags }: { type: number; flags: number }): boolean =>
  type === FrameType.settings && flags === Flag.ack;

test("HTTP/1 is told so, garbage is closed, and both take no more than their bytes", async (t) => {
  const door = await openDoor(t);
  const rows = [
    { send: "GET /health HTTP/1.1\r\n\r\n", want: /^HTTP\/1\.1 505 .*gRPC only\n$/s },
    { send: "POST / HTTP/1.1\r\n\r\n", want: /^HTTP\/1\.1 505 / },
    { send: "PUT / HTTP/1.1\r\n\r\n", want: /^HTTP\/1\.1 505 / },
    { send: "\x16\x03\x01\x02\x00", want: /^$/ },
    { send: "get / http/1.1\r\n", want: /^$/ },
    { send: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", want: /^$/ },
    { send: "PRJ*", want: /^$/ },
  ];
  for (const { send, want } of rows) {
    for (const cut of [send.length, 1, 2]) {
      const peer = await RawPeer.open(door.port);
      peer.send(Buffer.from(send.slice(0, cut), "latin1"));
      // Past the end of a decided connection writing is vain, not wrong.
      if (cut < send.length) setImmediate(() => peer.send(Buffer.from(send.slice(cut), "latin1")));
      await peer.closed();
      assert.match(peer.text, want, JSON.stringify(send));
    }
  }
});

test("connections that never get going are ended by deadline", async (t) => {
  const timers = new ManualTimers();
  const door = await openDoor(t, { timers });
  const silent = await RawPeer.open(door.port);
  const undecided = await RawPeer.open(door.port);
  undecided.send(Buffer.from("P"));
  const halfway = await RawPeer.open(door.port);
  halfway.acknowledges = false;
  halfway.send(connectionPreface.subarray(0, 20));
  const mute = await RawPeer.open(door.port);
  mute.acknowledges = false;
  mute.send(connectionPreface);
  mute.frame(FrameType.settings, 0, 0);
  const fine = await RawPeer.start(door.port);
  for (const peer of [mute, fine]) await peer.next(isAck, "our acknowledgement");
  await halfway.next(({ type }) => type === FrameType.settings, "SETTINGS");
  // Any answer proves that the acknowledgement before it has been read.
  fine.call(1, "/test.T/Echo", "x");
  await fine.answer(1);
  timers.advance(12_000);
  await silent.closed();
  await undecided.closed();
  assert.equal((await halfway.goaway()).code, ErrorCode.settingsTimeout);
  assert.equal((await mute.goaway()).code, ErrorCode.settingsTimeout);
  fine.call(3, "/test.T/Echo", "y");
  assert.deepEqual((await fine.answer(3)).body, grpcMessage("y"));
  fine.destroy();
});

test("a faulty peer that does not close is closed after a while", async (t) => {
  const timers = new ManualTimers();
  const door = await openDoor(t, { timers });
  const peer = await RawPeer.start(door.port);
  await peer.next(isAck, "our acknowledgement");
  peer.socket.removeAllListeners("end");
  peer.frame(FrameType.ping, 0, 1, Buffer.alloc(8));
  assert.equal((await peer.goaway()).code, ErrorCode.protocolError);
  timers.advance(5000);
  await peer.closed();
});

test("shutdown: two GOAWAYs, open calls finish, new ones are refused, then the end", async (t) => {
  const door = await openDoor(t);
  const peer = await RawPeer.start(door.port);
  peer.headers(1, grpcHeaders("/test.T/Echo"));
  await peer.next(isAck, "our acknowledgement");
  const closing = door.listener.close({ graceMs: 60_000 });
  const first = await peer.goaway();
  assert.deepEqual([first.code, first.lastId], [ErrorCode.noError, 0x7fff_ffff]);
  const probe = await peer.next(({ type }) => type === FrameType.ping, "PING");
  peer.headers(3, grpcHeaders("/test.T/Echo"));
  peer.frame(FrameType.ping, Flag.ack, 0, probe.payload);
  const second = await peer.goaway();
  assert.deepEqual([second.code, second.lastId], [ErrorCode.noError, 3]);
  peer.headers(5, grpcHeaders("/test.T/Echo"));
  assert.equal(await peer.resetOf(5), ErrorCode.refusedStream);
  peer.data(3, grpcMessage("three"), Flag.endStream);
  assert.deepEqual((await peer.answer(3)).body, grpcMessage("three"));
  peer.data(1, grpcMessage("one"), Flag.endStream);
  assert.deepEqual((await peer.answer(1)).body, grpcMessage("one"));
  await peer.closed();
  await closing;
});

test("shutdown does not wait for ever, and tells those who hang", async (t) => {
  const timers = new ManualTimers();
  const door = await openDoor(t, { timers });
  const peer = await RawPeer.start(door.port);
  peer.headers(1, grpcHeaders("/test.T/Talk"));
  peer.data(1, grpcMessage("hello"));
  await peer.next(({ type }) => type === FrameType.data, "an answer");
  const closing = door.listener.close({ graceMs: 3000 });
  timers.advance(3000);
  await closing;
  await peer.closed();
  assert.deepEqual(door.seen.events, ["cancel"]);
  assert.equal(timers.pending, 0, "alarms left");
});

test("a port in use is an error, before anything else happens", async (t) => {
  const door = await openDoor(t);
  const second = new Listener();
  await assert.rejects(second.listen({ host: "127.0.0.1", port: door.port }), {
    code: "EADDRINUSE",
  });
  await second.close({ graceMs: 0 });
});

test("connections wait from listen to serve, and are closed beyond the limit", async () => {
  const listener = new Listener({ http2: { connectionsMax: 1 } });
  const { port } = await listener.listen({ host: "127.0.0.1", port: 0 });
  const early = await RawPeer.start(port);
  const late = await RawPeer.open(port);
  await late.closed();
  listener.serve({
    unary: new Map([["/t.T/Early", (call) => call.respond(Buffer.from("worm"))]]),
    stream: new Map(),
  });
  early.call(1, "/t.T/Early", "");
  assert.deepEqual((await early.answer(1)).body, grpcMessage("worm"));
  early.destroy();
  await listener.close({ graceMs: 0 });
});

test("close before serve leaves nothing open", async () => {
  const listener = new Listener();
  const { port } = await listener.listen({ host: "127.0.0.1", port: 0 });
  const peer = await RawPeer.start(port);
  await listener.close({ graceMs: 1000 });
  await peer.closed();
});

test("one write per connection and turn", async (t) => {
  let flushes = 0;
  const door = await openDoor(t, { requestFlush: () => void flushes++ });
  const peer = await RawPeer.start(door.port);
  const requests = 40;
  for (let i = 0; i < requests; i++) peer.headers(2 * i + 1, grpcHeaders("/test.T/Hang"));
  for (let i = 0; i < requests; i++) peer.data(2 * i + 1, grpcMessage("x"), Flag.endStream);
  while (door.seen.hung.length < requests) await new Promise((resolve) => setImmediate(resolve));
  door.listener.flush();
  await peer.next(isAck, "our acknowledgement");
  flushes = 0;
  let chunks = 0;
  peer.socket.on("data", () => chunks++);
  for (const call of door.seen.hung) call.respond(Buffer.from("y"));
  assert.equal(flushes, 1, "one request for a flush");
  door.listener.flush();
  for (let i = 0; i < requests; i++) await peer.answer(2 * i + 1);
  assert.equal(chunks, 1, "one write");
  peer.destroy();
});

test("bytes of a socket that may keep our buffers are not overwritten", async () => {
  // An in-memory stream hands our buffer on; the reader looks at it only after the next turn.
  const kept: Buffer[] = [];
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      kept.push(chunk);
      done();
    },
  });

  const connection = new Connection(socket, connectionHost());
  connection.start(Buffer.from(connectionPreface));
  connection.flush();
  const before = Buffer.concat(kept);
  socket.emit("data", Buffer.from("000000040000000000", "hex"));
  socket.emit("data", Buffer.from("0000080600000000000102030405060708", "hex"));
  connection.flush();
  assert.deepEqual(Buffer.concat(kept).subarray(0, before.length), before);
  connection.destroy();
});

async function nodeCall(
  session: ClientHttp2Session,
  path: string,
  message: Buffer,
): Promise<{ body: Buffer; status: string }> {
  const request = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
  });
  let status = "";
  request.on("response", (fields) => (status = `${fields["grpc-status"] ?? status}`));
  request.on("trailers", (fields) => (status = `${fields["grpc-status"]}`));
  request.end(grpcMessage(message));
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  return { body: Buffer.concat(parts), status };
}

test("node:http2 as client: many calls at once, in any settings", async (t) => {
  const door = await openDoor(t);
  const rows = [
    {},
    { settings: { headerTableSize: 0 } },
    { settings: { headerTableSize: 110 } },
    { settings: { initialWindowSize: 100 } },
    { settings: { maxFrameSize: 1 << 20, initialWindowSize: 1 << 20 } },
  ];
  for (const options of rows) {
    const session = connectHttp2(`http://127.0.0.1:${door.port}`, options);
    for (let round = 0; round < 3; round++) {
      const calls = Array.from({ length: 50 }, (_, i) =>
        nodeCall(session, "/test.T/Echo", pattern(i * 97)),
      );
      for (const [i, { body, status }] of (await Promise.all(calls)).entries()) {
        assert.equal(status, "0");
        assert.deepEqual(body, grpcMessage(pattern(i * 97)));
      }
      assert.equal((await nodeCall(session, "/test.T/Refuse", Buffer.alloc(0))).status, "5");
    }
    const long = await nodeCall(session, "/test.T/Echo", pattern(300_000));
    assert.deepEqual(long.body, grpcMessage(pattern(300_000)));
    session.close();
    await once(session, "close");
  }
});

test("a reset by the client cancels the call", async (t) => {
  const door = await openDoor(t);
  const peer = await RawPeer.start(door.port);
  peer.headers(1, grpcHeaders("/test.T/Talk"));
  peer.frame(FrameType.rstStream, 0, 1, u32(ErrorCode.cancel));
  peer.call(3, "/test.T/Echo", "x");
  await peer.answer(3);
  assert.deepEqual(door.seen.events, ["cancel"]);
  assert.equal(door.seen.streams[0]?.cancelled, true);
  assert.equal(door.seen.streams[0]?.write(Buffer.from("late")), false);
  peer.destroy();
});
