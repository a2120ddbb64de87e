// Long answers as JSON: the same text in parts as at once, over every HTTP, a part a turn, as the client reads.
import assert from "node:assert/strict";
import { connect } from "node:http2";
import { type TestContext, test } from "node:test";
import { Prng } from "../../src/base/prng.ts";
import { openHttpDoor } from "../../src/door/httpDoor.ts";
import { Listener } from "../../src/door/listener.ts";
import { defaultGatewayLimits, type HttpReply } from "../../src/gateway/exchange.ts";
import { JsonParts, writeJson } from "../../src/gateway/jsonWriter.ts";
import { PartsAnswer } from "../../src/gateway/partsAnswer.ts";
import type { UnaryCall } from "../../src/grpc/call.ts";
import { DeadlineWheel } from "../../src/grpc/deadlines.ts";
import { findMessage } from "../../src/proto/descriptors.ts";
import { ManualTimers } from "../http2/manualTimers.ts";
import { GatewayClient } from "../support/gatewayClient.ts";
import { encodeMessage } from "../support/messages.ts";
import { Raw } from "../support/rawConnection.ts";

const type = findMessage("etcdserverpb.RangeResponse");
const text = (part: object): Uint8Array => encodeMessage("RangeResponse", part);

/** Head, rows and tail as a long range encodes them. */
function answerOf(counts: readonly number[], valueBytes = 3): readonly Uint8Array[] {
  let key = 0;
  const kvs = (count: number): object[] =>
    Array.from({ length: count }, () => ({
      key: Buffer.from(`ké${key++}`),
      value: Buffer.alloc(valueBytes, "ü"),
      mod_revision: `${key}`,
    }));
  const rows = counts.map((count) => text({ kvs: kvs(count) }));
  return [text({ header: { revision: "7" } }), ...rows, text({ count: `${key}`, more: true })];
}

test("JSON in parts is the JSON of the whole", () => {
  const random = new Prng(3);
  const nothing = new Uint8Array(0);
  const answers = [
    [nothing],
    [text({ header: { revision: "7" } }), nothing],
    answerOf([]),
    answerOf([0, 1, 0]),
    ...Array.from({ length: 30 }, () =>
      answerOf(Array.from({ length: random.integer(6) }, () => random.integer(4))),
    ),
    [text({ kvs: [{ key: Buffer.from("a") }] }), text({ kvs: [{}] })],
  ];
  for (const parts of answers) {
    for (const utf8 of [false, true]) {
      const json = new JsonParts(type, { utf8 });
      const got = parts.map((part) => json.next(part)).join("") + json.end();
      assert.equal(got, writeJson(Buffer.concat(parts), type, { utf8 }));
      JSON.parse(got);
    }
  }
});

/** Doors that answer every range with these parts, by our own HTTP/1.1 and by Node's. */
async function openDoors(t: TestContext, parts: readonly Uint8Array[]) {
  const open = async (isSlow: boolean): Promise<number> => {
    const range = (call: UnaryCall): void => void setImmediate(() => call.respondInParts(parts));
    const methods = {
      unary: new Map([["/etcdserverpb.KV/Range", range]]),
      stream: new Map(),
    };
    const onMistake = (error: unknown): void => assert.fail(`${error}`);
    const listener = new Listener({ onMistake });
    const { port } = await listener.listen({ host: "127.0.0.1", port: 0 });
    listener.serve(methods, openHttpDoor({ methods, onMistake, isSlow }));
    t.after(() => listener.close({ graceMs: 0 }));
    return port;
  };
  return { quick: await open(false), slow: await open(true) };
}

const path = "/v3/kv/range?encoding=utf8";
const asked = (more: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\n${more}Content-Length: 2\r\n\r\n{}`;

function overHttp2(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${port}`);
    const stream = session.request({ ":method": "POST", ":path": path });
    let body = "";
    stream.setEncoding("utf8");
    stream.on("data", (chunk) => {
      body += chunk;
    });
    stream.on("error", reject);
    stream.on("end", () => {
      session.destroy();
      resolve(body);
    });
    stream.end("{}");
  });
}

test("a long answer is the same over every HTTP, and other turns come between its parts", async (t) => {
  const parts = answerOf(
    Array.from({ length: 40 }, () => 200),
    300,
  );
  const want = writeJson(Buffer.concat(parts), type, { utf8: true });
  const { quick, slow } = await openDoors(t, parts);
  for (const port of [quick, slow]) {
    const client = new GatewayClient(`127.0.0.1:${port}`);
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    count();
    const answer = await client.ask({ method: "POST", path, body: "{}" });
    isOver = true;
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["transfer-encoding"], "chunked");
    assert.equal(answer.text, want);
    assert.ok(turns >= parts.length, `${turns} turns`);
    // The connection goes on behind it.
    assert.equal((await client.ask({ method: "POST", path, body: "{}" })).text, want);
    client.close();
    assert.equal(await overHttp2(port), want);
  }
  // Byte for byte what Node makes of it, also behind one another.
  const [ours, nodes] = await Promise.all(
    [quick, slow].map(async (port) => {
      const raw = new Raw(port);
      raw.send(asked("") + asked("Connection: close\r\n"));
      await raw.closed();
      return raw.text.replace(/^Date: .*$/gm, "Date: now");
    }),
  );
  assert.equal(ours, nodes);
});

test("an answer of few bytes is written at once, with its length", async (t) => {
  const { quick } = await openDoors(t, answerOf([2, 3]));
  const client = new GatewayClient(`127.0.0.1:${quick}`);
  const { headers, text: body } = await client.ask({ method: "POST", path, body: "{}" });
  assert.equal(Number(headers["content-length"]), Buffer.byteLength(body));
  client.close();
});

/** A client that takes a part whenever the test lets it. */
class SlowReply implements HttpReply {
  isOver = false;
  readonly backlogBytes = 0;
  taken = "";
  ended = "none";
  #events: Parameters<HttpReply["listen"]>[0] | undefined;

  whole(): void {
    assert.fail("in parts");
  }
  begin(): void {}
  write(part: string): boolean {
    this.taken += part;
    return false;
  }
  end(): void {
    this.ended = "end";
    this.isOver = true;
  }
  abort(): void {
    this.ended = "abort";
    this.isOver = true;
  }
  listen(events: Parameters<HttpReply["listen"]>[0]): void {
    this.#events = events;
  }
  drain(): void {
    this.#events?.onDrain();
  }
}

test("a client gets no more than it takes, and is given up when it takes nothing for long", async () => {
  const stallMsMax = defaultGatewayLimits.answerStallMsMax;
  const turn = (): Promise<void> => new Promise(setImmediate);
  for (const isDeaf of [false, true]) {
    const timers = new ManualTimers();
    const reply = new SlowReply();
    const message = answerOf([1, 1, 1]);
    const json = new JsonParts(type, { utf8: false });
    const deadlines = new DeadlineWheel(timers);
    new PartsAnswer({ reply, json, message, deadlines, stallMsMax }).start();
    for (let i = 0; i < message.length; i++) {
      const { length } = reply.taken;
      await turn();
      await turn();
      assert.equal(reply.taken.length, length, "it waits");
      timers.advance(stallMsMax - 1_000);
      assert.equal(reply.ended, "none");
      if (isDeaf) break;
      reply.drain();
      // A word too much.
      reply.drain();
      await turn();
    }
    timers.advance(2_000);
    assert.equal(reply.ended, isDeaf ? "abort" : "end");
    if (isDeaf) continue;
    assert.equal(reply.taken, writeJson(Buffer.concat(message), type, { utf8: false }));
    assert.equal(deadlines.count, 0);
  }
});
