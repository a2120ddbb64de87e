// The same JSON requests to Quorlet's gateway and to that of a real etcd, right ones and odd ones.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Prng } from "../../src/base/prng.ts";
import { canonical, canonicalText } from "../support/canonicalJson.ts";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { GatewayClient, type GatewayRequest } from "../support/gatewayClient.ts";
import { GatewayGenerator } from "../support/gatewayGenerator.ts";
import { type RunningCluster, Server } from "../support/server.ts";

const binary = findEtcd();
const skip = binary === undefined ? noEtcdReason : false;
const seed = Number(process.env.QUORLET_SEED ?? 6);
/** Odd requests change nothing, so several may be under way. */
const atOnce = 8;
const randomRequests = 500;

interface Pair {
  readonly oracle: GatewayClient;
  readonly subject: GatewayClient;
  readonly running: readonly RunningCluster[];
}

const kept: { pair?: Pair } = {};

before(async () => {
  if (binary === undefined) return;
  const running = await Promise.all([Etcd.start({ binary }), Server.start({ members: 1 })]);
  const [oracle, subject] = running.map(({ endpoints }) => new GatewayClient(endpoints[0] ?? ""));
  if (oracle !== undefined && subject !== undefined) kept.pair = { oracle, subject, running };
});

after(async () => {
  kept.pair?.oracle.close();
  kept.pair?.subject.close();
  await Promise.all((kept.pair?.running ?? []).map((cluster) => cluster.stop()));
});

function pair(): Pair {
  assert.ok(kept.pair);
  return kept.pair;
}

const put = '{"key":"Zm9v","value":"YmFy"}';
const longValue = "A".repeat(2_900_000);

/** Requests by path; none changes the state but the first. */
const oddRequests: readonly GatewayRequest[] = [
  post("/v3/kv/put", put),
  ...[
    ...['{"key":"Zm9v"}', "", "   ", "null", "[]", "nxll", "tru", "{}{}", "{}x", "5", '"a"', "-"],
    ...['{"key":"Zm9v"', '{"key":"Zm9v",}', '{"key" "Zm9v"}', "{key:1}", '{"key":}', "{,}", "{"],
    ...['{"key":"\\x"}', '{"key":"\\u12G4"}', '{"key":"\\ud800"}', '{"key":"\\ud800abcdefgh"}'],
    ...['{"key":"Zm9v","limit":01}', '{"key":"Zm9v","limit":-}', '{"key":"Zm9v","limit":1.}'],
    ...['{"key":"Zm9v","limit":1e}', '{"key":"Zm9v","limit":.5}', '{"key":"Zm9v"} junk'],
    ...['{"key":"a\nb"}', "{\"key\":'a'}", '{"key":"Zm9v" "limit":1}', '{"key":"Zm9v"]'],
    ...['{"key":"Zm9v","range_end":5}', '{"key":"Zm9v","key":"Zm9v"}', '{"key":{}}', '{"key":[]}'],
    ...['{"key":"Zm9v","serializable":1}', '{"key":"Zm9v","serializable":"true"}'],
    ...['{"key":"Zm9v","sort_order":true}', '{"key":"Zm9v","sort_order":1.5}'],
    ...['{"key":"Zm9v","sortOrder":"NOPE"}', '{"key":"Zm9v","sortOrder":2,"sort_order":1}'],
    ...['{"key":"Zm9v","limit":"x"}', '{"key":"Zm9v","limit":""}', '{"key":"Zm9v","limit":" 1"}'],
    ...[
      '{"key":"Zm9v","limit":"1 2"}',
      '{"key":"Zm9v","limit":"1,"}',
      '{"key":"Zm9v","limit":"1a"}',
    ],
    ...[
      '{"key":"Zm9v","limit":1e2}',
      '{"key":"Zm9v","limit":1.50e1}',
      '{"key":"Zm9v","limit":1.5}',
    ],
    ...['{"key":"Zm9v","limit":9223372036854775807}', '{"key":"Zm9v","limit":9223372036854775808}'],
    ...['{"key":"Zm9v","limit":-9223372036854775808}', '{"key":"Zm9v","limit":1e400}'],
    ...['{"key":"Zm9v","limit":null,"range_end":null}', '{"key":"Zm9v","[a.b]":1,"@type":"x"}'],
    ...['{"__proto__":{"key":1},"constructor":[],"key":"Zm9v"}', '{"toString":1}'],
    ...['{"key":"Zm8"}', '{"key":"Zm8="}', '{"key":"Zm8=="}', '{"key":"Zm8==="}', '{"key":"Z"}'],
    ...['{"key":"Zm9"}', '{"key":"_-8"}', '{"key":"_+8="}', '{"key":"!!!"}', '{"key":"Zm 9v"}'],
    ...['{"key":"Zm\\n9v"}', '{"key":"Zm=v"}', '{"key":"=m9v"}', '{"key":"\\u005am9v"}'],
    ...['{"\\u006bey":"Zm9v"}', '{"key":"Zm9v","é":"ü"}', '\n\n  {"key":"Zm9v",\n "limit":"é!"}'],
    `{"key":"Zm9v","deep":${"[".repeat(200)}${"]".repeat(200)}}`,
    `{"key":"Zm9v","deep":${"[".repeat(10_001)}${"]".repeat(10_001)}}`,
    `{"a":"${"x".repeat(100_000)}","key":"Zm9v"}`,
  ].map((body) => post("/v3/kv/range", body)),
  post("/v3/kv/range", Buffer.from('{"key":"a\xff"}', "latin1")),
  post("/v3/kv/range", Buffer.from('{"x":"a\xff","key":"Zm9v"}', "latin1")),
  ...[
    ...['{"success":[null]}', '{"success":{}}', '{"success":[{}]}', '{"success":null}', "{}"],
    ...['{"success":[{"request_put":{"key":"Zm9v"},"requestRange":{"key":"Zm9v"}}]}'],
    ...['{"success":[{"request_range":{"key":"Zm9v"}}],"success":[]}', '{"success":[1]}'],
    ...['{"compare":[{"key":"Zm9v","target":"NOPE","version":"1e0"}]}', '{"success":[{},]}'],
    ...['{"compare":[{"key":"Zm9v","target":"VERSION","version":1.0}]}', '{"compare":[{}]}'],
    ...['{"compare":[{"key":"Zm9v","target":"VALUE","value":"YmFy"}],"success":[]}'],
    ...['{"compare":[{"key":"Zm9v","version":1,"value":"YmFy"}]}', '{"compare":[[]]}'],
  ].map((body) => post("/v3/kv/txn", body)),
  post("/v3/kv/put", `{"key":"Zm9v","value":"${longValue.slice(0, 2_200_000)}"}`),
  post("/v3/kv/put", `{"key":"Zm9v","value":"${longValue}"}`),
  ...["GET", "PUT", "DELETE", "PATCH", "OPTIONS"].map((method) => ({
    method,
    path: "/v3/kv/range",
  })),
  ...["/v3/kv/nothing", "/v3/kv/range/", "/v3/", "/v3alpha/kv/range", "/", "/v2/keys", "/nope"].map(
    (path) => post(path, put),
  ),
  { method: "GET", path: "/v3/kv/nothing" },
  { method: "POST", path: "/v3/kv/range?key=Zm9v&limit=1", body: '{"key":"Zm9v"}' },
  ...["5x", "1n", "5S", "123456789S", "S", ""].map((timeout) => ({
    ...post("/v3/kv/range", '{"key":"Zm9v"}'),
    headers: { "grpc-timeout": timeout },
  })),
  { ...post("/v3/kv/range", '{"key":"Zm9v"}'), headers: { "content-type": "text/plain" } },
  { ...post("/v3/kv/range", '{"key":"Zm9v"}'), headers: { "grpc-metadata-hasleader": "true" } },
  post("/v3/cluster/member/list", "{}"),
  post("/v3/maintenance/alarm", "{}"),
  post("/v3/maintenance/alarm", '{"action":"GET","alarm":"NOSPACE"}'),
  post("/v3/kv/compaction", '{"revision":"99"}'),
  ...[
    ...["/version", "/version?x=1", "/nope", "/health", "/health?serializable=true"],
    ...["/health?exclude=NOSPACE", "/livez", "/livez?verbose", "/readyz", "/livez/nope", "/livez/"],
    ...["/livez/serializable_read", "/readyz/linearizable_read?verbose", "/readyz/non_learner"],
    ...["/livez?exclude=serializable_read", "/livez?exclude=nope&verbose"],
  ].map((path) => ({ method: "GET", path })),
  ...["/version", "/health", "/livez"].map((path) => post(path, "{}")),
];

function post(path: string, body: Buffer | string): GatewayRequest {
  return { method: "POST", path, body };
}

test("odd requests get etcd's status, code and text", { skip }, async () => {
  const differences: string[] = [];
  let compared = 0;
  const [first, ...others] = oddRequests;
  assert.ok(first);
  assert.equal(await differenceOf(first), undefined);
  for (let i = 0; i < others.length; i += atOnce) {
    const some = others.slice(i, i + atOnce);
    const found = await Promise.all(some.map((request) => differenceOf(request)));
    compared += some.length;
    differences.push(...found.filter((difference) => difference !== undefined));
  }
  assert.equal(differences.join("\n"), "");
  assert.ok(compared > 100);
});

test(`random requests get etcd's answers, seed ${seed}`, { skip }, async () => {
  const generator = new GatewayGenerator(new Prng(seed));
  const kinds = new Map<string, number>();
  for (let i = 0; i < randomRequests; i++) {
    const request = generator.next();
    const difference = await differenceOf(request, (kind) =>
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1),
    );
    assert.equal(difference, undefined, `request ${i} of seed ${seed}`);
  }
  // Not everything may be refused, and not everything accepted.
  assert.ok((kinds.get("200") ?? 0) > randomRequests / 4, JSON.stringify([...kinds]));
  assert.ok((kinds.get("400") ?? 0) > randomRequests / 10, JSON.stringify([...kinds]));
});

test("watches give etcd's lines", { skip }, async () => {
  const { oracle, subject } = pair();
  for (const client of [oracle, subject]) {
    await client.post("/v3/kv/put", { key: "d2F0Y2g=", value: "MQ==" });
    await client.post("/v3/kv/deleterange", { key: "d2F0Y2g=" });
  }
  const from = JSON.parse((await oracle.post("/v3/kv/range", { key: "eA==" })).text);
  const start = Number(from.header.revision) - 1;
  const create = `{"create_request":{"key":"d2F0Y2g=","start_revision":${start},"watch_id":"5"}}`;
  const rows: readonly (readonly [body: string, lineCount: number])[] = [
    [create, 2],
    [`${create}{"cancel_request":{"watch_id":5}}`, 2],
    [`${create}\n{"progressRequest":{}}`, 2],
    ['{"createRequest":{"key":"AA==","startRevision":-1}}', 1],
    ['{"create_request":{"key":"Yg==","range_end":"YQ=="}}', 1],
  ];
  for (const [body, lineCount] of rows) {
    const [wanted, got] = await Promise.all(
      [oracle, subject].map((client) => client.lines(post("/v3/watch", body), lineCount)),
    );
    assert.deepEqual(got?.map(canonicalText), wanted?.map(canonicalText), body);
    assert.equal(got?.length, lineCount, body);
  }
});

async function differenceOf(
  request: GatewayRequest,
  count: (kind: string) => void = () => {},
): Promise<string | undefined> {
  const { oracle, subject } = pair();
  const [wanted, got] = await Promise.all([oracle.ask(request), subject.ask(request)]);
  count(`${wanted.status}`);
  const [want, have] = [canonical(wanted), canonical(got)];
  if (want === have) return undefined;
  const body = `${request.body ?? ""}`.slice(0, 120);
  return `${request.method} ${request.path} ${body}\n  etcd: ${want}\n  ours: ${have}`;
}
