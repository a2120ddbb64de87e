// Leases over gRPC, the same asked of Quorlet and of a real etcd; and their end, with its events.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Prng } from "../../src/base/prng.ts";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { KeepAliveClient } from "../support/leaseClient.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import { type RunningCluster, Server } from "../support/server.ts";
import { untilAnswered } from "../support/turns.ts";
import { WatchClient } from "../support/watchClient.ts";
import { WireClient } from "../support/wireClient.ts";

const binary = findEtcd();
const skip = binary ? false : noEtcdReason;
const seed = Number(process.env.QUORLET_SEED ?? Date.now() % 1_000_000);
const int64Max = "9223372036854775807";
const int64Min = "-9223372036854775808";

interface Call {
  readonly method: string;
  readonly fields: object;
}

const types: Readonly<Record<string, readonly [string, string]>> = {
  "Lease/LeaseGrant": ["LeaseGrantRequest", "LeaseGrantResponse"],
  "Lease/LeaseRevoke": ["LeaseRevokeRequest", "LeaseRevokeResponse"],
  "Lease/LeaseTimeToLive": ["LeaseTimeToLiveRequest", "LeaseTimeToLiveResponse"],
  "Lease/LeaseLeases": ["LeaseLeasesRequest", "LeaseLeasesResponse"],
  "KV/Put": ["PutRequest", "PutResponse"],
  "KV/DeleteRange": ["DeleteRangeRequest", "DeleteRangeResponse"],
  "KV/Range": ["RangeRequest", "RangeResponse"],
  "KV/Txn": ["TxnRequest", "TxnResponse"],
};

type Answer = { readonly refusal: string } | { readonly fields: Readonly<Record<string, unknown>> };

async function answerOf(client: WireClient, { method, fields }: Call): Promise<Answer> {
  const [request = "", response = ""] = types[method] ?? [];
  const answer = await client.call(`/etcdserverpb.${method}`, encodeMessage(request, fields));
  return answer.kind === "error"
    ? { refusal: `${answer.code} ${answer.text}` }
    : { fields: decodeMessage(response, answer.message) };
}

interface Header {
  readonly revision?: string;
  readonly raft_term?: string;
}

/** The answer as text, without what may differ: ids of the cluster, order of lists. */
function textOf(answer: Answer): string {
  if ("refusal" in answer) return answer.refusal;
  const { header, keys, leases, ...rest } = answer.fields;
  const { revision }: Header = header ?? {};
  const sorted = [keys, leases].map((list) =>
    Array.isArray(list) ? list.map((each) => JSON.stringify(each)).sort() : list,
  );
  const plain = JSON.stringify([rest, sorted]).replaceAll(
    /"raft_term":"\d+"|"(member|cluster)_id":"\d+"/g,
    "",
  );
  return `@${revision} ${plain}`;
}

const ask = async (client: WireClient, call: Call): Promise<string> =>
  textOf(await answerOf(client, call));

/** A leader that comes gives each lease this much more than it had, at most: both have it from etcd. */
const leaderExtensionSec = 1;

/** One of two that are compared: how much of a lease is left is judged by its own clock, not the other's. */
class Side {
  readonly #grants = new Map<unknown, { readonly sentMs: number; readonly term: unknown }>();

  /** The answer as text, without the seconds that are left, which fit the grant. */
  async ask(client: WireClient, call: Call): Promise<string> {
    const sentMs = performance.now();
    const answer = await answerOf(client, call);
    if ("refusal" in answer) return textOf(answer);
    const { header, ID, TTL, grantedTTL } = answer.fields;
    const { raft_term: term }: Header = header ?? {};
    if (call.method === "Lease/LeaseGrant") this.#grants.set(ID, { sentMs, term });
    if (call.method !== "Lease/LeaseTimeToLive" || TTL === "-1") return textOf(answer);
    const grant = this.#grants.get(ID) ?? assert.fail(`lease ${ID} was never granted`);
    const gone = Math.ceil((performance.now() - grant.sentMs) / 1000);
    const most = Number(grantedTTL) + (term === grant.term ? 0 : leaderExtensionSec);
    const [from, left] = [Number(grantedTTL) - gone, Number(TTL)];
    assert.ok(left >= from && left <= most, `${TTL} of ${grantedTTL} s, at most ${gone} s later`);
    return textOf({ fields: { ...answer.fields, TTL: "what is left" } });
  }
}

const grant = (ID: string | number, TTL: string | number): Call => ({
  method: "Lease/LeaseGrant",
  fields: { ID, TTL },
});
const revoke = (ID: string | number): Call => ({ method: "Lease/LeaseRevoke", fields: { ID } });
const left = (ID: string | number, keys = false): Call => ({
  method: "Lease/LeaseTimeToLive",
  fields: { ID, keys },
});
const list: Call = { method: "Lease/LeaseLeases", fields: {} };
const put = (key: string, lease: string | number, more: object = {}): Call => ({
  method: "KV/Put",
  fields: { key: Buffer.from(key), value: Buffer.from("v"), lease, ...more },
});
const remove = (key: string): Call => ({
  method: "KV/DeleteRange",
  fields: { key: Buffer.from(key) },
});
const everything: Call = {
  method: "KV/Range",
  fields: { key: Buffer.from([0]), range_end: Buffer.from([0]) },
};

/** Granted for less than the shortest time: for that, then. */
const shortIds = [6, 7, 8];
const odd: readonly Call[] = [
  grant(5, 100),
  grant(5, 100),
  grant(5, "9000000001"),
  grant(-5, 100),
  grant(int64Max, 100),
  grant(int64Min, 100),
  grant(6, 0),
  grant(7, -1),
  grant(8, int64Min),
  grant(9, int64Max),
  grant(10, "9000000000"),
  grant(11, "9000000001"),
  left(10),
  left(0),
  left(int64Min, true),
  left("-6", true),
  revoke(0),
  revoke(-6),
  revoke(int64Min),
  revoke(int64Min),
  put("a", int64Max),
  put("a", -5),
  put("b", -5),
  put("b", 12),
  put("c", 0, { ignore_lease: true }),
  put("a", 5, { ignore_lease: true }),
  put("a", 0, { ignore_lease: true }),
  left(-5, true),
  left(int64Max, true),
  put("a", 0),
  left(-5, true),
  remove("b"),
  left(-5, true),
  {
    method: "KV/Txn",
    fields: {
      success: [
        { request_put: { key: Buffer.from("x"), lease: 5 } },
        { request_put: { key: Buffer.from("y"), lease: 999 } },
      ],
    },
  },
  {
    method: "KV/Txn",
    fields: {
      success: [
        { request_put: { key: Buffer.from("x"), lease: 5 } },
        { request_put: { key: Buffer.from("y"), lease: -5 } },
      ],
    },
  },
  everything,
  revoke(5),
  everything,
  revoke(int64Max),
];

/** One of each for all comparisons: who is asked the same goes on alike. */
const kept: { oracle?: Etcd; subject?: Server } = {};
const [wanted, given] = [new Side(), new Side()];
before(async () => {
  if (binary) kept.oracle = await Etcd.start({ binary, flags: ["--unsafe-no-fsync"] });
  kept.subject = await Server.start({ members: 3 });
});
after(async () => {
  await kept.oracle?.[Symbol.asyncDispose]();
  await kept.subject?.stop();
});

function subjectOf(): Server {
  return kept.subject ?? assert.fail("it runs");
}

function both(): { readonly oracle: Etcd; readonly subject: Server } {
  return { oracle: kept.oracle ?? assert.fail("it runs"), subject: subjectOf() };
}

test("odd requests get the answers of a real etcd, on every member", { skip }, async () => {
  await compare(
    both(),
    odd.map((call, i) => ({ call, member: i % 3 })),
  );
});

test("random requests get the answers of a real etcd", { skip }, async (t) => {
  t.diagnostic(`seed ${seed}`);
  const random = new Prng(seed);
  const pick = <T>(...choices: readonly T[]): T =>
    choices[random.integer(choices.length)] ?? assert.fail("no choice");
  const id = (): string => pick("1", "2", "3", "-4", int64Max, int64Min, "0");
  const key = (): string => pick("a", "b", "c", "ab");
  const calls = Array.from({ length: 600 }, () => {
    const call = pick<() => Call>(
      () =>
        grant(pick("1", "2", "3", "-4", int64Max, int64Min), pick("1000", "5000", "9000000001")),
      () => revoke(id()),
      () => left(id(), random.integer(2) === 0),
      () => list,
      () => put(key(), id(), { ignore_lease: random.integer(5) === 0 }),
      () => put(key(), pick("1", "2", "3")),
      () => remove(key()),
      () => everything,
    )();
    return { call, member: random.integer(3) };
  });
  const { oracle, subject } = both();
  for (const endpoint of [...oracle.endpoints, ...subject.endpoints]) await untilGone(endpoint);
  await compare({ oracle, subject }, calls);
});

/** The short leases of the test before end by themselves, on either side at a time of its own. */
async function untilGone(endpoint: string): Promise<void> {
  const client = new WireClient(endpoint);
  try {
    await untilAnswered(async () => {
      const text = await ask(client, list);
      assert.ok(!shortIds.some((id) => text.includes(`"${id}\\"`)), text);
    }, "short leases end");
  } finally {
    client.close();
  }
}

/** Time to live shows a member's own revision, which may be behind; a list, its own leases. */
const isLocal = ({ method }: Call): boolean => method === left(0).method || method === list.method;

/** Local answers are asked for where the last write was answered. */
async function compare(
  { oracle, subject }: { oracle: RunningCluster; subject: RunningCluster },
  calls: readonly { readonly call: Call; readonly member: number }[],
): Promise<void> {
  const judge = new WireClient(oracle.endpoints[0] ?? "");
  const clients = subject.endpoints.map((endpoint) => new WireClient(endpoint));
  try {
    let last = clients[0];
    for (const [i, { call, member }] of calls.entries()) {
      const client = isLocal(call) ? last : clients[member];
      assert.ok(client);
      last = client;
      const [want, got] = [await wanted.ask(judge, call), await given.ask(client, call)];
      assert.equal(got, want, `seed ${seed}, request ${i}: ${JSON.stringify(call)}`);
    }
  } finally {
    for (const client of [judge, ...clients]) client.close();
  }
}

async function keepAlives(endpoint: string): Promise<readonly string[]> {
  const wire = new WireClient(endpoint);
  await ask(wire, grant(5, 100));
  await ask(wire, grant(-6, 1));
  const streams = [
    new KeepAliveClient(endpoint),
    new KeepAliveClient(endpoint, { hasleader: "true" }),
  ];
  const [plain, led] = streams;
  const bad = new KeepAliveClient(endpoint);
  try {
    assert.ok(plain && led);
    for (const id of ["5", "999", "-6", "0", "5"]) {
      plain.send(id);
      await plain.heard(plain.answers.length + 1);
    }
    plain.halfClose();
    led.halfClose();
    bad.sendBytes(Buffer.from("0aff", "hex"));
    const end = (await bad.heard(1))[0] ?? "";
    return [...(await plain.heard(6)), ...(await led.heard(1)), end.slice(0, 6)];
  } finally {
    for (const stream of [...streams, bad]) stream.close();
    wire.close();
  }
}

test("keep-alive streams answer as those of a real etcd, on every member", { skip }, async () => {
  const { oracle, subject } = both();
  const want = await keepAlives(oracle.endpoints[0] ?? "");
  for (const endpoint of subject.endpoints) assert.deepEqual(await keepAlives(endpoint), want);
});

test("a lease that is kept alive lives; its keys go with it, in one revision, and watchers hear", async () => {
  const subject = subjectOf();
  const [first = "", second = "", third = ""] = subject.endpoints;
  const wire = new WireClient(first);
  const watch = new WatchClient(second);
  const stream = new KeepAliveClient(third);
  try {
    // Another test may have left it.
    await ask(wire, revoke(5));
    await ask(wire, grant(5, 2));
    const prefix = { key: Buffer.from("mine/"), range_end: Buffer.from("mine0") };
    for (const key of ["mine/b", "mine/a"]) await ask(wire, put(key, 5));
    watch.create(prefix);
    await watch.until("the watch", () => watch.answers.length === 1);
    const begunMs = performance.now();
    let renewedMs = begunMs;
    while (renewedMs - begunMs < 4_000) {
      renewedMs = performance.now();
      stream.send("5");
      const answers = await stream.heard(stream.answers.length + 1);
      assert.equal(answers.at(-1), "5 for 2");
    }
    const events = () => watch.answers.flatMap((answer) => answer.events ?? []);
    assert.equal(events().length, 0);
    await watch.until("the end of the lease", () => events().length === 2);
    const livedMs = performance.now() - renewedMs;
    assert.ok(livedMs >= 1_900, `${livedMs} ms after the last renewal was sent`);
    const seen = events().map(({ type, kv }) => `${type} ${kv?.key}`);
    assert.deepEqual(seen, ["1 mine/a", "1 mine/b"]);
    const [one, two] = events().map(({ kv }) => kv?.mod_revision);
    assert.equal(one, two, "one revision");
    stream.send("5");
    assert.equal((await stream.heard(stream.answers.length + 1)).at(-1), "5 for 0");
  } finally {
    wire.close();
    watch.close();
    stream.close();
  }
});
