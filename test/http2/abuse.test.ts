// What hostile or broken peers send, and how each of them ends while another is served as before.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { connectionPreface, ErrorCode, Flag, FrameType, Setting } from "../../src/http2/frames.ts";
import { integerBytes, type Pair, textBytes } from "./hpackEncoder.ts";
import {
  frameBytes,
  grpcHeaders,
  grpcMessage,
  headerBlock,
  RawPeer,
  setting,
  u32,
} from "./rawPeer.ts";
import { openDoor, openLastingDoor, type TestDoor } from "./testDoor.ts";

const { data, headers, continuation, priority, rstStream, settings, pushPromise, ping, goaway } =
  FrameType;
const { windowUpdate } = FrameType;
const { endHeaders, endStream, padded } = Flag;
const { protocolError, flowControlError, frameSizeError, enhanceYourCalm } = ErrorCode;
const { streamClosed, compressionError, refusedStream } = ErrorCode;

let door: TestDoor;
let healthy: RawPeer;
let healthyId = 1;

before(async () => {
  door = await openLastingDoor({
    http2: {
      streamsPerConnectionMax: 50,
      resetsBurstMax: 100,
      idleFramesBurstMax: 1000,
      continuationFramesMax: 8,
      lentBytesPerConnectionMax: 100_000,
    },
  });
  healthy = await RawPeer.start(door.port);
});

after(async () => {
  healthy.destroy();
  await door.close();
});

async function assertHealthy(): Promise<void> {
  healthy.call(healthyId, "/test.T/Echo", "still here");
  const { body, trailers } = await healthy.answer(healthyId);
  assert.deepEqual(body, grpcMessage("still here"));
  assert.equal(trailers.get("grpc-status"), "0");
  healthyId += 2;
}

const zeros = (length: number): Buffer => Buffer.alloc(length);
const many = (count: number, bytes: Buffer): Buffer =>
  Buffer.concat(Array<Buffer>(count).fill(bytes));
const hang = grpcHeaders("/test.T/Hang");
const hangFrame = (id: number, flags = 0): Buffer =>
  frameBytes(headers, endHeaders | flags, id, hang);
const echo = (id: number): Buffer =>
  Buffer.concat([
    frameBytes(headers, endHeaders, id, grpcHeaders("/test.T/Echo")),
    frameBytes(data, endStream, id, grpcMessage("x")),
  ]);
const insertLong = Buffer.from([
  0x40,
  ...textBytes("a", false),
  ...textBytes("b".repeat(4000), false),
]);
const indexed = (count: number): Buffer => Buffer.alloc(count, 0xbe);

const connectionRows: readonly {
  readonly why: string;
  readonly send: Buffer;
  readonly code: number;
}[] = [
  {
    why: "a frame of 16,385 bytes",
    send: frameBytes(data, 0, 1, zeros(16_385)),
    code: frameSizeError,
  },
  {
    why: "a frame that claims 16 MiB",
    send: Buffer.from("ffffff000000000001", "hex"),
    code: frameSizeError,
  },
  {
    why: "HEADERS on stream 0",
    send: frameBytes(headers, endHeaders, 0, hang),
    code: protocolError,
  },
  { why: "HEADERS on an even stream", send: hangFrame(2), code: protocolError },
  {
    why: "a smaller id that was never used",
    send: Buffer.concat([hangFrame(5), hangFrame(3)]),
    code: protocolError,
  },
  { why: "DATA on stream 0", send: frameBytes(data, 0, 0, zeros(1)), code: protocolError },
  { why: "DATA on an idle stream", send: frameBytes(data, 0, 7, zeros(1)), code: protocolError },
  {
    why: "RST_STREAM on an idle stream",
    send: frameBytes(rstStream, 0, 7, u32(8)),
    code: protocolError,
  },
  { why: "RST_STREAM on stream 0", send: frameBytes(rstStream, 0, 0, u32(8)), code: protocolError },
  {
    why: "RST_STREAM of 3 bytes",
    send: frameBytes(rstStream, 0, 1, zeros(3)),
    code: frameSizeError,
  },
  {
    why: "WINDOW_UPDATE on an idle stream",
    send: frameBytes(windowUpdate, 0, 7, u32(1)),
    code: protocolError,
  },
  {
    why: "WINDOW_UPDATE of 3 bytes",
    send: frameBytes(windowUpdate, 0, 0, zeros(3)),
    code: frameSizeError,
  },
  { why: "WINDOW_UPDATE of 0", send: frameBytes(windowUpdate, 0, 0, u32(0)), code: protocolError },
  {
    why: "a connection window beyond 2^31-1",
    send: frameBytes(windowUpdate, 0, 0, u32(0x7fff_ffff)),
    code: flowControlError,
  },
  { why: "SETTINGS on a stream", send: frameBytes(settings, 0, 1, zeros(0)), code: protocolError },
  { why: "SETTINGS of 5 bytes", send: frameBytes(settings, 0, 0, zeros(5)), code: frameSizeError },
  {
    why: "an acknowledgement with a payload",
    send: frameBytes(settings, Flag.ack, 0, zeros(6)),
    code: frameSizeError,
  },
  {
    why: "ENABLE_PUSH of 2",
    send: frameBytes(settings, 0, 0, setting(Setting.enablePush, 2)),
    code: protocolError,
  },
  {
    why: "an initial window of 2^31",
    send: frameBytes(settings, 0, 0, setting(Setting.initialWindowSize, 2 ** 31)),
    code: flowControlError,
  },
  {
    why: "MAX_FRAME_SIZE of 16,383",
    send: frameBytes(settings, 0, 0, setting(Setting.maxFrameSize, 16_383)),
    code: protocolError,
  },
  {
    why: "MAX_FRAME_SIZE of 2^24",
    send: frameBytes(settings, 0, 0, setting(Setting.maxFrameSize, 2 ** 24)),
    code: protocolError,
  },
  { why: "PING on a stream", send: frameBytes(ping, 0, 1, zeros(8)), code: protocolError },
  { why: "PING of 7 bytes", send: frameBytes(ping, 0, 0, zeros(7)), code: frameSizeError },
  { why: "GOAWAY of 7 bytes", send: frameBytes(goaway, 0, 0, zeros(7)), code: frameSizeError },
  { why: "PRIORITY on stream 0", send: frameBytes(priority, 0, 0, zeros(5)), code: protocolError },
  {
    why: "PUSH_PROMISE",
    send: frameBytes(pushPromise, endHeaders, 1, zeros(4)),
    code: protocolError,
  },
  {
    why: "CONTINUATION out of the blue",
    send: frameBytes(continuation, endHeaders, 1, zeros(0)),
    code: protocolError,
  },
  {
    why: "PING inside a header block",
    send: Buffer.concat([frameBytes(headers, 0, 1, hang), frameBytes(ping, 0, 0, zeros(8))]),
    code: protocolError,
  },
  {
    why: "CONTINUATION of another stream",
    send: Buffer.concat([
      frameBytes(headers, 0, 1, hang),
      frameBytes(continuation, endHeaders, 3, zeros(0)),
    ]),
    code: protocolError,
  },
  {
    why: "padding longer than its frame",
    send: frameBytes(headers, endHeaders | padded, 1, Buffer.from([200, 0x82])),
    code: protocolError,
  },
  {
    why: "priority fields cut off",
    send: frameBytes(headers, endHeaders | Flag.priority, 1, zeros(4)),
    code: protocolError,
  },
  {
    why: "an invalid header block",
    send: frameBytes(headers, endHeaders, 1, Buffer.from([0xff, 0x00])),
    code: compressionError,
  },
  {
    why: "HEADERS on a stream that both sides ended",
    send: Buffer.concat([echo(1), hangFrame(1)]),
    code: streamClosed,
  },
  {
    why: "CONTINUATION without an end",
    send: Buffer.concat([
      frameBytes(headers, 0, 1, hang),
      many(100, frameBytes(continuation, 0, 1, zeros(0))),
    ]),
    code: enhanceYourCalm,
  },
  {
    why: "a header block of 80 KiB",
    send: Buffer.concat([
      frameBytes(headers, 0, 1, hang),
      many(5, frameBytes(continuation, 0, 1, indexed(16_384))),
    ]),
    code: enhanceYourCalm,
  },
  {
    why: "a flood of PINGs",
    send: many(1100, frameBytes(ping, 0, 0, zeros(8))),
    code: enhanceYourCalm,
  },
  {
    why: "a flood of SETTINGS",
    send: many(30, frameBytes(settings, 0, 0, zeros(0))),
    code: enhanceYourCalm,
  },
  {
    why: "a flood of acknowledgements",
    send: many(1100, frameBytes(settings, Flag.ack, 0, zeros(0))),
    code: enhanceYourCalm,
  },
  {
    why: "a flood of PRIORITY",
    send: many(1100, frameBytes(priority, 0, 9, zeros(5))),
    code: enhanceYourCalm,
  },
  {
    why: "a flood of WINDOW_UPDATE",
    send: many(1100, frameBytes(windowUpdate, 0, 0, u32(1))),
    code: enhanceYourCalm,
  },
  {
    why: "a flood of unknown frames",
    send: many(1100, frameBytes(0xbe, 0, 0, zeros(3))),
    code: enhanceYourCalm,
  },
  {
    why: "a flood of empty DATA",
    send: Buffer.concat([hangFrame(1), many(1100, frameBytes(data, 0, 1, zeros(0)))]),
    code: enhanceYourCalm,
  },
  {
    why: "a flood of DATA that is only padding",
    send: Buffer.concat([
      hangFrame(1),
      many(1100, frameBytes(data, padded, 1, Buffer.from([2, 0, 0]))),
    ]),
    code: enhanceYourCalm,
  },
  {
    why: "rapid reset",
    send: Buffer.concat(
      Array.from({ length: 120 }, (_, i) =>
        Buffer.concat([hangFrame(2 * i + 1), frameBytes(rstStream, 0, 2 * i + 1, u32(8))]),
      ),
    ),
    code: enhanceYourCalm,
  },
  {
    why: "rapid refusals",
    send: Buffer.concat(
      Array.from({ length: 120 }, (_, i) =>
        frameBytes(headers, endHeaders, 2 * i + 1, headerBlock([["X", ""]])),
      ),
    ),
    code: enhanceYourCalm,
  },
];

for (const { why, send, code } of connectionRows) {
  test(`the connection ends: ${why}`, async () => {
    const peer = await RawPeer.start(door.port);
    peer.send(send);
    assert.equal((await peer.goaway()).code, code);
    await peer.closed();
    await assertHealthy();
  });
}

const malformed = (pairs: readonly Pair[]): Buffer =>
  frameBytes(headers, endHeaders, 1, headerBlock(pairs));
const good: readonly Pair[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/test.T/Hang"],
  ["content-type", "application/grpc"],
];

const streamRows: readonly {
  readonly why: string;
  readonly send: Buffer;
  readonly code: number;
}[] = [
  {
    why: "a stream window beyond 2^31-1",
    send: Buffer.concat([hangFrame(1), frameBytes(windowUpdate, 0, 1, u32(0x7fff_ffff))]),
    code: flowControlError,
  },
  {
    why: "WINDOW_UPDATE of 0 on a stream",
    send: Buffer.concat([hangFrame(1), frameBytes(windowUpdate, 0, 1, u32(0))]),
    code: protocolError,
  },
  {
    why: "DATA after END_STREAM",
    send: Buffer.concat([
      hangFrame(1),
      frameBytes(data, endStream, 1, grpcMessage("")),
      frameBytes(data, 0, 1, zeros(1)),
    ]),
    code: streamClosed,
  },
  {
    why: "HEADERS after END_STREAM",
    send: Buffer.concat([
      hangFrame(1),
      frameBytes(data, endStream, 1, grpcMessage("")),
      hangFrame(1, endStream),
    ]),
    code: streamClosed,
  },
  {
    why: "DATA on a stream that both sides ended",
    send: Buffer.concat([echo(1), frameBytes(data, 0, 1, zeros(1))]),
    code: streamClosed,
  },
  {
    why: "trailers that do not end the stream",
    send: Buffer.concat([
      hangFrame(1),
      frameBytes(headers, endHeaders, 1, headerBlock([["a", "b"]])),
    ]),
    code: protocolError,
  },
  {
    why: "trailers with a pseudo-header",
    send: Buffer.concat([
      hangFrame(1),
      frameBytes(headers, endHeaders | endStream, 1, headerBlock([[":path", "/"]])),
    ]),
    code: protocolError,
  },
  {
    why: "PRIORITY of 4 bytes",
    send: Buffer.concat([hangFrame(1), frameBytes(priority, 0, 1, zeros(4))]),
    code: frameSizeError,
  },
  { why: "an upper-case name", send: malformed([...good, ["X-Y", "z"]]), code: protocolError },
  {
    why: "a connection header",
    send: malformed([...good, ["connection", "close"]]),
    code: protocolError,
  },
  {
    why: "a line break in a value",
    send: malformed([...good, ["a", "b\r\nc: d"]]),
    code: protocolError,
  },
  {
    why: "no :path",
    send: malformed(good.filter(([name]) => name !== ":path")),
    code: protocolError,
  },
  {
    why: "an empty :path",
    send: malformed([...good.slice(0, 2), [":path", ""]]),
    code: protocolError,
  },
  { why: ":path twice", send: malformed([[":path", "/"], ...good]), code: protocolError },
  {
    why: "an unknown pseudo-header",
    send: malformed([[":status", "200"], ...good]),
    code: protocolError,
  },
  {
    why: "a pseudo-header behind a header",
    send: malformed([["a", "b"], ...good]),
    code: protocolError,
  },
  {
    why: "a list of 4 MB in 1 KB of block",
    send: frameBytes(headers, endHeaders, 1, Buffer.concat([hang, insertLong, indexed(1000)])),
    code: enhanceYourCalm,
  },
];

for (const { why, send, code } of streamRows) {
  test(`only the stream ends: ${why}`, async () => {
    const peer = await RawPeer.start(door.port);
    peer.send(send);
    assert.equal(await peer.resetOf(1), code);
    peer.call(3, "/test.T/Echo", "same connection");
    assert.deepEqual((await peer.answer(3)).body, grpcMessage("same connection"));
    await assertHealthy();
    peer.destroy();
  });
}

test("streams beyond the limit are refused, and served again when others end", async () => {
  const peer = await RawPeer.start(door.port);
  for (let i = 0; i < 51; i++) peer.headers(2 * i + 1, hang);
  assert.equal(await peer.resetOf(101), refusedStream);
  peer.frame(rstStream, 0, 1, u32(ErrorCode.cancel));
  peer.call(103, "/test.T/Echo", "room");
  assert.deepEqual((await peer.answer(103)).body, grpcMessage("room"));
  peer.destroy();
});

test("frames for a stream that we reset are ignored, yet count for window and table", async () => {
  const peer = await RawPeer.start(door.port);
  peer.headers(1, hang);
  peer.window(1, 0);
  assert.equal(await peer.resetOf(1), protocolError);
  peer.data(1, zeros(1000));
  // Trailers with an insertion: the next request names it by index.
  const insert = Buffer.from([
    0x40,
    ...textBytes("content-type", false),
    ...textBytes("application/grpc", false),
  ]);
  peer.headers(1, insert, endStream);
  const block = headerBlock([
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/test.T/Echo"],
  ]);
  peer.headers(3, Buffer.concat([block, Buffer.from(integerBytes(62, 0x80, 7))]));
  peer.data(3, grpcMessage("in step"), endStream);
  assert.deepEqual((await peer.answer(3)).body, grpcMessage("in step"));
  peer.destroy();
});

test("DATA beyond the stream's window: only the stream pays", async () => {
  const peer = await RawPeer.start(door.port);
  // The first message borrows all that may be lent; the second one has to wait with 65,535 bytes.
  const claim = Buffer.concat([Buffer.from([0]), u32(2_000_000)]);
  peer.headers(1, hang);
  peer.data(1, claim);
  await peer.next(({ type, streamId }) => type === windowUpdate && streamId === 1, "the loan");
  peer.headers(3, hang);
  peer.data(3, claim);
  for (let i = 0; i < 4; i++) peer.data(3, zeros(16_384));
  assert.equal(await peer.resetOf(3), flowControlError);
  peer.destroy();
});

test("DATA beyond the connection's window ends the connection", async (t) => {
  // Never flushed, so that no update comes in between.
  const small = await openDoor(t, { http2: { connectionWindowBytes: 65_535 }, requestFlush() {} });
  const peer = await RawPeer.start(small.port);
  const streams = Array.from({ length: 5 }, (_, i) => hangFrame(2 * i + 1));
  const full = Array.from({ length: 5 }, (_, i) =>
    frameBytes(data, 0, 2 * i + 1, Buffer.concat([Buffer.from([0]), u32(60_000), zeros(16_379)])),
  );
  peer.send(Buffer.concat([...streams, ...full]));
  assert.equal((await peer.goaway()).code, flowControlError);
});

test("a wrong preface and a missing SETTINGS", async () => {
  const rows = [
    {
      why: "HTTP/2 only by its first bytes",
      send: Buffer.from("PRI * HTTP/1.0\r\n\r\nSM\r\n\r\n"),
    },
    {
      why: "PING before SETTINGS",
      send: Buffer.concat([connectionPreface, frameBytes(ping, 0, 0, zeros(8))]),
    },
    {
      why: "an acknowledgement first",
      send: Buffer.concat([connectionPreface, frameBytes(settings, Flag.ack, 0, zeros(0))]),
    },
  ];
  for (const { why, send } of rows) {
    const peer = await RawPeer.open(door.port);
    peer.acknowledges = false;
    peer.send(send);
    assert.equal((await peer.goaway()).code, protocolError, why);
    await peer.closed();
  }
  await assertHealthy();
});
