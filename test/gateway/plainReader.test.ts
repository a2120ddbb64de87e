// The short way of reading JSON beside the general one: what both read, they read alike.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.ts";
import { JsonReader } from "../../src/gateway/jsonReader.ts";
import { PlainReader } from "../../src/gateway/plainReader.ts";
import { gatewayPaths } from "../../src/gateway/routes.ts";
import { findMethod, type MessageDescriptor } from "../../src/proto/descriptors.ts";
import { GatewayGenerator } from "../support/gatewayGenerator.ts";

const seed = Number(process.env.QUORLET_SEED ?? 11);
const requests = 8_000;
const put = requestOf("/v3/kv/put");
const range = requestOf("/v3/kv/range");

function requestOf(path: string): MessageDescriptor {
  const method = findMethod(gatewayPaths.get(path) ?? "");
  assert.ok(method);
  return method.request;
}

/** What the general reader makes of it: bytes and end, or its refusal. */
function general(text: Buffer, type: MessageDescriptor): string {
  try {
    const message = new JsonReader({ utf8: false, isGeneral: true }).read(text, type);
    return message === undefined ? "nothing" : `${message.bytes.toString("hex")} ${message.end}`;
  } catch (error) {
    return `${error}`;
  }
}

function plain(text: Buffer, type: MessageDescriptor, from = 0): string | undefined {
  const message = new PlainReader().read(text, type, from);
  return message && `${message.bytes.toString("hex")} ${message.end}`;
}

test(`random requests read the short way are those of the general reader, seed ${seed}`, () => {
  const generator = new GatewayGenerator(new Prng(seed));
  let taken = 0;
  for (let i = 0; i < requests; i++) {
    const { path, body = "" } = generator.next();
    const text = Buffer.from(body);
    const short = plain(text, requestOf(path));
    if (short === undefined) continue;
    taken++;
    assert.equal(short, general(text, requestOf(path)), `${path} ${body}`);
  }
  assert.ok(taken > requests / 20, `${taken} were plain`);
});

test("what clients usually send is plain", () => {
  const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString("base64");
  const rows: readonly (readonly [MessageDescriptor, string])[] = [
    [put, `{"key":"Zm9v","value":"${value}"}`],
    [put, `{"key": "Zm8=", "value": "Zg==", "lease": "7587862094", "prev_kv": true}`],
    [put, '{"value":"","key":"Zm9v","prevKv":false,"lease":0}'],
    [range, '{"key":"AA==","range_end":"AA==","limit":10,"serializable":true}'],
    [range, '\r\n\t{ "key" : "Zm9v" , "rangeEnd" : "Zm9w" , "keysOnly" : true }\n'],
    [range, "{}"],
    [range, '{"key":"Zm9v"}{"key":"YQ=="}'],
  ];
  for (const [type, text] of rows) {
    assert.equal(plain(Buffer.from(text), type), general(Buffer.from(text), type), text);
  }
});

test("what is not plain beyond doubt is left to the general reader", () => {
  const bodies = [
    ...['{"key":"Zm9v","key":"Zm9v"}', '{"rangeEnd":"YQ==","range_end":"YQ=="}', '{"nope":1}'],
    ...['{"key":"Zm9"}', '{"key":"Zm9v=="}', '{"key":"===="}', '{"key":"Z==="}', '{"key":"Zm=v"}'],
    ...['{"key":"_-8="}', '{"key":"Zm\\n9v"}', '{"key":"Zm 9"}', '{"key":"\u00e9\u00e9"}'],
    ...['{"limit":01}', '{"limit":1.0}', '{"limit":1e1}', '{"limit":-1}', '{"limit":"1 "}'],
    ...[
      '{"limit":9223372036854775807}',
      '{"limit":"1}',
      '{"limit":1',
      '{"limit":}',
      '{"limit":""}',
    ],
    ...[
      '{"serializable":1}',
      '{"serializable":"true"}',
      '{"serializable":tru}',
      '{"sort_order":1}',
    ],
    ...['{"key":null}', '{"key":"Zm9v",}', '{"key":"Zm9v"', '{"key" "Zm9v"}', "[]", "", " ", "{,}"],
    ...['{"__proto__":{"key":1},"key":"Zm9v"}', '{"\\u006bey":"Zm9v"}', '{"key":"Zm9v"]'],
  ];
  for (const body of bodies) assert.equal(plain(Buffer.from(body), range), undefined, body);
  assert.equal(plain(Buffer.from(`{"key":"${"A".repeat(70_000)}"}`), range), undefined);
});
