// HTTP/1.1 on the one port with raw sockets: deadlines, bounds, hosts and origins, what is no request.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { openHttpDoor } from "../../src/door/httpDoor.ts";
import { Listener } from "../../src/door/listener.ts";
import type { AccessRules } from "../../src/gateway/access.ts";
import type { GatewayLimits } from "../../src/gateway/exchange.ts";
import type { UpgradeHandler } from "../../src/gateway/http1.ts";
import { jsonMessageBytesMax } from "../../src/gateway/jsonWriter.ts";
import { textPage } from "../../src/gateway/pages.ts";
import type { MethodTable, StreamCall, UnaryCall } from "../../src/grpc/call.ts";
import { encodeMessage } from "../support/messages.ts";
import { Raw } from "../support/rawConnection.ts";

interface Door {
  readonly port: number;
  /** Calls of Range, answered by the test. */
  readonly hung: UnaryCall[];
  /** Calls of Watch. */
  readonly streams: StreamCall[];
  readonly events: string[];
}

async function openDoor(
  t: TestContext,
  options: {
    readonly limits?: Partial<GatewayLimits>;
    readonly access?: AccessRules;
    readonly upgrades?: ReadonlyMap<string, UpgradeHandler>;
  } = {},
): Promise<Door> {
  const hung: UnaryCall[] = [];
  const streams: StreamCall[] = [];
  const events: string[] = [];
  const methods: MethodTable = {
    unary: new Map<string, (call: UnaryCall, message: Uint8Array) => void>([
      // Answers with the message that it got: its fields are those of a PutResponse by number.
      [
        "/etcdserverpb.KV/Put",
        (call) => {
          events.push("put");
          call.respond(putAnswer);
        },
      ],
      ["/etcdserverpb.KV/Range", (call) => void hung.push(call)],
    ]),
    stream: new Map([
      [
        "/etcdserverpb.Watch/Watch",
        (call: StreamCall) => {
          streams.push(call);
          return {
            onMessage: () => void events.push("message"),
            onHalfClose: () => void events.push("half-close"),
            onDrain: () => void events.push("drain"),
            onCancel: () => void events.push("cancel"),
          };
        },
      ],
    ]),
  };
  const onMistake = (error: unknown): void => assert.fail(`${error}`);
  const listener = new Listener({ onMistake });
  const { port } = await listener.listen({ host: "127.0.0.1", port: 0 });
  listener.serve(methods, openHttpDoor({ methods, onMistake, ...options }));
  t.after(() => listener.close({ graceMs: 0 }));
  return { port, hung, streams, events };
}

const putAnswer = encodeMessage("PutResponse", { header: { revision: 5 } });
const put = request("POST /v3/kv/put", '{"key":"YQ=="}');

function request(line: string, body: string, headers = ""): string {
  const length = Buffer.byteLength(body);
  return `${line} HTTP/1.1\r\nhost: a\r\n${headers}content-length: ${length}\r\n\r\n${body}`;
}

test("a request is understood however its bytes are cut, and pipelined ones in their order", async (t) => {
  const { port } = await openDoor(t);
  for (const cut of [1, 2, 3, 4, 5, 20, put.length - 1]) {
    const raw = new Raw(port);
    raw.socket.setNoDelay(true);
    raw.send(put.slice(0, cut));
    raw.socket.once("ready", () => setImmediate(() => raw.send(put.slice(cut))));
    await raw.until(/revision":"5"}}$/);
    assert.match(raw.text, /^HTTP\/1\.1 200 OK\r\n/, `cut at ${cut}`);
    raw.socket.destroy();
  }
  const raw = new Raw(port);
  raw.send(put + request("POST /v3/kv/nothing", "{}") + put);
  await raw.until(/revision":"5"}}.*Not Found.*revision":"5"}}$/s);
});

test("deadlines begin with the first byte, and idle connections end", async (t) => {
  const limits = { headersMsMax: 150, requestMsMax: 300, idleMsMax: 100, checkEveryMs: 20 };
  const { port, hung } = await openDoor(t, { limits });
  const rows: readonly (readonly [name: string, first: string, trickle: string])[] = [
    ["no more than a verb", "POST ", ""],
    ["headers that trickle", "POST /v3/kv/put HTTP/1.1\r\nhost: a\r\nx: ", "y"],
    ["a body that trickles", request("POST /v3/kv/put", " ".repeat(999)).slice(0, -900), " "],
    ["idle behind an answer", put, ""],
  ];
  await Promise.all(
    rows.map(async ([name, first, trickle]) => {
      const raw = new Raw(port);
      raw.send(first);
      const timer = trickle === "" ? undefined : setInterval(() => raw.send(trickle), 30);
      await raw.closed();
      clearInterval(timer);
      const isAnswered = first === put;
      assert.equal(/^HTTP\/1\.1 200/.test(raw.text), isAnswered, `${name}: ${raw.text}`);
    }),
  );
  assert.equal(hung.length, 0);
});

test("bodies have bounds: one alone, and all that have begun together", async (t) => {
  const limits = { bodyBytesMax: 1000, heldBytesMax: 1500 };
  const { port } = await openDoor(t, { limits });
  const long = new Raw(port);
  long.send(request("POST /v3/kv/put", "x".repeat(1001)));
  await long.until(/^HTTP\/1\.1 429 .*received message larger than max \(1001 vs\. 2097152\)/s);
  const begun = request("POST /v3/kv/put", `{"key":"YQ==","value":"${"A".repeat(960)}"}`);
  const first = new Raw(port);
  first.send(begun.slice(0, -4));
  const echo = new Raw(port);
  echo.send(put);
  await echo.until(/200 OK/);
  const second = new Raw(port);
  second.send(begun.slice(0, -4));
  await second.until(/^HTTP\/1\.1 429 .*unfinished requests/s);
  // What was held is free again when its request is complete, or gone.
  first.send(begun.slice(-4));
  await first.until(/200 OK/);
  const third = new Raw(port);
  third.send(begun);
  await third.until(/200 OK/);
});

test("hosts and origins that are not listed are told apart", async (t) => {
  const access = {
    cors: ["https://a.example"],
    hostWhitelist: ["good.example", "127.0.0.1", "::1"],
  };
  const { port } = await openDoor(t, { access });
  const rows = [
    { headers: "host: good.example", status: 200, origin: undefined },
    { headers: "host: good.example:2379", status: 200, origin: undefined },
    { headers: "host: [::1]:2379", status: 200, origin: undefined },
    { headers: "host: evil.example", status: 421, origin: undefined },
    {
      headers: "host: good.example\r\norigin: https://a.example",
      status: 200,
      origin: "https://a.example",
    },
    {
      headers: "host: good.example\r\norigin: https://evil.example",
      status: 200,
      origin: undefined,
    },
  ];
  for (const { headers, status, origin } of rows) {
    const raw = new Raw(port);
    raw.send(
      `POST /v3/kv/put HTTP/1.1\r\nconnection: close\r\n${headers}\r\ncontent-length: 2\r\n\r\n{}`,
    );
    await raw.closed();
    assert.match(raw.text, new RegExp(`^HTTP/1\\.1 ${status} `), headers);
    const allowed = /access-control-allow-origin: (\S+)/i.exec(raw.text)?.[1];
    assert.equal(allowed, origin, headers);
    if (status === 421) assert.match(raw.text, /the Host header was unrecognized\./);
  }
});

test("preflights are answered, and by default everybody may ask", async (t) => {
  const { port } = await openDoor(t);
  const raw = new Raw(port);
  raw.send(request("OPTIONS /anything", "", "origin: https://x.example\r\n"));
  await raw.until(/\r\n\r\n$/);
  assert.match(raw.text, /^HTTP\/1\.1 200 OK/);
  assert.match(raw.text, /Access-Control-Allow-Origin: \*/);
  assert.match(raw.text, /Access-Control-Allow-Methods: POST, GET, OPTIONS, PUT, DELETE/);
  assert.match(raw.text, /Access-Control-Allow-Headers: accept, content-type, authorization/);
});

test("an upgrade goes to whoever has its path, others are refused", async (t) => {
  const upgrades = new Map<string, UpgradeHandler>([
    ["/v1/ws", (_request, socket, head) => void socket.end(`took ${head.toString()}`)],
  ]);
  const { port } = await openDoor(t, { upgrades });
  const rows = [
    { path: "/v1/ws", want: /^took first$/ },
    { path: "/v1/ws?a=b", want: /^took first$/ },
    { path: "/other", want: /^HTTP\/1\.1 404 Not Found\r\n/ },
  ];
  const strict = await openDoor(t, {
    upgrades,
    access: { cors: ["*"], hostWhitelist: ["good.example"] },
  });
  const strange = new Raw(strict.port);
  strange.send(
    "GET /v1/ws HTTP/1.1\r\nhost: evil.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
  );
  await strange.closed();
  assert.match(strange.text, /^HTTP\/1\.1 404 /);
  for (const { path, want } of rows) {
    const raw = new Raw(port);
    raw.send(
      `GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nfirst`,
    );
    await raw.closed();
    assert.match(raw.text, want, path);
  }
});

test("what is no HTTP is refused and closed", async (t) => {
  const { port } = await openDoor(t, { limits: { headerBytesMax: 2000 } });
  for (const text of [
    "POST / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n",
    `GET / HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(3000)}\r\n\r\n`,
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
  ]) {
    const raw = new Raw(port);
    raw.send(text);
    await raw.closed();
    assert.match(raw.text, /^HTTP\/1\.1 400 /, text.slice(0, 40));
  }
});

test("a caller that goes away is known to be gone", async (t) => {
  const { port, hung, streams, events } = await openDoor(t);
  const waiting = new Raw(port);
  waiting.send(request("POST /v3/kv/range", "{}"));
  const watching = new Raw(port);
  watching.send(request("POST /v3/watch", '{"create_request":{}}'));
  await settled(() => hung.length === 1 && events.includes("half-close"));
  assert.deepEqual(events, ["message", "half-close"]);
  assert.equal(hung[0]?.cancelled, false);
  waiting.socket.destroy();
  watching.socket.destroy();
  await settled(() => hung[0]?.cancelled === true && events.includes("cancel"));
  // Answers to nobody go nowhere.
  hung[0]?.respond(new Uint8Array(0));
  assert.equal(streams[0]?.write(new Uint8Array(0)), false);
});

test("a stream's backlog is bounded, and drains", async (t) => {
  const limits = { streamBacklogBytesMax: 100_000 };
  const { port, streams, events } = await openDoor(t, { limits });
  const raw = new Raw(port);
  raw.socket.pause();
  raw.send(request("POST /v3/watch", "{}"));
  await settled(() => streams.length === 1);
  const [stream] = streams;
  assert.ok(stream);
  const message = encodeMessage("WatchResponse", { cancel_reason: "x".repeat(50_000) });
  let written = 0;
  // The system's own buffers take some of it first.
  while (written < 1000 && stream.write(message)) {
    written++;
    await new Promise(setImmediate);
  }
  assert.ok(written < 1000, "it says when to stop");
  assert.ok(stream.backlogBytes > 100_000);
  assert.ok(!events.includes("drain"));
  raw.socket.resume();
  await settled(() => events.includes("drain"));
});

test("what is pipelined behind a long answer is done once, plain or not", async (t) => {
  const body = '{"key":"YQ=="}';
  const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  const rows = [
    ["plain", put],
    [
      "chunked",
      `POST /v3/kv/put HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${chunked}`,
    ],
  ] as const;
  const long = encodeMessage("RangeResponse", { kvs: [{ value: Buffer.alloc(16 << 20) }] });
  for (const [name, behind] of rows) {
    const { port, hung, events } = await openDoor(t);
    const socket = connect(port, "127.0.0.1");
    t.after(() => socket.destroy());
    socket.pause();
    socket.write(request("POST /v3/kv/range", "{}") + behind);
    await settled(() => hung.length === 1);
    hung[0]?.respond(long);
    await settled(() => name === "plain" || events.includes("put"));
    // Behind the long one.
    let last = "";
    socket.on("data", (chunk) => {
      last = (last + chunk.toString("latin1")).slice(-1_000);
    });
    socket.resume();
    const answers = (): number => last.split('revision":"5"}}').length - 1;
    await settled(() => answers() === 1);
    socket.write(put);
    await settled(() => answers() === 2);
    assert.equal(last.match(/HTTP\/1\.1 /g)?.length, 2, name);
    assert.deepEqual(events, ["put", "put"], name);
  }
});

test("an answer whose text would be too long for a string is refused", async (t) => {
  const { port, hung, streams, events } = await openDoor(t);
  const tooLong = Buffer.alloc(jsonMessageBytesMax + 1);
  const refusal = `larger than max \\(${tooLong.length} vs. ${jsonMessageBytesMax}\\)`;
  const raw = new Raw(port);
  raw.send(request("POST /v3/kv/range", "{}"));
  await settled(() => hung.length === 1);
  hung[0]?.respond(tooLong);
  await raw.until(new RegExp(`^HTTP/1.1 429 .*trying to send message ${refusal}.*"code":8}$`, "s"));
  const watching = new Raw(port);
  watching.send(request("POST /v3/watch", '{"create_request":{}}'));
  await settled(() => streams.length === 1);
  assert.equal(streams[0]?.write(tooLong), false);
  await watching.until(new RegExp(refusal));
  assert.ok(events.includes("cancel"));
});

test("a deadline of the client ends a call", async (t) => {
  const { port, hung } = await openDoor(t);
  const raw = new Raw(port);
  raw.send(request("POST /v3/kv/range", "{}", "grpc-timeout: 20m\r\n"));
  await raw.until(/^HTTP\/1\.1 504 .*context deadline exceeded.*"code":4}$/s);
  assert.equal(hung[0]?.cancelled, true);
});

/** Turns of the event loop until `done`. */
async function settled(done: () => boolean): Promise<void> {
  const giveUp = Date.now() + 60_000;
  while (!done()) {
    assert.ok(Date.now() < giveUp, "nothing more happens");
    await new Promise(setImmediate);
  }
}

test("an address for metrics tells numbers and health, and nothing else", async (t) => {
  const methods: MethodTable = {
    unary: new Map([["/etcdserverpb.KV/Put", (call) => call.respond(putAnswer)]]),
    stream: new Map(),
  };
  const onMistake = (error: unknown): void => assert.fail(`${error}`);
  const pages = new Map(
    ["/metrics", "/health"].map((path) => [path, textPage("text/plain", () => path)]),
  );
  const upgrades = new Map<string, UpgradeHandler>([["/v1/ws", () => assert.fail("an upgrade")]]);
  const listener = new Listener({ onMistake });
  listener.serve(methods, openHttpDoor({ methods, onMistake, pages, upgrades }));
  t.after(() => listener.close({ graceMs: 0 }));
  const { port } = await listener.listen({ host: "127.0.0.1", port: 0 }, { serves: "metrics" });
  const head = "host: a\r\nconnection: close\r\n";
  const rows: readonly (readonly [sent: string, want: RegExp])[] = [
    [`GET /metrics HTTP/1.1\r\n${head}\r\n`, /^HTTP\/1.1 200 .*\/metrics$/s],
    [`GET /health HTTP/1.1\r\n${head}\r\n`, /^HTTP\/1.1 200 .*\/health$/s],
    [`GET /version HTTP/1.1\r\n${head}\r\n`, /^HTTP\/1.1 404 /],
    [request("POST /v3/kv/put", '{"key":"YQ=="}', "connection: close\r\n"), /^HTTP\/1.1 404 /],
    [
      "GET /v1/ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
      /^HTTP\/1.1 404 /,
    ],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", /^$/],
  ];
  for (const [sent, want] of rows) {
    const raw = new Raw(port);
    raw.send(sent);
    await raw.closed();
    assert.match(raw.text, want, sent);
  }
});
