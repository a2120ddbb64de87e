// Every path of the JSON gateway with right and wrong requests, beside a real etcd, in the order of a story.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { gatewayPaths } from "../../src/gateway/routes.ts";
import { canonical, canonicalText } from "../support/canonicalJson.ts";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { type GatewayAnswer, GatewayClient } from "../support/gatewayClient.ts";
import { type RunningCluster, Server } from "../support/server.ts";

const binary = findEtcd();
const waitMsMax = 30_000;

const snapshot = "/v3/maintenance/snapshot";
/**
 * No row can be right where there is but one member, for which test/wire/membership.test.ts stands, and
 * none where there are no users and roles, nor can be, and no downgrade.
 */
const onlyWrong = [
  "/v3/cluster/member/promote",
  "/v3/maintenance/downgrade",
  ...["enable", "authenticate"].map((name) => `/v3/auth/${name}`),
  ...["add", "get", "delete", "changepw", "grant", "revoke"].map((name) => `/v3/auth/user/${name}`),
  ...["add", "get", "delete", "grant", "revoke"].map((name) => `/v3/auth/role/${name}`),
];

/** What one side learnt on its way: ids are each cluster's own. */
interface Known {
  self: string;
  added: string;
  leader: object;
}

type Body = string | ((known: Known) => object);
/** A number: of a stream, so many lines are read. */
type Row = readonly [path: string, body: Body, lines?: number];

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const leader = ({ leader }: Known): object => ({ leader });
const electionKey = (name: string): object => ({
  name: base64(name),
  key: base64(name),
  rev: 1,
  lease: 9,
});

/** While one is on; it was raised twice, and what else is asked of it has no order in etcd. */
function alarms(alarm: string): readonly Row[] {
  const path = "/v3/maintenance/alarm";
  const put = '{"key":"YQ==","value":"MQ=="}';
  const txn =
    (...success: object[]): Body =>
    () => ({ success });
  return [
    ["/v3/lease/grant", '{"ID":710,"TTL":600}'],
    [path, () => ({ action: "ACTIVATE", alarm })],
    [path, () => ({ action: "ACTIVATE", alarm })],
    [path, () => ({ action: "GET" })],
    [path, () => ({ action: "GET", alarm, memberID: "5" })],
    [path, () => ({ action: "GET", alarm: "NONE" })],
    ["/v3/maintenance/status", "{}"],
    ["/v3/kv/put", put],
    ["/v3/kv/put", '{"key":"YQ==","lease":"999"}'],
    ["/v3/kv/range", '{"key":"YQ=="}'],
    ["/v3/kv/deleterange", '{"key":"YQ=="}'],
    ["/v3/kv/txn", txn({ request_put: { key: "YQ==" } })],
    ["/v3/kv/txn", txn({ request_range: { key: "YQ==" } })],
    ["/v3/kv/txn", txn({ request_delete_range: { key: "YQ==" } })],
    ["/v3/kv/txn", txn({ request_txn: { success: [{ request_put: { key: "YQ==" } }] } })],
    ["/v3/kv/compaction", '{"revision":"3"}'],
    ["/v3/lease/grant", '{"ID":711,"TTL":600}'],
    ["/v3/lease/keepalive", '{"ID":710}', 1],
    ["/v3/lease/revoke", '{"ID":999}'],
    ["/v3/lease/revoke", '{"ID":710}'],
    ["/v3/lock/lock", '{"name":"bG9jaw==","lease":710}'],
    [path, () => ({ action: "DEACTIVATE", alarm, memberID: "5" })],
    [path, () => ({ action: "DEACTIVATE", alarm })],
    ["/v3/kv/put", put],
    ["/v3/lease/revoke", '{"ID":710}'],
  ];
}

const story: readonly Row[] = [
  ["/v3/kv/put", '{"key":"YQ==","value":"MQ=="}'],
  ["/v3/kv/put", "{}"],
  ["/v3/kv/range", '{"key":"YQ=="}'],
  ["/v3/kv/range", "{}"],
  [
    "/v3/kv/txn",
    '{"compare":[{"key":"YQ==","version":1}],"success":[{"request_put":{"key":"Yg=="}}]}',
  ],
  ["/v3/kv/txn", '{"success":[{"request_put":{"key":"Yg=="}},{"request_put":{"key":"Yg=="}}]}'],
  ["/v3/kv/deleterange", '{"key":"Yg==","prev_kv":true}'],
  ["/v3/kv/deleterange", "{}"],
  ["/v3/kv/compaction", '{"revision":2,"physical":true}'],
  ["/v3/kv/compaction", '{"revision":2}'],
  ["/v3/kv/compaction", '{"revision":"999999"}'],
  ["/v3/watch", '{"create_request":{"key":"YQ==","start_revision":2}}', 2],
  // To what is no JSON of its kind etcd says nothing until the stream is over.
  ["/v3/watch", '{"create_request":{"key":"Yg==","range_end":"YQ=="}}', 1],
  ["/v3/lease/grant", '{"ID":700,"TTL":600}'],
  ["/v3/lease/grant", '{"ID":"700","TTL":"600"}'],
  ["/v3/lease/grant", '{"TTL":9000000001}'],
  ["/v3/lease/grant", '{"TTL":"x"}'],
  ["/v3/kv/put", '{"key":"bGVhc2Vk","lease":"700"}'],
  ["/v3/kv/put", '{"key":"bGVhc2Vk","lease":"999"}'],
  ...["/v3/lease/timetolive", "/v3/kv/lease/timetolive"].flatMap((path): readonly Row[] => [
    [path, '{"ID":700,"keys":true}'],
    [path, '{"ID":999}'],
    [path, '{"ID":[]}'],
  ]),
  ...["/v3/lease/leases", "/v3/kv/lease/leases"].flatMap((path): readonly Row[] => [
    [path, "{}"],
    [path, "[]"],
  ]),
  ["/v3/lease/keepalive", '{"ID":700}', 1],
  ["/v3/lease/keepalive", '{"ID":999}', 1],
  ["/v3/lock/lock", '{"name":"bG9jaw==","lease":700}'],
  ["/v3/lock/lock", '{"name":"bG9jaw==","lease":999}'],
  ["/v3/lock/unlock", () => ({ key: base64("lock/2bc") })],
  ["/v3/lock/unlock", () => ({ key: base64("nobody's") })],
  ["/v3/lock/unlock", "{}"],
  ["/v3/election/leader", '{"name":"ZWxlY3Rpb24="}'],
  ["/v3/election/campaign", '{"name":"ZWxlY3Rpb24=","lease":999,"value":"dg=="}'],
  ["/v3/election/campaign", '{"name":"ZWxlY3Rpb24=","lease":700,"value":"dg=="}'],
  ["/v3/election/leader", '{"name":"ZWxlY3Rpb24="}'],
  ["/v3/election/observe", '{"name":"ZWxlY3Rpb24="}', 1],
  ["/v3/election/observe", '{"name":7}'],
  ["/v3/election/proclaim", (known) => ({ ...leader(known), value: base64("w") })],
  ["/v3/election/proclaim", '{"value":"dw=="}'],
  ["/v3/election/proclaim", () => ({ leader: electionKey("stranger"), value: base64("w") })],
  ["/v3/election/resign", leader],
  ["/v3/election/resign", leader],
  ["/v3/election/resign", "{}"],
  ["/v3/lease/revoke", '{"ID":999}'],
  ["/v3/lease/revoke", '{"ID":700}'],
  ["/v3/lease/grant", '{"ID":701,"TTL":600}'],
  ["/v3/kv/lease/revoke", '{"ID":701}'],
  ["/v3/kv/lease/revoke", '{"ID":701}'],
  ["/v3/cluster/member/list", "{}"],
  ["/v3/cluster/member/list", '{"linearizable":true}'],
  ["/v3/cluster/member/list", '{"linearizable":1}'],
  ["/v3/cluster/member/add", '{"peerURLs":["http://127.0.0.1:39991"],"isLearner":true}'],
  ["/v3/cluster/member/add", '{"peerURLs":["http://127.0.0.1:39991"],"isLearner":true}'],
  ["/v3/cluster/member/add", '{"peerURLs":["nope"]}'],
  ["/v3/cluster/member/add", "{}"],
  ["/v3/cluster/member/promote", ({ added }) => ({ ID: added })],
  ["/v3/cluster/member/promote", '{"ID":4711}'],
  [
    "/v3/cluster/member/update",
    ({ added }) => ({ ID: added, peerURLs: ["http://127.0.0.1:39992"] }),
  ],
  ["/v3/cluster/member/update", '{"ID":4711,"peerURLs":["http://127.0.0.1:39993"]}'],
  ["/v3/cluster/member/remove", ({ added }) => ({ ID: added })],
  ["/v3/cluster/member/remove", ({ added }) => ({ ID: added })],
  ["/v3/cluster/member/remove", '{"ID":4711}'],
  ["/v3/maintenance/transfer-leadership", ({ self }) => ({ targetID: self })],
  ["/v3/maintenance/transfer-leadership", '{"targetID":4711}'],
  ["/v3/maintenance/status", "{}"],
  ["/v3/maintenance/status", "7"],
  ["/v3/maintenance/alarm", '{"action":"GET"}'],
  ["/v3/maintenance/alarm", '{"action":"NONE"}'],
  ["/v3/maintenance/alarm", "[]"],
  ["/v3/maintenance/defragment", "{}"],
  ["/v3/maintenance/defragment", "[]"],
  ["/v3/maintenance/hashkv", "{}"],
  ["/v3/maintenance/hashkv", '{"revision":"999999"}'],
  ["/v3/maintenance/hashkv", '{"revision":1}'],
  ["/v3/maintenance/hashkv", '{"revision":"x"}'],
  ["/v3/maintenance/hash", "{}"],
  ["/v3/maintenance/hash", "7"],
  ["/v3/kv/put", JSON.stringify({ key: base64("long"), value: base64("x".repeat(100_000)) })],
  [snapshot, "{}"],
  [snapshot, ""],
  [snapshot, "7"],
  [snapshot, "[]"],
  [snapshot, "{"],
  ["/v3/maintenance/alarm", '{"action":"ACTIVATE","alarm":"NONE"}'],
  ["/v3/maintenance/alarm", '{"action":"DEACTIVATE","alarm":"NOSPACE","memberID":"77"}'],
  ...alarms("NOSPACE"),
  ...alarms("CORRUPT"),
  ...[
    ...[
      "",
      "x",
      "3",
      "3.5",
      "3.5.0",
      "3.3",
      "3.3.0-rc.1+x",
      "v3.4.0",
      "3.4.0.1",
      " 3.4.0",
      "3.4-rc1",
    ].map((version) => ({ version })),
    ...[{ action: "ENABLE", version: "2.4" }, { action: 1, version: "x" }, { action: 7 }],
    ...[{ action: "CANCEL" }, { action: 2, version: "x" }, { version: 3 }, []],
  ].map((body): Row => ["/v3/maintenance/downgrade", JSON.stringify(body)]),
  ...["enable", "disable", "status", "user/list", "role/list"].flatMap((name): readonly Row[] => [
    [`/v3/auth/${name}`, "{}"],
    [`/v3/auth/${name}`, "7"],
  ]),
  ["/v3/auth/authenticate", '{"name":"root","password":"secret"}'],
  ["/v3/auth/authenticate", '{"name":[]}'],
  ...["add", "get", "delete", "changepw", "grant", "revoke"].flatMap((name): readonly Row[] => [
    [`/v3/auth/user/${name}`, "{}"],
    [`/v3/auth/user/${name}`, "[]"],
    [`/v3/auth/user/${name}`, '{"name":""}'],
  ]),
  ["/v3/auth/user/add", '{"password":"secret","options":{"no_password":true}}'],
  ...["get", "delete", "changepw", "revoke"].map(
    (name): Row => [`/v3/auth/user/${name}`, '{"name":"root"}'],
  ),
  ["/v3/auth/user/changepw", '{"name":"root","password":"secret"}'],
  ["/v3/auth/user/grant", '{"user":"root","role":"root"}'],
  ["/v3/auth/user/revoke", '{"name":"root","role":"root"}'],
  ...["add", "get", "delete", "grant", "revoke"].flatMap((name): readonly Row[] => [
    [`/v3/auth/role/${name}`, "{}"],
    [`/v3/auth/role/${name}`, '{"name":7}'],
  ]),
  ["/v3/auth/role/get", '{"role":"root"}'],
  ["/v3/auth/role/delete", '{"role":"reader"}'],
  ["/v3/auth/role/revoke", '{"role":"reader","key":"YQ==","range_end":"Yg=="}'],
  ...[
    ...[
      {},
      { key: "YQ==" },
      { key: "YQ==", range_end: "YQ==" },
      { key: "Yg==", range_end: "YQ==" },
    ],
    ...[{ key: "YQ==", range_end: "AA==" }, { range_end: "AA==" }, { permType: 9, key: "YQ==" }],
    ...[{ permType: "READWRITE", key: "YQ==", range_end: "Yg==" }, { key: "?" }],
  ].map((perm): Row => ["/v3/auth/role/grant", JSON.stringify({ name: "reader", perm })]),
  ["/v3/auth/status", "{}"],
];

/** One cluster, and what it answers. */
class Side {
  readonly name: string;
  readonly #client: GatewayClient;
  readonly #known: Known = { self: "", added: "", leader: {} };

  constructor({ name, endpoints: [endpoint = ""] }: RunningCluster) {
    this.name = name;
    this.#client = new GatewayClient(endpoint);
  }

  async tell([path, asked, lines]: Row): Promise<{ isRight: boolean; text: string }> {
    const body = typeof asked === "string" ? asked : JSON.stringify(asked(this.#known));
    const request = { method: "POST", path, body };
    if (lines !== undefined) {
      const got = (await this.#client.lines(request, lines)).map(canonicalText).map(withoutState);
      return { isRight: got.every(isRightLine), text: got.join("\n") };
    }
    const answer = await this.#client.ask(request);
    if (path === snapshot && answer.text.startsWith('{"result"')) {
      return { isRight: true, text: shapeOfSnapshot(answer) };
    }
    if (answer.status === 200) this.#learn(JSON.parse(answer.text));
    return { isRight: answer.status === 200, text: withoutState(canonical(answer)) };
  }

  close(): void {
    this.#client.close();
  }

  #learn(answer: {
    header?: { member_id: string };
    member?: { ID: string };
    leader?: unknown;
  }): void {
    this.#known.self = answer.header?.member_id ?? this.#known.self;
    this.#known.added = answer.member?.ID ?? this.#known.added;
    // Also the answer of a status has one.
    if (typeof answer.leader === "object") this.#known.leader = answer.leader ?? {};
  }
}

/** Of a file whose length is each server's own: what the messages are like. */
function shapeOfSnapshot({ contentType, text }: GatewayAnswer): string {
  const messages = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).result as { remaining_bytes?: string; blob: string });
  const blobs = messages.map(({ blob }) => Buffer.from(blob, "base64"));
  const file = Buffer.concat(blobs.slice(0, -1));
  let leftBytes = file.length;
  for (const [i, blob] of blobs.slice(0, -1).entries()) {
    leftBytes -= blob.length;
    assert.equal(messages[i]?.remaining_bytes ?? "0", `${leftBytes}`);
    assert.ok(leftBytes === 0 || blob.length === 32_768, `a blob of ${blob.length}`);
  }
  assert.deepEqual(blobs.at(-1), createHash("sha256").update(file).digest());
  assert.ok(messages.length > 3 && file.length % 4096 === 0);
  const fields = [0, -2, -1].map((i) => Object.keys(messages.at(i) ?? {}).join(" "));
  return [contentType, ...fields].join(", ");
}

/** A watch may be refused, a lease be unknown. */
function isRightLine(line: string): boolean {
  if (!line.startsWith('{"result"') || line.includes('"canceled":true')) return false;
  return !line.includes('"ID"') || line.includes('"TTL"');
}

/** @throws with what it waited for. */
async function within<T>(what: string, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("late")), waitMsMax);
  });
  try {
    return await Promise.race([answer, late]);
  } catch (error) {
    throw new Error(`no answer to ${what}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Sizes and positions in the log are each server's own, and of a lease some time may have passed. Ours has
 * the newer field of HashKV, and says of a learner that was moved that it still is one.
 */
function withoutState(text: string): string {
  const own = /"(dbSize|dbSizeInUse|raftIndex|raftTerm|raftAppliedIndex|leader|hash)":("?)\d+\2/g;
  return text
    .replace(own, '"$1":"own"')
    .replace(/"TTL":"(59\d|600)"/g, '"TTL":"600"')
    .replace(/"hash_revision":"\d+",/g, "")
    .replace(/"isLearner":true,/g, "");
}

test("each path answers as etcd's, right and wrong", {
  skip: binary === undefined ? noEtcdReason : false,
}, async () => {
  assert.ok(binary);
  await using etcd = await Etcd.start({ binary });
  await using server = await Server.start({ members: 1 });
  const sides = [etcd, server].map((cluster) => new Side(cluster));
  const seen = new Set<string>();
  const differences: string[] = [];
  for (const row of story) {
    const [wanted, got] = await Promise.all(
      sides.map((side) => within(`${row[0]} ${row[1]} of ${side.name}`, side.tell(row))),
    );
    assert.ok(wanted && got);
    seen.add(`${row[0]} ${wanted.isRight ? "right" : "wrong"}`);
    if (wanted.text === got.text) continue;
    differences.push(`${row[0]} ${row[1]}\n  etcd: ${wanted.text}\n  ours: ${got.text}`);
  }
  for (const side of sides) side.close();
  assert.equal(differences.join("\n"), "");
  const lacking = [...gatewayPaths.keys()]
    .flatMap((path) =>
      onlyWrong.includes(path) ? [`${path} wrong`] : [`${path} right`, `${path} wrong`],
    )
    .filter((kind) => !seen.has(kind));
  assert.deepEqual(lacking, []);
});
