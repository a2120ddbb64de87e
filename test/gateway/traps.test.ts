// Known traps of JSON and HTTP doors, a named test each: the right error, soon, and the door serves on.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { openHttpDoor } from "../../src/door/httpDoor.ts";
import { Listener } from "../../src/door/listener.ts";
import type { AccessRules } from "../../src/gateway/access.ts";
import type { UnaryCall } from "../../src/grpc/call.ts";
import { GatewayClient } from "../support/gatewayClient.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import { Raw } from "../support/rawConnection.ts";

interface Door {
  readonly port: number;
  /** Range requests as they reached the member. */
  readonly seen: Record<string, unknown>[];
  post(body: string): Promise<{ readonly status: number; readonly text: string }>;
}

async function openDoor(t: TestContext, access?: AccessRules): Promise<Door> {
  const seen: Record<string, unknown>[] = [];
  const answer = encodeMessage("RangeResponse", { count: "1" });
  const range = (call: UnaryCall, message: Uint8Array): void => {
    seen.push(decodeMessage("RangeRequest", Uint8Array.from(message)));
    call.respond(answer);
  };
  const methods = { unary: new Map([["/etcdserverpb.KV/Range", range]]), stream: new Map() };
  const onMistake = (error: unknown): void => assert.fail(`${error}`);
  const listener = new Listener({ onMistake });
  const { port } = await listener.listen({ host: "127.0.0.1", port: 0 });
  listener.serve(methods, openHttpDoor({ methods, onMistake, ...(access && { access }) }));
  const client = new GatewayClient(`127.0.0.1:${port}`);
  t.after(async () => {
    client.close();
    await listener.close({ graceMs: 0 });
  });
  const post = (body: string) => client.ask({ method: "POST", path: "/v3/kv/range", body });
  return { port, seen, post };
}

const refusal = /^\{"error":"(.*)","message":"\1","code":3\}$/;

test("__proto__, constructor and toString are names like any other", async (t) => {
  const { post, seen } = await openDoor(t);
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "\\u005f_proto__"];
  for (const name of names) {
    for (const value of ["1", "null", '{"key":"AA==","isAdmin":true}', "[[]]"]) {
      const { status } = await post(`{"${name}":${value},"key":"Zm9v"}`);
      assert.equal(status, 200, `${name}: ${value}`);
    }
  }
  assert.ok(seen.every((request) => Object.keys(request).join() === "key"));
  assert.equal(({} as Record<string, unknown>).isAdmin, undefined);
});

test("bad base64 is refused, whichever reader sees it", async (t) => {
  const { post, seen } = await openDoor(t);
  for (const text of ["Zm9v=", "Z===", "====", "Zm9v!", "Zm 9v", "Zm9v\\u0000", "_+8=", "é"]) {
    for (const body of [`{"key":"${text}"}`, `{"key":"${text}","unknown":{}}`]) {
      const answer = await post(body);
      assert.equal(answer.status, 400, text);
      assert.match(answer.text, refusal, text);
    }
  }
  assert.equal(seen.length, 0);
});

test("a number of 64 bits is exact or refused, also where it comes as a float", async (t) => {
  const { post, seen } = await openDoor(t);
  const rows: readonly (readonly [text: string, want: string | undefined])[] = [
    ["9007199254740993", "9007199254740993"],
    ['"9223372036854775807"', "9223372036854775807"],
    ["9.223372036854775807e18", "9223372036854775807"],
    ["9223372036854775808", undefined],
    ["-9223372036854775808", "-9223372036854775808"],
    ["1.0", "1"],
    ["1.5", undefined],
    ["1e-1", undefined],
    ["1e400", undefined],
    ["NaN", undefined],
    ['"Infinity"', undefined],
  ];
  for (const [text, want] of rows) {
    const { status } = await post(`{"key":"Zm9v","limit":${text}}`);
    assert.equal(status, want === undefined ? 400 : 200, text);
    if (want !== undefined) assert.equal(seen.at(-1)?.limit, want, text);
  }
});

test("a million keys are read in one pass or refused by their size", async (t) => {
  const { post, seen } = await openDoor(t);
  const many = (count: number, member: (i: number) => string): string =>
    `{${Array.from({ length: count }, (_, i) => member(i)).join()},"key":"Zm9v"}`;
  const before = process.cpuUsage();
  assert.equal((await post(many(400_000, () => '"a":1'))).status, 200);
  assert.equal((await post(many(300_000, (i) => `"x${i.toString(36)}":0`))).status, 200);
  const twice = await post(many(300_000, (i) => (i === 299_999 ? '"key":""' : '"b":[]')));
  assert.equal(twice.status, 400);
  assert.match(twice.text, /duplicate field/);
  const whole = await post(many(1_000_000, () => '"a":1'));
  assert.equal(whole.status, 429);
  assert.match(whole.text, /message larger than max/);
  assert.equal((await post('{"key":"Zm9v"}')).status, 200);
  assert.equal(seen.length, 3);
  // Time that grows with the square of the count would be minutes.
  assert.ok(process.cpuUsage(before).user < 30e6);
});

test("nesting and strings without end cost what they are long", async (t) => {
  const { post } = await openDoor(t);
  for (const body of [
    `{"deep":${"[".repeat(1_000_000)}`,
    `{"deep":${'{"a":'.repeat(500_000)}`,
    `{"key":"${"\\".repeat(1_000_001)}`,
    `{"key":"${"\\u0041".repeat(400_000)}`,
  ]) {
    assert.equal((await post(body)).status, 400);
  }
});

test("CVE-2018-1099: a Host that is not on the list is refused by either reader", async (t) => {
  const { port, seen } = await openDoor(t, { cors: ["*"], hostWhitelist: ["good.example"] });
  const ask = async (path: string, host: string): Promise<string> => {
    const raw = new Raw(port);
    raw.send(
      `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 14\r\n\r\n{"key":"Zm9v"}` +
        `GET /version HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    );
    await raw.closed();
    return raw.text;
  };
  // A query is not for our own reader.
  for (const path of ["/v3/kv/range", "/v3/kv/range?encoding=utf8"]) {
    for (const host of ["evil.example", "good.example.evil.example", "127.0.0.1", "[::1]:1"]) {
      assert.match(await ask(path, host), /^HTTP\/1.1 421 .*HTTP\/1.1 421 /s, host);
    }
  }
  assert.equal(seen.length, 0);
  assert.match(await ask("/v3/kv/range", "good.example:2379"), /^HTTP\/1.1 200 .*HTTP\/1.1 200 /s);
});

test("CVE-2018-1098: a page of a foreign origin gets no leave to read an answer", async (t) => {
  const { port } = await openDoor(t, { cors: ["http://good.example"], hostWhitelist: ["*"] });
  const ask = async (method: string, origin: string): Promise<string> => {
    const raw = new Raw(port);
    raw.send(
      `${method} /v3/kv/range HTTP/1.1\r\nHost: a\r\nOrigin: ${origin}\r\nContent-Length: 2\r\n\r\n{}` +
        "GET /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    await raw.closed();
    return raw.text;
  };
  for (const method of ["POST", "OPTIONS"]) {
    for (const origin of ["http://evil.example", "null", "http://good.example.evil", ""]) {
      assert.doesNotMatch(await ask(method, origin), /access-control-allow-origin/i, origin);
    }
    const allowed = await ask(method, "http://good.example");
    assert.match(allowed, /Access-Control-Allow-Origin: http:\/\/good\.example\r\n/, method);
  }
});
