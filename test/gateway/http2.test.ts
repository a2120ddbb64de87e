// JSON over HTTP/2, beside gRPC on the same connection: node:http2 as the client.
import assert from "node:assert/strict";
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from "node:http2";
import { type TestContext, test } from "node:test";
import { openHttpDoor } from "../../src/door/httpDoor.ts";
import { Listener } from "../../src/door/listener.ts";
import type { MethodTable, StreamCall, UnaryCall } from "../../src/grpc/call.ts";
import { encodeMessage } from "../support/messages.ts";

const long = "x".repeat(300_000);

async function openSession(t: TestContext, events: string[] = []): Promise<ClientHttp2Session> {
  const methods: MethodTable = {
    unary: new Map([
      [
        "/etcdserverpb.KV/Put",
        (call: UnaryCall, message: Uint8Array) =>
          call.respond(encodeMessage("PutResponse", { header: { revision: message.length } })),
      ],
    ]),
    stream: new Map([
      [
        "/etcdserverpb.Watch/Watch",
        (call: StreamCall) => {
          call.write(encodeMessage("WatchResponse", { created: true, cancel_reason: long }));
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
  listener.serve(
    methods,
    openHttpDoor({ methods, onMistake, limits: { bodyBytesMax: 1_000_000 } }),
  );
  const session = connect(`http://127.0.0.1:${port}`);
  t.after(async () => {
    session.destroy();
    await listener.close({ graceMs: 0 });
  });
  return session;
}

interface Answer {
  readonly status: unknown;
  readonly type: unknown;
  readonly body: string;
}

async function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body: string | Buffer = "",
): Promise<Answer> {
  const endStream = body.length === 0;
  const stream = session.request({ ":method": "POST", ...headers }, { endStream });
  let status: unknown;
  let type: unknown;
  stream.on("response", (head) => {
    status = head[":status"];
    type = head["content-type"];
  });
  if (!endStream) stream.end(body);
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return { status, type, body: Buffer.concat(parts).toString() };
}

test("the content type decides between JSON and gRPC", async (t) => {
  const session = await openSession(t);
  const put = { ":path": "/v3/kv/put" };
  const rows: readonly (readonly [OutgoingHttpHeaders, string | Buffer, Answer])[] = [
    [
      { ...put, "content-type": "application/json" },
      '{"key":"YQ=="}',
      { status: 200, type: "application/json", body: '{"header":{"revision":"3"}}' },
    ],
    [
      put,
      '{"key":"YWI="}',
      { status: 200, type: "application/json", body: '{"header":{"revision":"4"}}' },
    ],
    [
      { ...put, ":method": "GET" },
      "",
      {
        status: 501,
        type: "application/json",
        body: '{"error":"Method Not Allowed","message":"Method Not Allowed","code":12}',
      },
    ],
    [
      { ":path": "/version", ":method": "GET" },
      "",
      {
        status: 200,
        type: "application/json",
        body: '{"etcdserver":"3.5.30","etcdcluster":"3.5.0"}',
      },
    ],
    [
      { ":path": "/etcdserverpb.KV/Put", "content-type": "application/grpc" },
      Buffer.alloc(5),
      {
        status: 200,
        type: "application/grpc",
        body: "\0\0\0\0\x02\n\0",
      },
    ],
    [{ ":path": "/nothing" }, "", { status: 415, type: "application/grpc", body: "" }],
  ];
  for (const [headers, body, want] of rows) {
    assert.deepEqual(await ask(session, headers, body), want, JSON.stringify(headers));
  }
});

test("long bodies come whole up to their bound, and are refused above it", async (t) => {
  const session = await openSession(t);
  const body = (length: number): string =>
    JSON.stringify({ value: Buffer.alloc(length).toString("base64") });
  const fine = await ask(session, { ":path": "/v3/kv/put" }, body(700_000));
  assert.match(fine.body, /"revision":"700004"/);
  const refused = await ask(session, { ":path": "/v3/kv/put" }, body(900_000));
  assert.equal(refused.status, 429);
  assert.match(refused.body, /received message larger than max/);
});

test("a stream's lines come as they are written, and its end is told", async (t) => {
  const events: string[] = [];
  const session = await openSession(t, events);
  const stream = session.request({ ":method": "POST", ":path": "/v3/watch" });
  stream.write('{"create_request":{}}{"progress_');
  let text = "";
  for await (const part of stream) {
    text += `${part}`;
    if (text.endsWith("\n")) break;
  }
  const line: unknown = JSON.parse(text);
  assert.deepEqual(line, { result: { created: true, cancel_reason: long } });
  stream.close();
  const giveUp = Date.now() + 60_000;
  while (!events.includes("cancel")) {
    assert.ok(Date.now() < giveUp, events.join());
    await new Promise(setImmediate);
  }
  assert.deepEqual(events, ["message", "cancel"]);
});
