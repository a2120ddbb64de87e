// Unary calls: good ones by grpc-js and etcd's texts for bad ones by bytes.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import {
  Client,
  compressionAlgorithms,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { EtcdError, StatusCode } from "../../src/base/errors.ts";
import { grpcMessageBytesMax, percentEncode, StatusFields } from "../../src/grpc/status.ts";
import { Flag } from "../../src/http2/frames.ts";
import type { Pair } from "../http2/hpackEncoder.ts";
import { ManualTimers } from "../http2/manualTimers.ts";
import {
  type Answer,
  grpcHeaders,
  grpcMessage,
  headerBlock,
  RawPeer,
  u32,
} from "../http2/rawPeer.ts";
import { openDoor, openLastingDoor, pattern, type TestDoor } from "../http2/testDoor.ts";

let door: TestDoor;
let client: Client;

before(async () => {
  door = await openLastingDoor();
  client = new Client(`127.0.0.1:${door.port}`, credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
  });
});

after(async () => {
  client.close();
  await door.close();
});

const same = (bytes: Buffer): Buffer => bytes;

function call(
  path: string,
  message: Buffer,
  metadata = new Metadata(),
  deadlineMs = 60_000,
): Promise<Buffer> {
  const options = { deadline: Date.now() + deadlineMs };
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, same, same, message, metadata, options, (error, answer) => {
      if (error !== null) reject(error);
      else resolve(answer ?? Buffer.alloc(0));
    });
  });
}

const refusedWith = (code: number, details: string) => (error: ServiceError) => {
  assert.deepEqual([error.code, error.details], [code, details]);
  return true;
};

test("grpc-js: messages of many lengths come back, one after another and together", async () => {
  const lengths = [0, 1, 4, 5, 16_378, 16_379, 16_380, 65_530, 65_531, 100_000, 2_097_152];
  for (const length of lengths) {
    assert.deepEqual(await call("/test.T/Echo", pattern(length)), pattern(length), `${length}`);
  }
  const answers = await Promise.all(lengths.map((length) => call("/test.T/Echo", pattern(length))));
  for (const [i, answer] of answers.entries()) assert.deepEqual(answer, pattern(lengths[i] ?? 0));
});

test("grpc-js: an answer of 20 MiB", async () => {
  const length = 20 << 20;
  assert.deepEqual(await call("/test.T/Big", Buffer.from(`${length}`)), pattern(length));
});

test("grpc-js: compressed requests of many lengths", async () => {
  const gzip = new Client(`127.0.0.1:${door.port}`, credentials.createInsecure(), {
    "grpc.default_compression_algorithm": compressionAlgorithms.gzip,
  });
  for (const length of [0, 1, 1000, 200_000]) {
    const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
      gzip.makeUnaryRequest("/test.T/Echo", same, same, pattern(length), (error, bytes) => {
        if (error !== null) reject(error);
        else resolve(bytes);
      });
    });
    assert.deepEqual(answer, pattern(length), `${length}`);
  }
  gzip.close();
});

test("grpc-js: refusals keep code and text", async () => {
  const rows = [
    { path: "/test.T/Refuse", message: 0, code: 5, details: "test: 100 % refusé" },
    {
      path: "/test.T/Nothing",
      message: 0,
      code: 12,
      details: "unknown method Nothing for service test.T",
    },
    { path: "/other.T/Echo", message: 0, code: 12, details: "unknown service other.T" },
    { path: "/noslash", message: 0, code: 12, details: 'malformed method name: "/noslash"' },
    {
      path: "/test.T/Echo",
      message: 2_097_153,
      code: 8,
      details: "grpc: received message larger than max (2097153 vs. 2097152)",
    },
  ];
  for (const { path, message, code, details } of rows) {
    await assert.rejects(call(path, pattern(message)), refusedWith(code, details), path);
  }
  assert.deepEqual(await call("/test.T/Echo", pattern(3)), pattern(3));
});

test("grpc-js: metadata by name, binary values decoded", async () => {
  const metadata = new Metadata();
  metadata.set("token", "abc.def");
  metadata.set("raw-bin", Buffer.from([0, 255, 10]));
  const rows = [
    { name: "token", want: Buffer.from("abc.def") },
    { name: "raw-bin", want: Buffer.from([0, 255, 10]) },
    { name: "missing", want: Buffer.from("none") },
    { name: "content-type", want: Buffer.from("application/grpc") },
    { name: ":authority", want: Buffer.from(`127.0.0.1:${door.port}`) },
  ];
  for (const { name, want } of rows) {
    assert.deepEqual(await call("/test.T/Meta", Buffer.from(name), metadata), want, name);
  }
});

const wrapped = (flag: number, length: number, body = Buffer.alloc(length)): Buffer =>
  Buffer.concat([Buffer.from([flag]), u32(length), body]);
const compressed = (body: Buffer): Buffer => {
  const bytes = gzipSync(body);
  return wrapped(1, bytes.length, bytes);
};
const cardinality = "cardinality violation: received";

const requestRows: readonly {
  readonly why: string;
  readonly body: readonly Buffer[];
  readonly more?: readonly Pair[];
  readonly code: number;
  readonly message: string;
}[] = [
  {
    why: "4 GiB announced",
    body: [wrapped(0, 0xffff_ffff, Buffer.alloc(0))],
    code: 8,
    message: "grpc: received message larger than max (4294967295 vs. 2097152)",
  },
  {
    why: "one byte too many announced",
    body: [wrapped(0, 2_097_153, Buffer.alloc(9))],
    code: 8,
    message: "grpc: received message larger than max (2097153 vs. 2097152)",
  },
  {
    why: "compressed flag alone",
    body: [wrapped(1, 3)],
    code: 13,
    message: "grpc: compressed flag set with identity or empty encoding",
  },
  {
    why: "an unknown flag",
    body: [wrapped(7, 3)],
    code: 13,
    message: "grpc: received unexpected payload format 7",
  },
  {
    why: "an unknown encoding",
    body: [wrapped(1, 3)],
    more: [["grpc-encoding", "snappy"]],
    code: 12,
    message: 'grpc: Decompressor is not installed for grpc-encoding "snappy"',
  },
  {
    why: "gzip that is none",
    body: [wrapped(1, 3)],
    more: [["grpc-encoding", "gzip"]],
    code: 13,
    message: "grpc: failed to decompress the received message: Error: incorrect header check",
  },
  {
    why: "a gzip bomb",
    body: [compressed(Buffer.alloc(2_097_153))],
    more: [["grpc-encoding", "gzip"]],
    code: 8,
    message: "grpc: received message after decompression larger than max 2097152",
  },
  {
    why: "no message",
    body: [],
    code: 13,
    message: `${cardinality} no request message from non-client-streaming RPC`,
  },
  {
    why: "two messages in one frame",
    body: [Buffer.concat([wrapped(0, 3), wrapped(0, 3)])],
    code: 13,
    message: `${cardinality} multiple request messages for non-client-streaming RPC`,
  },
  {
    why: "two messages in two frames",
    body: [wrapped(0, 3), wrapped(0, 0)],
    code: 13,
    message: `${cardinality} multiple request messages for non-client-streaming RPC`,
  },
  {
    why: "a message cut off",
    body: [wrapped(0, 100, Buffer.alloc(50))],
    code: 13,
    message: "unexpected EOF",
  },
  { why: "a prefix cut off", body: [Buffer.from([0, 0])], code: 13, message: "unexpected EOF" },
  {
    why: "a message and a bit",
    body: [Buffer.concat([wrapped(0, 3), Buffer.from([0])])],
    code: 13,
    message: "unexpected EOF",
  },
];

const decodeMessage = (answer: Answer): string =>
  decodeURIComponent(answer.trailers.get("grpc-message") ?? "");

for (const { why, body, more, code, message } of requestRows) {
  test(`refused: ${why}`, async () => {
    const peer = await RawPeer.start(door.port);
    peer.headers(1, grpcHeaders("/test.T/Echo", more));
    for (const part of body) peer.data(1, part);
    peer.data(1, Buffer.alloc(0), Flag.endStream);
    const answer = await peer.answer(1);
    assert.deepEqual(
      [answer.trailers.get("grpc-status"), decodeMessage(answer)],
      [`${code}`, message],
    );
    assert.equal(answer.head.get(":status"), "200");
    peer.call(3, "/test.T/Echo", "next");
    assert.deepEqual((await peer.answer(3)).body, grpcMessage("next"));
    peer.destroy();
  });
}

const headRows: readonly {
  readonly why: string;
  readonly pairs: readonly Pair[];
  readonly http: string;
  readonly code: string;
}[] = [
  {
    why: "GET",
    pairs: [
      [":method", "GET"],
      ["content-type", "application/grpc"],
    ],
    http: "405",
    code: "13",
  },
  {
    why: "JSON",
    pairs: [
      [":method", "POST"],
      ["content-type", "application/json"],
    ],
    http: "415",
    code: "3",
  },
  { why: "no content type", pairs: [[":method", "POST"]], http: "415", code: "3" },
  {
    why: "a longer word",
    pairs: [
      [":method", "POST"],
      ["content-type", "application/grpcx"],
    ],
    http: "415",
    code: "3",
  },
  {
    why: "a bad timeout",
    pairs: [
      [":method", "POST"],
      ["content-type", "application/grpc"],
      ["grpc-timeout", "soon"],
    ],
    http: "400",
    code: "13",
  },
];

for (const { why, pairs, http, code } of headRows) {
  test(`refused by its head: ${why}`, async () => {
    const peer = await RawPeer.start(door.port);
    const [method, ...rest] = pairs;
    const block: Pair[] = [
      method ?? [":method", ""],
      [":scheme", "http"],
      [":path", "/test.T/Echo"],
      ...rest,
    ];
    peer.headers(1, headerBlock(block), Flag.endStream);
    const { head } = await peer.answer(1);
    assert.deepEqual([head.get(":status"), head.get("grpc-status")], [http, code]);
    peer.destroy();
  });
}

test("content types with a suffix, and a missing te, are served", async () => {
  const peer = await RawPeer.start(door.port);
  for (const [i, type] of ["application/grpc+proto", "application/grpc;v=1"].entries()) {
    const id = 2 * i + 1;
    peer.headers(
      id,
      headerBlock([
        [":method", "POST"],
        [":scheme", "http"],
        [":path", "/test.T/Echo"],
        ["content-type", type],
      ]),
    );
    peer.data(id, grpcMessage("x"), Flag.endStream);
    assert.deepEqual((await peer.answer(id)).body, grpcMessage("x"), type);
  }
  peer.destroy();
});

test("a body trickled byte by byte, in any frames, with trailers at the end", async () => {
  const peer = await RawPeer.start(door.port);
  const message = grpcMessage(pattern(300));
  peer.headers(1, grpcHeaders("/test.T/Echo"));
  for (const byte of message) peer.data(1, Buffer.from([byte]));
  peer.headers(1, headerBlock([["x-checksum", "1"]]), Flag.endStream);
  assert.deepEqual((await peer.answer(1)).body, message);
  peer.headers(3, grpcHeaders("/test.T/Echo"));
  // Padding counts for windows, not for messages.
  for (const byte of message) peer.data(3, Buffer.from([3, byte, 0, 0, 0]), Flag.padded);
  peer.data(3, Buffer.alloc(0), Flag.endStream);
  assert.deepEqual((await peer.answer(3)).body, message);
  peer.destroy();
});

test("a refusal before the end of the request stops the request without blame", async () => {
  const peer = await RawPeer.start(door.port);
  peer.headers(1, grpcHeaders("/test.T/Nothing"));
  await peer.answer(1);
  assert.equal(await peer.resetOf(1), 0);
  peer.destroy();
});

test("a deadline answers, cancels, and silences a late answer", async (t) => {
  const timers = new ManualTimers();
  const timed = await openDoor(t, { timers });
  const peer = await RawPeer.start(timed.port);
  peer.call(1, "/test.T/Hang", "", [["grpc-timeout", "50m"]]);
  peer.call(3, "/test.T/Echo", "in time", [["grpc-timeout", "50m"]]);
  assert.deepEqual((await peer.answer(3)).body, grpcMessage("in time"));
  timers.advance(49);
  assert.equal(timed.seen.hung[0]?.cancelled, false);
  timers.advance(10);
  const answer = await peer.answer(1);
  assert.deepEqual(
    [answer.trailers.get("grpc-status"), decodeMessage(answer)],
    ["4", "context deadline exceeded"],
  );
  assert.equal(timed.seen.hung[0]?.cancelled, true);
  timed.seen.hung[0]?.respond(Buffer.from("late"));
  peer.call(5, "/test.T/Echo", "next");
  assert.deepEqual((await peer.answer(5)).body, grpcMessage("next"));
  peer.destroy();
});

test("a lost connection cancels its calls", async () => {
  const peer = await RawPeer.start(door.port);
  const hungBefore = door.seen.hung.length;
  peer.call(1, "/test.T/Hang", "");
  peer.call(3, "/test.T/Echo", "");
  await peer.answer(3);
  peer.destroy();
  const hung = door.seen.hung[hungBefore];
  while (hung?.cancelled === false) await call("/test.T/Echo", pattern(1));
  assert.equal(hung?.cancelled, true);
  hung?.fail(new EtcdError(StatusCode.internal, "late"));
});

test("a bug in a method is reported, and ends only its call", async () => {
  const peer = await RawPeer.start(door.port);
  peer.call(1, "/test.T/Throw", "");
  assert.equal(await peer.resetOf(1), 2);
  assert.match(`${door.seen.mistakes.pop()}`, /a bug/);
  peer.call(3, "/test.T/Echo", "next");
  assert.deepEqual((await peer.answer(3)).body, grpcMessage("next"));
  peer.destroy();
});

test("answering twice is a mistake", async () => {
  const peer = await RawPeer.start(door.port);
  const hungBefore = door.seen.hung.length;
  peer.call(1, "/test.T/Hang", "");
  peer.call(3, "/test.T/Echo", "");
  await peer.answer(3);
  const hung = door.seen.hung[hungBefore];
  hung?.respond(Buffer.from("once"));
  assert.throws(() => hung?.respond(Buffer.from("twice")), /answered once/);
  peer.destroy();
});

test("percentEncode", () => {
  const rows = [
    { text: "plain text, ~!", want: "plain text, ~!" },
    { text: "100 %", want: "100 %25" },
    { text: "é\n", want: "%C3%A9%0A" },
    { text: "\u{1f600}", want: "%F0%9F%98%80" },
    { text: "", want: "" },
  ];
  for (const { text, want } of rows) assert.equal(percentEncode(text), want, JSON.stringify(text));
});

test("a long grpc-message is cut, and each refusal is encoded once", () => {
  const status = new StatusFields();
  const error = new EtcdError(StatusCode.internal, "x".repeat(50_000));
  const fields = status.of(error);
  assert.ok(fields.length < grpcMessageBytesMax + 60);
  assert.equal(status.of(error), fields);
});
