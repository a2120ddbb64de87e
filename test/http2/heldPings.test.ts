// When a PING is answered: with the answer to an open call, or without it in time.
import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { usualFields } from "../../src/grpc/status.ts";
import { connectionPreface, Flag, FrameReader, FrameType } from "../../src/http2/frames.ts";
import { defaultHttp2Limits } from "../../src/http2/limits.ts";
import { Http2Server } from "../../src/http2/server.ts";
import type { Http2Stream } from "../../src/http2/stream.ts";
import { ManualTimers } from "./manualTimers.ts";
import { frameBytes, grpcHeaders } from "./rawPeer.ts";

const { pingHoldMs } = defaultHttp2Limits;
const none = Buffer.alloc(0);
const receiver = { onData() {}, onDrain() {}, onAborted() {} };

/** A server with one connection whose turns, clock and calls the test drives. */
function openConnection() {
  const timers = new ManualTimers();
  const calls: Http2Stream[] = [];
  const open = (stream: Http2Stream) => {
    calls.push(stream);
    return receiver;
  };
  const server = new Http2Server({
    handler: { route: () => ({ open }) },
    usual: usualFields,
    limits: defaultHttp2Limits,
    timers,
    requestFlush() {},
  });
  /** Kinds of the frames of each write; a PING's with its first byte. */
  const writes: string[][] = [];
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      const names: string[] = [];
      new FrameReader().push(chunk, 0, {
        onFrame({ type, flags, bytes, from }) {
          const isAnswer = type === FrameType.ping && flags === Flag.ack;
          names.push(isAnswer ? `ping ${bytes[from]}` : `${type}`);
          return true;
        },
      });
      writes.push(names);
      done();
    },
  });
  const turn = (...frames: Uint8Array[]): string[] => {
    writes.length = 0;
    if (frames.length > 0) socket.emit("data", Buffer.concat(frames));
    server.flush();
    assert.ok(writes.length <= 1, "one write a turn");
    return writes[0] ?? [];
  };
  server.accept(socket, Buffer.from(connectionPreface));
  turn(
    frameBytes(FrameType.settings, 0, 0, none),
    frameBytes(FrameType.settings, Flag.ack, 0, none),
  );
  return { timers, calls, turn, socket, server };
}

const ping = (first: number): Uint8Array =>
  frameBytes(FrameType.ping, 0, 0, Buffer.alloc(8, first));
const call = (id: number): Uint8Array =>
  frameBytes(FrameType.headers, Flag.endHeaders | Flag.endStream, id, grpcHeaders("/a/B"));
const { headers, data } = FrameType;
const answerFrames = [`${headers}`, `${data}`, `${headers}`];

test("without an open call a PING is answered in its turn", () => {
  const { turn, timers } = openConnection();
  const before = timers.pending;
  assert.deepEqual(turn(ping(1)), ["ping 1"]);
  assert.deepEqual(turn(ping(2), ping(3)), ["ping 2", "ping 3"]);
  assert.equal(timers.pending, before);
});

test("the answer to a PING goes out behind the answer to the call", () => {
  const { turn, calls, timers } = openConnection();
  const before = timers.pending;
  assert.deepEqual(turn(ping(1), call(1)), []);
  calls[0]?.respond(none, Buffer.from("x"));
  assert.deepEqual(turn(), [...answerFrames, "ping 1"]);
  timers.advance(3 * pingHoldMs);
  assert.deepEqual(turn(), [], "once");
  assert.equal(timers.pending, before, "no clock runs for nothing");
});

test("a PING whose call takes longer is answered without it, in time", () => {
  const { turn, calls, timers } = openConnection();
  turn(call(1), ping(1));
  timers.advance(pingHoldMs);
  assert.deepEqual(turn(), [], "held for a whole beat");
  timers.advance(pingHoldMs);
  assert.deepEqual(turn(), ["ping 1"]);
  // A later one has its own time, whatever the beat.
  turn(ping(2));
  timers.advance(pingHoldMs - 1);
  calls[0]?.respond(none, Buffer.from("x"));
  assert.deepEqual(turn(), [...answerFrames, "ping 2"]);
  turn(call(3), ping(3));
  timers.advance(pingHoldMs);
  assert.deepEqual(turn(), [], "the beat of the one before is not this one's");
  timers.advance(pingHoldMs);
  assert.deepEqual(turn(), ["ping 3"]);
});

test("each of several PINGs is answered, in order, and at the end of the connection nothing is left", () => {
  const { turn, timers, socket } = openConnection();
  assert.deepEqual(turn(call(1), ping(1), ping(2)), ["ping 1", "ping 2"]);
  turn(ping(3));
  assert.deepEqual(turn(ping(4)), ["ping 3", "ping 4"]);
  turn(ping(5));
  socket.destroy();
  socket.emit("close");
  timers.advance(2_000);
  assert.equal(timers.pending, 0);
});
