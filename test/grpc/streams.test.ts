// Stream calls: both directions, backlog, fairness, and every way they end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, credentials } from "@grpc/grpc-js";
import { ErrorCode, Flag, FrameType, Setting } from "../../src/http2/frames.ts";
import { ManualTimers } from "../http2/manualTimers.ts";
import { grpcHeaders, grpcMessage, RawPeer, setting, u32 } from "../http2/rawPeer.ts";
import { openDoor, pattern } from "../http2/testDoor.ts";

const { data } = FrameType;
const ended = (answer: { trailers: ReadonlyMap<string, string> }): string | undefined =>
  answer.trailers.get("grpc-status");

test("grpc-js: a conversation, then half-close", async (t) => {
  const door = await openDoor(t);
  const client = new Client(`127.0.0.1:${door.port}`, credentials.createInsecure());
  t.after(() => client.close());
  const same = (bytes: Buffer): Buffer => bytes;
  const stream = client.makeBidiStreamRequest("/test.T/Talk", same, same);
  const lengths = [0, 10, 20_000, 70_000, 1_000_000, 3];
  let next = 0;
  stream.write(pattern(lengths[next] ?? 0));
  for await (const message of stream) {
    assert.deepEqual(message, pattern(lengths[next] ?? 0));
    next += 1;
    if (next < lengths.length) stream.write(pattern(lengths[next] ?? 0));
    else stream.end();
  }
  assert.equal(next, lengths.length);
});

test("messages cut anywhere come out one by one", async (t) => {
  const door = await openDoor(t);
  const peer = await RawPeer.start(door.port);
  const messages = [0, 1, 5, 300, 2].map((length) => grpcMessage(pattern(length)));
  const bytes = Buffer.concat(messages);
  for (let step = 1; step < 12; step++) {
    const id = 2 * step - 1;
    peer.headers(id, grpcHeaders("/test.T/Talk"));
    for (let at = 0; at < bytes.length; at += step) peer.data(id, bytes.subarray(at, at + step));
    peer.data(id, Buffer.alloc(0), Flag.endStream);
    const answer = await peer.answer(id);
    assert.deepEqual([answer.body, ended(answer)], [bytes, "0"], `by ${step}`);
  }
  peer.destroy();
});

test("a long conversation never runs out of window, nor of what may be held", async (t) => {
  const door = await openDoor(t, {
    http2: { heldBytesPerConnectionMax: 50_000, lentBytesPerConnectionMax: 50_000 },
  });
  const peer = await RawPeer.start(door.port, [setting(Setting.initialWindowSize, 0x7fff_ffff)]);
  peer.window(0, 0x7000_0000);
  peer.headers(1, grpcHeaders("/test.T/Talk"));
  // Never at a message border with the end of a frame, 6 MB altogether.
  const bytes = Buffer.concat(Array.from({ length: 600 }, () => grpcMessage(pattern(10_000))));
  let window = 65_535;
  let answered = 0;
  for (let at = 0; at < bytes.length || answered < bytes.length; ) {
    const length = Math.min(9000, bytes.length - at, window, peer.connectionWindow);
    if (length > 0) {
      peer.data(1, bytes.subarray(at, at + length));
      at += length;
      window -= length;
      peer.connectionWindow -= length;
      continue;
    }
    const frame = await peer.next(() => true, "window or answer");
    if (frame.streamId !== 1) continue;
    if (frame.type === FrameType.windowUpdate) window += frame.payload.readUInt32BE(0);
    if (frame.type === data) answered += frame.payload.length;
  }
  peer.destroy();
});

test("write tells when to stop, onDrain when to go on; memory stays bounded", async (t) => {
  const door = await openDoor(t, { grpc: { streamBacklogBytesMax: 50_000 } });
  const peer = await RawPeer.start(door.port, [setting(Setting.initialWindowSize, 20_000)]);
  peer.window(0, 0x7000_0000);
  peer.headers(1, grpcHeaders("/test.T/Pour"));
  peer.data(1, grpcMessage("2000"));
  let received = 0;
  let backlogMax = 0;
  for (;;) {
    const frame = await peer.next(
      ({ streamId, type }) => streamId === 1 && type !== FrameType.windowUpdate,
      "more",
    );
    backlogMax = Math.max(backlogMax, door.seen.streams[0]?.backlogBytes ?? 0);
    if (frame.type === data) {
      received += frame.payload.length;
      peer.window(1, frame.payload.length);
    }
    if (frame.flags & Flag.endStream) break;
  }
  assert.equal(received, 2000 * 1005);
  assert.ok(backlogMax > 40_000 && backlogMax < 52_000, `backlog ${backlogMax}`);
  peer.destroy();
});

test("a stream that nobody reads slows neither its neighbours nor grows", async (t) => {
  const door = await openDoor(t, { grpc: { streamBacklogBytesMax: 50_000 } });
  const peer = await RawPeer.start(door.port, [setting(Setting.initialWindowSize, 5000)]);
  peer.window(0, 0x7000_0000);
  for (let id = 1; id < 21; id += 2) {
    peer.headers(id, grpcHeaders("/test.T/Pour"));
    peer.data(id, grpcMessage("100000"));
  }
  for (let id = 21; id < 61; id += 2) {
    peer.call(id, "/test.T/Echo", "quick");
    assert.deepEqual((await peer.answer(id)).body, grpcMessage("quick"));
  }
  for (const stream of door.seen.streams) assert.ok(stream.backlogBytes < 52_000);
  peer.destroy();
});

test("a client that only asks and never takes is given no more window", async (t) => {
  const door = await openDoor(t, { grpc: { streamBacklogBytesMax: 10_000 } });
  const peer = await RawPeer.start(door.port, [setting(Setting.initialWindowSize, 0)]);
  peer.headers(1, grpcHeaders("/test.T/Talk"));
  let window = 65_535;
  const message = grpcMessage(pattern(1000));
  for (; window >= message.length; window -= message.length) peer.data(1, message);
  peer.call(3, "/test.T/Refuse", "");
  const frames: number[] = [];
  await peer.next((frame) => {
    if (frame.type === FrameType.windowUpdate && frame.streamId === 1) frames.push(frame.type);
    return frame.streamId === 3 && (frame.flags & Flag.endStream) !== 0;
  }, "the neighbour");
  assert.deepEqual(frames, []);
  // Taking it all opens the window again.
  peer.window(1, 1_000_000);
  await peer.next(
    ({ type, streamId }) => type === FrameType.windowUpdate && streamId === 1,
    "window",
  );
  assert.ok(door.seen.events.includes("drain"));
  peer.destroy();
});

test("ways to end", async (t) => {
  const timers = new ManualTimers();
  const door = await openDoor(t, { timers });
  const peer = await RawPeer.start(door.port);
  const rows = [
    {
      why: "truncated",
      body: Buffer.from([0, 0, 0]),
      flags: Flag.endStream,
      status: "13",
      events: ["cancel"],
    },
    {
      why: "too large",
      body: Buffer.concat([Buffer.from([0]), u32(3_000_000)]),
      flags: 0,
      status: "8",
      events: ["cancel"],
    },
    {
      why: "compressed",
      body: Buffer.from([1, 0, 0, 0, 0]),
      flags: 0,
      status: "13",
      events: ["cancel"],
    },
    { why: "half-close", body: Buffer.alloc(0), flags: Flag.endStream, status: "0", events: [] },
  ];
  let id = 1;
  for (const { why, body, flags, status, events } of rows) {
    door.seen.events.length = 0;
    peer.headers(id, grpcHeaders("/test.T/Talk"));
    peer.data(id, body, flags);
    assert.equal(ended(await peer.answer(id)), status, why);
    assert.deepEqual(door.seen.events, events, why);
    id += 2;
  }
  peer.headers(id, grpcHeaders("/test.T/Talk"), Flag.endStream);
  assert.equal(ended(await peer.answer(id)), "0", "ended by its headers");
});

test("a deadline ends a stream at once, backlog or not", async (t) => {
  const timers = new ManualTimers();
  const door = await openDoor(t, { timers });
  const peer = await RawPeer.start(door.port, [setting(Setting.initialWindowSize, 0)]);
  peer.headers(1, grpcHeaders("/test.T/Pour", [["grpc-timeout", "1S"]]));
  peer.data(1, grpcMessage("10000"));
  await peer.next(({ type, streamId }) => type === FrameType.headers && streamId === 1, "the head");
  timers.advance(1010);
  const trailers = await peer.next(({ type }) => type === FrameType.headers, "the end");
  assert.equal(trailers.fields?.get("grpc-status"), "4");
  assert.equal(await peer.resetOf(1), ErrorCode.noError);
  assert.deepEqual(door.seen.events, ["cancel"]);
  peer.destroy();
});

test("a bug in a handler is reported, and ends only its stream", async (t) => {
  const door = await openDoor(t);
  const peer = await RawPeer.start(door.port);
  peer.headers(1, grpcHeaders("/test.T/Trip"));
  peer.data(1, Buffer.concat([grpcMessage("x"), grpcMessage("y")]));
  assert.equal(await peer.resetOf(1), ErrorCode.internalError);
  assert.equal(door.seen.mistakes.length, 1);
  peer.call(3, "/test.T/Echo", "next");
  assert.deepEqual((await peer.answer(3)).body, grpcMessage("next"));
  peer.destroy();
});

test("more than may be queued ends the stream with RESOURCE_EXHAUSTED", async (t) => {
  const door = await openDoor(t, { http2: { queuedBytesPerConnectionMax: 100_000 } });
  const peer = await RawPeer.start(door.port, [setting(Setting.initialWindowSize, 0)]);
  peer.headers(1, grpcHeaders("/test.T/Pour"));
  peer.data(1, grpcMessage("1000"));
  // Without a bound the stream would wait for window: what is asked behind it is answered in any case.
  peer.call(3, "/test.T/Echo", "behind");
  assert.equal((await peer.heads(3)).get(1)?.get("grpc-status"), "8");
  assert.deepEqual(door.seen.events, ["cancel"]);
  peer.destroy();
});
