// Random frames in random pieces: a connection answers or ends, and gives back all it has counted.
import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import type { StreamCall, UnaryMethod } from "../../src/grpc/call.ts";
import { defaultGrpcLimits } from "../../src/grpc/exchange.ts";
import { GrpcServer } from "../../src/grpc/server.ts";
import { usualFields } from "../../src/grpc/status.ts";
import { Connection, type ConnectionHost } from "../../src/http2/connection.ts";
import { connectionPreface, FrameType } from "../../src/http2/frames.ts";
import { HeldPings } from "../../src/http2/heldPings.ts";
import { ByteBudget, defaultHttp2Limits } from "../../src/http2/limits.ts";
import { ChunkPool } from "../../src/http2/output.ts";
import { ManualTimers } from "./manualTimers.ts";
import { frameBytes, grpcHeaders, grpcMessage, setting, u32 } from "./rawPeer.ts";
import { pattern } from "./testDoor.ts";

const talk = (call: StreamCall) => ({
  onMessage: (message: Uint8Array) => void call.write(message),
  onHalfClose: () => call.end(),
  onDrain() {},
  onCancel() {},
});

function testHost(timers: ManualTimers): ConnectionHost {
  const handler = new GrpcServer({
    methods: {
      unary: new Map<string, UnaryMethod>([
        ["/t/Echo", (call, message) => call.respond(message)],
        ["/t/Big", (call) => call.respond(pattern(40_000))],
        ["/t/Hang", () => {}],
      ]),
      stream: new Map([["/t/Talk", talk]]),
    },
    limits: { ...defaultGrpcLimits, streamBacklogBytesMax: 1000 },
    timers,
    onMistake(error) {
      throw error;
    },
  });
  return {
    limits: { ...defaultHttp2Limits, lentBytesPerConnectionMax: 100_000 },
    handler,
    usual: usualFields,
    pool: new ChunkPool(),
    timers,
    queued: new ByteBudget(200_000),
    held: new ByteBudget(200_000),
    heldPings: new HeldPings(timers, defaultHttp2Limits.pingHoldMs),
    onDirty() {},
    onClosed() {},
  };
}

// Mostly sensible frames, so that many states are reached; now and then something wild.
class FrameMaker {
  readonly #random: Prng;
  #lastId = -1;

  constructor(random: Prng) {
    this.#random = random;
  }

  next(): Buffer {
    const random = this.#random;
    if (random.oneIn(60)) return this.#wild();
    const id = Math.max(1, this.#lastId - 2 * random.integer(8));
    switch (random.integer(8)) {
      case 0:
      case 1:
        return this.#request();
      case 2:
        return frameBytes(
          FrameType.data,
          random.integer(2),
          id,
          grpcMessage(pattern(random.integer(2000))),
        );
      case 3:
        return frameBytes(
          FrameType.data,
          0,
          id,
          Buffer.concat([longPrefix, pattern(random.integer(9000))]),
        );
      case 4:
        return frameBytes(
          FrameType.windowUpdate,
          0,
          random.oneIn(2) ? 0 : id,
          u32(1 + random.integer(70_000)),
        );
      case 5:
        return frameBytes(FrameType.rstStream, 0, id, u32(8));
      case 6:
        return frameBytes(
          FrameType.settings,
          0,
          0,
          setting(random.oneIn(3) ? 1 : 4, random.integer(100_000)),
        );
      default:
        return frameBytes(FrameType.ping, random.integer(2), 0, Buffer.from("drained?"));
    }
  }

  #request(): Buffer {
    const random = this.#random;
    this.#lastId += 2;
    const paths = ["/t/Echo", "/t/Big", "/t/Hang", "/t/Talk", "/t/None"];
    const path = paths[random.integer(paths.length)] ?? "";
    const timeout = random.oneIn(4) ? [["grpc-timeout", `${random.integer(50)}m`] as const] : [];
    const block = grpcHeaders(path, timeout);
    const head = frameBytes(FrameType.headers, random.oneIn(9) ? 5 : 4, this.#lastId, block);
    const body = frameBytes(FrameType.data, random.integer(2), this.#lastId, grpcMessage("hello"));
    return random.oneIn(3) ? head : Buffer.concat([head, body]);
  }

  #wild(): Buffer {
    const random = this.#random;
    const noise = Buffer.from(
      Array.from({ length: random.integer(30) }, () => random.integer(256)),
    );
    return frameBytes(random.integer(12), random.integer(256), random.integer(20), noise);
  }
}

const longPrefix = Buffer.concat([Buffer.from([0]), u32(100_000)]);

function play(seed: number): { readonly written: number } {
  const random = new Prng(seed);
  const frames = new FrameMaker(random);
  const timers = new ManualTimers();
  const host = testHost(timers);
  let written = 0;
  let pending: (() => void)[] = [];
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      written += chunk.length;
      if (random.oneIn(2)) pending.push(done);
      else done();
    },
  });
  socket.on("error", () => {});
  const connection = new Connection(socket, host);
  connection.start(
    Buffer.concat([connectionPreface, frameBytes(FrameType.settings, 0, 0, Buffer.alloc(0))]),
  );
  let bytes = Buffer.alloc(0);
  for (let step = 0; step < 120; step++) {
    bytes = Buffer.concat([bytes, frames.next()]);
    const cut = random.oneIn(3) ? random.integer(bytes.length + 1) : bytes.length;
    socket.emit("data", Buffer.from(bytes.subarray(0, cut)));
    bytes = bytes.subarray(cut);
    if (random.oneIn(3)) connection.flush();
    if (random.oneIn(5)) timers.advance(random.integer(20));
    if (random.oneIn(4)) for (const done of pending.splice(0)) done();
    if (random.oneIn(200)) connection.drain();
    connection.sweep(timers.nowMs(), 1);
  }
  connection.destroy();
  pending = [];
  assert.equal(connection.streamCount, 0);
  assert.equal(host.queued.bytes, 0, "queued bytes");
  assert.equal(host.held.bytes, 0, "held bytes");
  assert.equal(timers.pending <= 1, true, "alarms");
  return { written };
}

test("random frames", () => {
  let written = 0;
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
      written += play(seed).written;
    }),
    { numRuns: 400 },
  );
  assert.ok(written > 400_000, `${written} bytes written: hardly anything was reached`);
});
