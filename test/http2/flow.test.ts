// Windows in both directions, and clients that do not read.
import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { type TestContext, test } from "node:test";
import { Connection } from "../../src/http2/connection.ts";
import { connectionPreface, ErrorCode, Flag, FrameType, Setting } from "../../src/http2/frames.ts";
import type { Pair } from "./hpackEncoder.ts";
import { ManualTimers } from "./manualTimers.ts";
import { connectionHost } from "./memoryHost.ts";
import { frameBytes, grpcHeaders, grpcMessage, RawPeer, setting, u32 } from "./rawPeer.ts";
import { openDoor, pattern } from "./testDoor.ts";

const { data, headers, windowUpdate } = FrameType;
const mib = 1 << 20;

const initialWindow = (bytes: number): Buffer => setting(Setting.initialWindowSize, bytes);

/** Reads one answer, giving back `stepBytes` on stream and connection for each DATA frame. */
async function drink(
  peer: RawPeer,
  id: number,
  stepBytes: (frame: number) => number,
): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (;;) {
    const frame = await peer.next(({ streamId }) => streamId === id, `more of ${id}`);
    if (frame.type === data) {
      parts.push(frame.payload);
      assert.ok(frame.payload.length <= stepBytes(parts.length - 1), "beyond the window");
      peer.window(id, stepBytes(parts.length));
      peer.window(0, frame.payload.length);
    }
    if (frame.flags & Flag.endStream) return Buffer.concat(parts);
  }
}

test("an answer of 1 MiB fits through a window of 7 bytes, later of 5,000", async (t) => {
  const { port } = await openDoor(t);
  const peer = await RawPeer.start(port, [initialWindow(7)]);
  peer.call(1, "/test.T/Big", `${mib}`);
  const body = await drink(peer, 1, (frame) => (frame < 50 ? 7 : 5000));
  assert.deepEqual(body, grpcMessage(pattern(mib)));
  peer.destroy();
});

test("an answer in parts is the same bytes, through windows of any size", async (t) => {
  const { port } = await openDoor(t);
  const peer = await RawPeer.start(port, [initialWindow(7)]);
  peer.call(1, "/test.T/Parts", `${mib}`);
  const body = await drink(peer, 1, (frame) => (frame < 50 ? 7 : 5000));
  assert.deepEqual(body, grpcMessage(pattern(mib)));
  peer.call(3, "/test.T/Parts", "0");
  peer.window(3, 20_000);
  peer.window(0, mib);
  assert.deepEqual((await peer.answer(3)).body, grpcMessage(""));
  peer.destroy();
});

test("an initial window that shrinks makes open windows negative (RFC 9113, 6.9.2)", async (t) => {
  const { port } = await openDoor(t);
  const peer = await RawPeer.start(port, [initialWindow(1000)]);
  peer.call(1, "/test.T/Big", "3000");
  const first = await peer.next(({ type }) => type === data, "DATA");
  assert.equal(first.payload.length, 1000);
  peer.frame(FrameType.settings, 0, 0, initialWindow(100));
  // 100 - 1000 + 900 = 0: not a byte yet. The reply to PING comes after all that would come.
  peer.window(1, 900);
  peer.frame(FrameType.ping, 0, 0, Buffer.alloc(8));
  const before = await peer.next(({ type }) => type === data || type === FrameType.ping, "PING");
  assert.equal(before.type, FrameType.ping);
  peer.window(1, 11);
  assert.equal((await peer.next(({ type }) => type === data, "DATA")).payload.length, 11);
  peer.frame(FrameType.settings, 0, 0, initialWindow(10_000));
  const rest = await peer.next(({ type }) => type === data, "DATA");
  assert.equal(rest.payload.length, 3005 - 1011);
  peer.destroy();
});

test("an initial window that pushes an open window beyond 2^31-1 ends the connection", async (t) => {
  const { port } = await openDoor(t);
  const peer = await RawPeer.start(port);
  peer.headers(1, grpcHeaders("/test.T/Hang"));
  peer.window(1, 0x7fff_ffff - 65_535);
  peer.frame(FrameType.settings, 0, 0, initialWindow(65_536));
  assert.equal((await peer.goaway()).code, ErrorCode.flowControlError);
});

test("the connection's window is shared in turns", async (t) => {
  const { port } = await openDoor(t);
  const peer = await RawPeer.start(port, [initialWindow(mib)]);
  peer.call(1, "/test.T/Big", "200000");
  peer.call(3, "/test.T/Big", "200000");
  const sent = new Map<number, number>();
  for (let total = 0; total < 65_535; ) {
    const { streamId, payload } = await peer.next(({ type }) => type === data, "DATA");
    sent.set(streamId, (sent.get(streamId) ?? 0) + payload.length);
    total += payload.length;
  }
  const [a = 0, b = 0] = [sent.get(1), sent.get(3)];
  assert.ok(Math.abs(a - b) <= 16_384, `${a} and ${b} of the window`);
  peer.destroy();
});

test("a short answer does not overtake a long one that waits for the connection's window", async (t) => {
  const { port } = await openDoor(t);
  const peer = await RawPeer.start(port, [initialWindow(mib)]);
  peer.call(1, "/test.T/Big", "200000");
  for (let total = 0; total < 65_535; ) {
    total += (await peer.next(({ type }) => type === data, "DATA")).payload.length;
  }
  // In one write, so that window and request are read in one turn.
  peer.socket.cork();
  peer.window(0, 100);
  peer.call(3, "/test.T/Echo", pattern(95));
  peer.socket.uncork();
  assert.equal((await peer.next(({ type }) => type === data, "DATA")).streamId, 1);
  peer.window(0, 40_000);
  assert.deepEqual((await peer.answer(3)).body, grpcMessage(pattern(95)));
  peer.destroy();
});

test("the last bytes of the connection's window are not overdrawn", async (t) => {
  const { port } = await openDoor(t);
  const peer = await RawPeer.start(port, [initialWindow(mib)]);
  peer.call(1, "/test.T/Big", `${65_535 - 5 - 100}`);
  await peer.answer(1);
  peer.call(3, "/test.T/Echo", pattern(1000));
  assert.equal((await peer.next(({ type }) => type === data, "DATA")).payload.length, 100);
  peer.window(0, 10_000);
  assert.equal((await peer.next(({ type }) => type === data, "DATA")).payload.length, 905);
  peer.destroy();
});

test("a closed stream window blocks only its stream", async (t) => {
  const { port } = await openDoor(t);
  const peer = await RawPeer.start(port, [initialWindow(10)]);
  peer.window(0, mib);
  peer.call(1, "/test.T/Big", "100000");
  for (let id = 3; id < 41; id += 2) {
    peer.call(id, "/test.T/Echo", "tiny");
    assert.deepEqual(
      (await peer.answer(id)).body,
      grpcMessage("tiny"),
      `beside a stalled one: ${id}`,
    );
  }
  peer.destroy();
});

test("a message of 2 MiB comes in without the client asking, and the windows come back", async (t) => {
  const { port } = await openDoor(t);
  const peer = await RawPeer.start(port, [initialWindow(4 * mib)]);
  peer.window(0, 64 * mib);
  const message = grpcMessage(pattern(2 * mib));
  for (let id = 1; id < 13; id += 2) {
    await sendWithin(peer, id, message);
    assert.deepEqual((await peer.answer(id)).body, message, `message ${id}`);
  }
  peer.destroy();
});

/** Sends one Echo request as fast as the door's windows allow. */
async function sendWithin(peer: RawPeer, id: number, message: Buffer): Promise<void> {
  peer.headers(id, grpcHeaders("/test.T/Echo"));
  let streamWindow = 65_535;
  for (let at = 0; at < message.length; ) {
    const length = Math.min(16_384, message.length - at, streamWindow, peer.connectionWindow);
    if (length > 0) {
      const ended = at + length === message.length;
      peer.data(id, message.subarray(at, at + length), ended ? Flag.endStream : 0);
      at += length;
      streamWindow -= length;
      peer.connectionWindow -= length;
    } else {
      const { streamId, payload } = await peer.next(({ type }) => type === windowUpdate, "window");
      if (streamId === id) streamWindow += payload.readUInt32BE(0);
    }
  }
}

test("long messages beyond what may be lent wait for each other, and all arrive", async (t) => {
  const { port } = await openDoor(t, { http2: { lentBytesPerConnectionMax: 300_000 } });
  const peer = await RawPeer.start(port, [initialWindow(4 * mib)]);
  peer.window(0, 64 * mib);
  const message = grpcMessage(pattern(250_000));
  const streams = new Map<number, { at: number; window: number }>();
  for (let id = 1; id < 21; id += 2) {
    peer.headers(id, grpcHeaders("/test.T/Echo"));
    streams.set(id, { at: 0, window: 65_535 });
  }
  const pour = (): void => {
    for (const [id, stream] of streams) {
      while (stream.window > 0 && stream.at < message.length) {
        const length = Math.min(16_384, stream.window, message.length - stream.at);
        const ended = stream.at + length === message.length;
        peer.data(id, message.subarray(stream.at, stream.at + length), ended ? Flag.endStream : 0);
        stream.at += length;
        stream.window -= length;
      }
    }
  };
  pour();
  for (let done = 0; done < 10; ) {
    const { type, streamId, flags, payload } = await peer.next(() => true, "progress");
    const stream = streams.get(streamId);
    if (type === windowUpdate && stream !== undefined) stream.window += payload.readUInt32BE(0);
    if (type === headers && flags & Flag.endStream) done += 1;
    pour();
  }
  peer.destroy();
});

test("a stream that goes away while it waits for a loan lets the next one have it", async (t) => {
  const { port } = await openDoor(t, { http2: { lentBytesPerConnectionMax: 1_000_000 } });
  const peer = await RawPeer.start(port);
  const claim = (id: number, bytes: number): void => {
    peer.headers(id, grpcHeaders("/test.T/Hang"));
    peer.data(id, Buffer.concat([Buffer.from([0]), u32(bytes)]));
  };
  claim(1, 700_000);
  claim(3, 700_000);
  claim(5, 100_000);
  peer.frame(FrameType.rstStream, 0, 3, u32(ErrorCode.cancel));
  const lent: number[] = [];
  await peer.next(({ type, streamId }) => {
    if (type === windowUpdate && streamId > 0) lent.push(streamId);
    return streamId === 5;
  }, "the loan of 5");
  assert.deepEqual(lent, [1, 5]);
  peer.destroy();
});

test("unfinished messages are bounded by refusal", async (t) => {
  const { port } = await openDoor(t, { http2: { heldBytesPerConnectionMax: 100_000 } });
  const peer = await RawPeer.start(port);
  for (let id = 1; id < 15; id += 2) {
    peer.headers(id, grpcHeaders("/test.T/Echo"));
    peer.data(id, Buffer.concat([Buffer.from([0]), u32(60_000), Buffer.alloc(16_000)]));
  }
  // Without a bound nothing is said on 13: what is asked behind it is answered in any case.
  peer.call(15, "/test.T/Echo", "behind");
  assert.equal((await peer.heads(15)).get(13)?.get("grpc-status"), "8");
  peer.destroy();
});

for (const path of ["/test.T/Big", "/test.T/Parts"]) {
  test(`answers that nobody gives window for are bounded by refusal, and the room comes back: ${path}`, async (t) => {
    const { port } = await openDoor(t, { http2: { queuedBytesPerConnectionMax: 2 * mib } });
    const peer = await RawPeer.start(port, [initialWindow(0)]);
    peer.window(0, 64 * mib);
    for (let id = 1; id < 7; id += 2) peer.call(id, path, `${mib - 5}`);
    assert.equal((await peer.heads(5)).get(5)?.get("grpc-status"), "8");
    peer.frame(FrameType.rstStream, 0, 1, u32(ErrorCode.cancel));
    peer.call(7, path, `${mib - 5}`);
    await peer.next(({ type, streamId }) => type === headers && streamId === 7, "the head");
    peer.window(7, mib);
    assert.equal((await peer.next(({ type }) => type === data, "DATA")).streamId, 7);
    peer.destroy();
  });
}

/** A door whose time the test moves, and a peer with two answers of a mebibyte queued, no more fit. */
async function unread(
  t: TestContext,
  more: readonly Pair[] = [],
): Promise<{ peer: RawPeer; timers: ManualTimers }> {
  const timers = new ManualTimers();
  const http2 = { queuedBytesPerConnectionMax: 2 * mib, answerStallMsMax: 10_000 };
  const { port } = await openDoor(t, { timers, http2 });
  const peer = await RawPeer.start(port, [initialWindow(0)]);
  peer.window(0, 64 * mib);
  for (const id of [1, 3, 5]) peer.call(id, "/test.T/Big", `${mib - 5}`, more);
  const heads = await peer.heads(5);
  assert.deepEqual(
    [1, 3, 5].map((id) => heads.get(id)?.get("grpc-status")),
    [undefined, undefined, "8"],
  );
  return { peer, timers };
}

test("an answer that is not read by the deadline of its call is dropped, and the room comes back", async (t) => {
  const { peer, timers } = await unread(t, [["grpc-timeout", "5S"]]);
  timers.advance(4_000);
  peer.call(7, "/test.T/Big", `${mib - 5}`);
  assert.equal((await peer.heads(7)).get(7)?.get("grpc-status"), "8", "too early");
  timers.advance(3_000);
  peer.call(9, "/test.T/Big", `${2 * mib - 5}`);
  const frames = await peer.upTo(9);
  const { rstStream } = FrameType;
  assert.deepEqual(
    frames.flatMap(({ type, streamId, payload }) =>
      type === rstStream ? [[streamId, payload.readUInt32BE(0)]] : [],
    ),
    [1, 3].map((id) => [id, ErrorCode.cancel]),
  );
  assert.equal(frames.at(-1)?.fields?.get("grpc-status"), undefined);
  peer.window(9, mib);
  assert.equal((await peer.next(({ type }) => type === data, "DATA")).streamId, 9);
  peer.destroy();
});

test("an answer without a deadline is dropped when its reader gives no window for long", async (t) => {
  const { peer, timers } = await unread(t);
  const dropped: number[] = [];
  // The reader of 3 is slow, that of 1 is gone. Echoes are answered in any case.
  for (let id = 7; id < 19; id += 2) {
    timers.advance(5_000);
    peer.window(3, 1_000);
    peer.call(id, "/test.T/Echo", "behind");
    peer.window(id, 100);
    for (const { type, streamId, payload } of await peer.upTo(id)) {
      if (type === FrameType.rstStream) dropped.push(streamId, payload.readUInt32BE(0));
    }
  }
  assert.deepEqual(dropped, [1, ErrorCode.enhanceYourCalm]);
  peer.call(19, "/test.T/Big", `${mib - 5}`);
  assert.equal((await peer.heads(19)).get(19)?.get("grpc-status"), undefined, "there is room");
  peer.window(3, mib);
  const end = await peer.next(({ flags }) => (flags & Flag.endStream) !== 0, "the end of 3");
  assert.equal(end.streamId, 3);
  peer.destroy();
});

test("a client that does not read its socket is no longer read, then closed; others are served", async (t) => {
  const timers = new ManualTimers();
  const limits = { outputBytesHigh: 64_000, outputBytesMax: 128_000, stallMsMax: 5000 };
  const { port, seen } = await openDoor(t, { timers, http2: limits });
  const deaf = await RawPeer.start(port, [initialWindow(0x7fff_ffff)]);
  await deaf.next(({ type, flags }) => type === FrameType.settings && flags === Flag.ack, "ack");
  deaf.socket.pause();
  deaf.window(0, 0x7000_0000);
  const healthy = await RawPeer.start(port);
  // Large enough for any socket buffers in between.
  for (let id = 1; id < 81; id += 2) deaf.call(id, "/test.T/Big", `${mib}`);
  deaf.headers(81, grpcHeaders("/test.T/Talk"));
  let id = 1;
  // Time moves with each answer to the healthy peer, until the deaf one is given up.
  while (!seen.events.includes("cancel")) {
    healthy.call(id, "/test.T/Echo", "hello");
    assert.deepEqual((await healthy.answer(id)).body, grpcMessage("hello"));
    id += 2;
    timers.advance(1000);
    assert.ok(id < 10_000, "the deaf client is still there");
  }
  healthy.call(id, "/test.T/Echo", "after");
  assert.deepEqual((await healthy.answer(id)).body, grpcMessage("after"));
  deaf.destroy();
  healthy.destroy();
});

test("a connection whose socket takes nothing is not read until it has taken all", async () => {
  const taken: (() => void)[] = [];
  const socket = new Duplex({
    read() {},
    write: (_chunk, _encoding, done) => void taken.push(done),
  });
  const limits = { ...connectionHost().limits, outputBytesMax: 1000 };
  const connection = new Connection(socket, { ...connectionHost(), limits });
  connection.start(
    Buffer.concat([connectionPreface, frameBytes(FrameType.settings, 0, 0, u32(0).subarray(4))]),
  );
  connection.flush();
  const pings = (count: number): boolean => {
    const pinged = Array<Buffer>(count).fill(frameBytes(FrameType.ping, 0, 0, Buffer.alloc(8)));
    return socket.emit("data", Buffer.concat(pinged));
  };
  pings(50);
  assert.equal(socket.isPaused(), false, "850 bytes wait");
  pings(10);
  assert.equal(socket.isPaused(), true, "1,020 bytes wait");
  taken.shift()?.();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(socket.isPaused(), false, "the socket took all it had");
  connection.destroy();
});

test("a client that reads slowly gets all of it, framed in bounded portions", async (t) => {
  const { port } = await openDoor(t, { http2: { outputBytesHigh: 32_768 } });
  const peer = await RawPeer.start(port, [initialWindow(0x7fff_ffff)]);
  peer.window(0, 0x7000_0000);
  peer.socket.pause();
  for (let id = 1; id < 21; id += 2) peer.call(id, "/test.T/Big", `${mib}`);
  peer.socket.resume();
  const bodies = new Map<number, number>();
  for (let ended = 0; ended < 10; ) {
    const frame = await peer.next(({ type }) => type === data || type === headers, "more");
    if (frame.type === data) {
      bodies.set(frame.streamId, (bodies.get(frame.streamId) ?? 0) + frame.payload.length);
    } else if (frame.flags & Flag.endStream) ended += 1;
  }
  assert.deepEqual(new Set(bodies.values()), new Set([mib + 5]));
  peer.destroy();
});
