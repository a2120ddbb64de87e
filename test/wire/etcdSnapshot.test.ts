// `etcdctl snapshot save` from our members: etcd's own tools take the file, and a real etcd that begins
// with it holds what we hold.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { Cluster } from "../../src/quorlet.ts";
import { readBolt, statusOf } from "../support/boltReader.ts";
import { Etcd, etcdutlOf, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { etcdctl, findEtcdctls, noEtcdctlReason } from "../support/etcdctl.ts";
import { GatewayClient } from "../support/gatewayClient.ts";
import { numberOf, parseMetrics } from "../support/metricsPage.ts";
import { untilAnswered } from "../support/turns.ts";

const etcd = findEtcd();
const etcdutl = etcd && etcdutlOf(etcd);
const client = findEtcdctls().at(0);
const run = promisify(execFile);
const sha256Bytes = 32;

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const everything = { key: "AA==", range_end: "AA==" };
const allButLong = { key: base64("c"), range_end: "AA==" };

/** Of whatever was asked. */
interface Answer {
  readonly header: { readonly revision: string };
  readonly kvs: readonly { readonly value?: string }[];
  readonly ID: string;
  readonly grantedTTL: string;
  readonly keys?: readonly string[];
  readonly alarms: readonly object[];
  readonly leases: readonly object[];
}

/** A JSON client that takes no refusal. */
class Gateway {
  readonly #client: GatewayClient;

  constructor(endpoint: string) {
    this.#client = new GatewayClient(endpoint);
  }

  async ask(path: string, message: object): Promise<Answer> {
    const { status, text } = await this.#client.post(path, message);
    assert.equal(status, 200, `${path}: ${text}`);
    return JSON.parse(text);
  }

  async put(key: string, value: string, lease = "0"): Promise<number> {
    const answer = await this.ask("/v3/kv/put", { key: base64(key), value: base64(value), lease });
    return Number(answer.header.revision);
  }

  async remove(key: string, rangeEnd = ""): Promise<void> {
    await this.ask("/v3/kv/deleterange", { key: base64(key), range_end: base64(rangeEnd) });
  }

  async openReadTransactions(): Promise<number | undefined> {
    const { text } = await this.#client.ask({ method: "GET", path: "/metrics" });
    return numberOf(parseMetrics(text), "etcd_mvcc_db_open_read_transactions");
  }

  /** Leaves a snapshot behind its first message. */
  async beginSnapshot(): Promise<void> {
    const path = "/v3/maintenance/snapshot";
    const lines = await this.#client.lines({ method: "POST", path, body: "{}" }, 1);
    assert.match(lines[0] ?? "", /^\{"result":\{"remaining_bytes":"\d+","blob":/);
  }

  close(): void {
    this.#client.close();
  }
}

interface Filled {
  readonly leases: readonly string[];
  readonly compacted: number;
  readonly revision: number;
}

async function fill(gateway: Gateway): Promise<Filled> {
  for (let i = 0; i < 9; i++) await gateway.put(`k${i}`, `v${i}`.padEnd(i * 700, "."));
  await gateway.remove("k1");
  const leases = ["1000", "2000"].map(async (TTL) => {
    return (await gateway.ask("/v3/lease/grant", { TTL })).ID;
  });
  const [lease = "", empty = ""] = await Promise.all(leases);
  const compacted = await gateway.put("k2", "again");
  await gateway.put("k2", "and again", lease);
  await gateway.ask("/v3/kv/compaction", { revision: compacted, physical: true });
  await gateway.put("k1", "a second life", lease);
  await gateway.put("k5", "with a lease for a while", lease);
  await gateway.put("k5", "without");
  await gateway.remove("k3", "k6");
  await gateway.put("k4", "a second life");
  const change = (name: string): object => ({ key: base64(name), value: base64("txn") });
  await gateway.ask("/v3/kv/txn", {
    success: ["k7", "k4", "new"].map((name) => ({ request_put: change(name) })),
  });
  await gateway.remove("k4");
  for (let i = 0; i < 4; i++) await gateway.put(`big${i}`, "x".repeat(1_000_000));
  const revision = await gateway.put("last", "");
  for (const memberID of ["7", "18446744073709551615"]) {
    await gateway.ask("/v3/maintenance/alarm", { action: "ACTIVATE", alarm: "NOSPACE", memberID });
  }
  return { leases: [lease, empty], compacted, revision };
}

/** What both must agree on: every state that can still be read, and the leases with their keys. */
async function toldOf(
  gateway: Gateway,
  { leases, compacted, revision }: Filled,
): Promise<string[]> {
  const told: string[] = [];
  for (let at = compacted; at <= revision; at++) {
    const range = at === revision ? everything : allButLong;
    const { header, kvs } = await gateway.ask("/v3/kv/range", { ...range, revision: at });
    told.push(`at ${at} of ${header.revision}`);
    for (const { value = "", ...others } of kvs) {
      told.push(
        JSON.stringify({ ...others, value: createHash("sha1").update(value).digest("hex") }),
      );
    }
  }
  for (const ID of leases) {
    const { grantedTTL, keys } = await gateway.ask("/v3/lease/timetolive", { ID, keys: true });
    told.push(`${ID} ${grantedTTL} ${keys?.toSorted()}`);
  }
  const { alarms } = await gateway.ask("/v3/maintenance/alarm", { action: "GET" });
  told.push(`alarms ${alarms.map((alarm) => JSON.stringify(alarm)).toSorted()}`);
  told.push(`${(await gateway.ask("/v3/lease/leases", {})).leases.length} leases`);
  return told;
}

async function saved(endpoint: string, file: string): Promise<Buffer> {
  assert.ok(client);
  const args = ["snapshot", "save", file];
  const { code, stderr } = await etcdctl({ binary: client, endpoints: [endpoint], args });
  assert.equal(code, 0, stderr);
  const bytes = readFileSync(file);
  const state = bytes.subarray(0, -sha256Bytes);
  assert.ok(createHash("sha256").update(state).digest().equals(bytes.subarray(-sha256Bytes)));
  return state;
}

const skip =
  etcdutl === undefined || !existsSync(etcdutl)
    ? noEtcdReason
    : client === undefined && noEtcdctlReason;

test("a snapshot is what etcd's tools take, and a real etcd goes on from it", {
  skip,
}, async (t) => {
  assert.ok(etcd && etcdutl);
  const folder = mkdtempSync(join(tmpdir(), "quorlet-etcd-snapshot-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  await using cluster = await Cluster.start({ members: 1, dataDir: join(folder, "ours") });
  const ours = new Gateway(cluster.member(0).endpoint);
  t.after(() => ours.close());
  const filled = await fill(ours);
  const file = join(folder, "snapshot.db");
  const state = readBolt(await saved(cluster.member(0).endpoint, file));

  const { stdout } = await run(etcdutl, ["snapshot", "status", file, "-w", "json"]);
  const status = JSON.parse(stdout);
  assert.deepEqual(
    { hash: status.hash, revision: status.revision, totalKey: status.totalKey },
    { ...statusOf(state), revision: filled.revision },
  );

  await using restored = await Etcd.start({ binary: etcd, snapshot: file });
  const theirs = new Gateway(restored.endpoints[0] ?? "");
  t.after(() => theirs.close());
  assert.deepEqual(await toldOf(theirs, filled), await toldOf(ours, filled));
  // Versions go on too.
  for (const side of [ours, theirs]) {
    for (const memberID of ["7", "18446744073709551615"]) {
      const alarm = { action: "DEACTIVATE", alarm: "NOSPACE", memberID };
      assert.equal((await side.ask("/v3/maintenance/alarm", alarm)).alarms.length, 1);
    }
    await side.put("k2", "anew");
  }
  const query = { key: base64("k2") };
  const [mine, yours] = await Promise.all(
    [ours, theirs].map(async (side) => (await side.ask("/v3/kv/range", query)).kvs),
  );
  assert.deepEqual(yours, mine);

  const learner = await cluster.addMember({ learner: true });
  const atLearner = new Gateway(learner.endpoint);
  t.after(() => atLearner.close());
  await untilAnswered(async () => {
    const read = { ...query, serializable: true };
    const { header } = await atLearner.ask("/v3/kv/range", read);
    assert.equal(Number(header.revision), filled.revision + 1);
  }, "the learner has it all");
  const { buckets } = readBolt(await saved(learner.endpoint, join(folder, "learner.db")));
  assert.equal(buckets.get("key")?.length, (state.buckets.get("key")?.length ?? 0) + 1);
  assert.match(`${buckets.get("meta")?.[0]?.value}`, /^\{"voters":\[\d+\],"learners":\[\d+\],/);

  for (let i = 0; i < 6; i++) await ours.beginSnapshot();
  await untilAnswered(async () => {
    assert.equal(await ours.openReadTransactions(), 0);
  }, "callers that left hold no state");
});
