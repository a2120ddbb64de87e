// Every family on the page of /metrics moves in the life of a cluster: under work, and when members are
// added, stand still and die. What stays as it is has a reason, in this file or in metrics/still.ts.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { GrpcStats } from "../../src/grpc/stats.ts";
import { writeGrpc } from "../../src/metrics/grpcFamilies.ts";
import { stillFamilies } from "../../src/metrics/still.ts";
import { MetricsText } from "../../src/metrics/text.ts";
import { Cluster, type MemberHandle } from "../../src/quorlet.ts";
import { type GatewayAnswer, GatewayClient } from "../support/gatewayClient.ts";
import { type Family, numberOf, parseMetrics } from "../support/metricsPage.ts";
import { WatchClient } from "../support/watchClient.ts";

const waitMsMax = 60_000;

/** Read by etcd's own alert rules and by its old and new dashboard. */
const readByBoards = [
  ...["etcd_network_peer_sent_failures_total", "etcd_server_has_leader"],
  ...["etcd_server_leader_changes_seen_total", "grpc_server_handled_total"],
  ...["etcd_network_peer_round_trip_time_seconds", "etcd_server_proposals_failed_total"],
  ...["etcd_disk_wal_fsync_duration_seconds", "etcd_disk_backend_commit_duration_seconds"],
  ...["etcd_mvcc_db_total_size_in_bytes", "etcd_server_quota_backend_bytes"],
  ...["etcd_mvcc_db_total_size_in_use_in_bytes", "grpc_server_started_total"],
  ...["process_resident_memory_bytes", "etcd_network_client_grpc_received_bytes_total"],
  ...["etcd_network_client_grpc_sent_bytes_total", "etcd_network_peer_received_bytes_total"],
  ...["etcd_network_peer_sent_bytes_total", "etcd_server_proposals_pending"],
  ...["etcd_server_proposals_committed_total", "etcd_server_proposals_applied_total"],
  ...["etcd_debugging_mvcc_slow_watcher_total", "process_start_time_seconds"],
  ...["process_open_fds", "process_max_fds", "process_cpu_seconds_total"],
];

/** Right as they are: what would move them does not happen here. */
const fixed: Readonly<Record<string, string>> = {
  ...Object.fromEntries(stillFamilies.map(({ name, why }) => [name, why])),
  etcd_cluster_version: "of the release",
  etcd_server_version: "of the release",
  etcd_server_go_version: "of Node",
  go_info: "of Node",
  etcd_server_id: "of the member",
  etcd_server_quota_backend_bytes: "a setting",
  process_start_time_seconds: "there is one start",
  process_max_fds: "a limit of the system",
  os_fd_limit: "a limit of the system",
  process_virtual_memory_max_bytes: "a limit of the system",
  go_memstats_next_gc_bytes: "a limit of the heap",
  promhttp_metric_handler_requests_in_flight: "the scrape itself",
  etcd_server_slow_apply_total: "no disk is slow enough: test/member/slow.test.ts",
  quorlet_slow_commands_total: "no command waits so long: test/member/slow.test.ts",
  etcd_mvcc_db_open_read_transactions: "may be over at once: test/member/snapshot.test.ts",
  etcd_network_snapshot_send_inflights_total: "may be over at once: test/member/snapshot.test.ts",
  etcd_network_snapshot_receive_inflights_total: "the same",
  etcd_server_snapshot_apply_in_progress_total: "the same",
  etcd_disk_defrag_inflight: "may be over at once: test/member/defragment.test.ts",
  quorlet_unflushed_bytes: "may be written whenever somebody looks",
};

/** What each member said, scrape by scrape. */
class Pages {
  readonly #known = new Set<string>();
  readonly #first = new Map<string, string>();
  readonly moved = new Set<string>();
  readonly seen = new Set<string>();

  async look(members: readonly MemberHandle[]): Promise<ReadonlyMap<string, Family>[]> {
    return Promise.all(members.map((member) => this.#lookAt(member)));
  }

  async #lookAt({ name: member, endpoint }: MemberHandle): Promise<ReadonlyMap<string, Family>> {
    const client = new GatewayClient(endpoint);
    const { status, contentType, text } = await client.ask({ method: "GET", path: "/metrics" });
    client.close();
    assert.equal(status, 200);
    assert.equal(contentType, "text/plain; version=0.0.4; charset=utf-8");
    const families = parseMetrics(text);
    const isFirst = !this.#known.has(member);
    for (const [name, { samples }] of families) {
      this.seen.add(name);
      // A series that comes with a count has moved from nothing.
      const values = samples
        .filter(({ value }) => value !== 0)
        .map((sample) => Object.values(sample));
      const now = JSON.stringify(values);
      const before = this.#first.get(`${member} ${name}`) ?? (isFirst ? now : "[]");
      this.#first.set(`${member} ${name}`, before);
      if (before !== now) this.moved.add(name);
    }
    this.#known.add(member);
    return families;
  }
}

test("each family moves, or there is a reason why not", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "quorlet-metrics-"));
  const pages = new Pages();
  try {
    await using cluster = await Cluster.start({ dataDir, snapshotEntries: 12, catchUpEntries: 2 });
    await pages.look(cluster.members);
    const leader = cluster.members.find(({ role }) => role === "leader");
    assert.ok(leader);
    const ask = new GatewayClient(leader.endpoint);
    await ask.post("/v3/lease/grant", { ID: 5, TTL: 1 });
    await everydayWork(ask);
    await slowWatcher(pages, leader, ask);
    cluster.faults.pause(leader.name, 400);
    await untilMoved(pages, [leader], "etcd_server_heartbeat_send_failures_total");
    await newMember(pages, cluster, ask);
    await untilMoved(pages, [leader], "etcd_debugging_server_lease_expired_total");
    await lostQuorum(pages, cluster, leader, ask);
    ask.close();
    await pages.look(cluster.members.filter(({ state }) => state === "serving"));
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
  const absent = [...readByBoards, ...Object.keys(fixed)].filter((name) => !pages.seen.has(name));
  assert.deepEqual(absent, [], "not on any page");
  const still = [...pages.seen].filter((name) => !pages.moved.has(name) && !(name in fixed));
  assert.deepEqual(still, [], "never moved");
  // Nor may a reason outlive what it is the reason for.
  const moving = stillFamilies.filter(({ name }) => pages.moved.has(name));
  assert.deepEqual(moving, []);
});

test("calls are timed when that is asked for", () => {
  const page = (isTimed: boolean): ReadonlyMap<string, Family> => {
    const stats = new GrpcStats({ isTimed });
    stats.of("/etcdserverpb.KV/Put").handling.observe(0.2);
    const text = new MetricsText();
    writeGrpc(text, stats);
    return parseMetrics(text.take());
  };
  const name = "grpc_server_handling_seconds";
  const labels = { grpc_method: "Put", grpc_service: "etcdserverpb.KV", grpc_type: "unary" };
  assert.equal(numberOf(page(true), `${name}_bucket`, { ...labels, le: "0.1" }), 0);
  assert.equal(numberOf(page(true), `${name}_bucket`, { ...labels, le: "0.25" }), 1);
  assert.ok(!page(false).has(name));
});

async function untilMoved(
  pages: Pages,
  members: readonly MemberHandle[],
  ...names: readonly string[]
): Promise<void> {
  for (const endMs = performance.now() + waitMsMax; ; ) {
    await pages.look(members);
    const waiting = names.filter((name) => !pages.moved.has(name));
    if (waiting.length === 0) return;
    assert.ok(performance.now() < endMs, `${waiting} did not move`);
  }
}

async function good(answer: Promise<GatewayAnswer>): Promise<string> {
  const { status, text } = await answer;
  assert.equal(status, 200, text);
  return text;
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const put = (key: string, value = ""): object => ({ key: base64(key), value: base64(value) });

/** Right and refused calls of every kind; also what a kubelet asks. */
async function everydayWork(ask: GatewayClient): Promise<void> {
  for (let i = 0; i < 20; i++) {
    await good(ask.post("/v3/kv/put", put(`k${i}`, "v")));
    await good(ask.post("/v3/kv/range", { key: base64(`k${i}`) }));
  }
  const success = [{ request_put: put("a") }, { request_put: put("b") }];
  await good(ask.post("/v3/kv/txn", { success }));
  await good(ask.post("/v3/kv/deleterange", { key: base64("k1") }));
  assert.equal((await ask.post("/v3/kv/put", { ...put("c"), lease: 4711 })).status, 404);
  assert.equal((await ask.post("/v3/kv/range", {})).status, 400);
  await good(ask.post("/v3/lease/grant", { ID: 77, TTL: 60 }));
  await good(ask.post("/v3/lease/keepalive", { ID: 77 }));
  await good(ask.post("/v3/lease/revoke", { ID: 77 }));
  const { header } = JSON.parse(await good(ask.post("/v3/maintenance/hashkv", {})));
  await good(ask.post("/v3/kv/compaction", { revision: header.revision, physical: true }));
  await good(ask.post("/v3/maintenance/defragment", {}));
  for (const path of ["/health", "/livez", "/readyz"]) await ask.ask({ method: "GET", path });
}

/** One that takes nothing, until its events wait; and one whose request makes no sense. */
async function slowWatcher(pages: Pages, leader: MemberHandle, ask: GatewayClient): Promise<void> {
  const watch = new WatchClient(leader.endpoint);
  watch.create({ key: Buffer.from("w") });
  await watch.until("a watcher", () => watch.answers.length === 1);
  watch.pause();
  const names = [
    "etcd_debugging_mvcc_slow_watcher_total",
    "etcd_debugging_mvcc_pending_events_total",
  ];
  const value = "v".repeat(500_000);
  for (let i = 0; i < 100 && !names.every((name) => pages.moved.has(name)); i++) {
    await good(ask.post("/v3/kv/put", put("w", value)));
    await pages.look([leader]);
  }
  watch.close();
  const mad = new WatchClient(leader.endpoint);
  mad.sendBytes(Buffer.from("ff", "hex"));
  assert.equal((await mad.ended()).code, 13);
  mad.close();
}

/** It is given a snapshot, for the log no longer begins at the beginning, is promoted, and leads. */
async function newMember(pages: Pages, cluster: Cluster, ask: GatewayClient): Promise<void> {
  const added = await cluster.addMember({ learner: true });
  // It does not know what it is before it has caught up.
  await untilMoved(pages, [added], "etcd_server_is_learner");
  const [first] = cluster.members;
  assert.ok(first);
  const promote = (id: bigint): Promise<GatewayAnswer> =>
    ask.post("/v3/cluster/member/promote", { ID: `${id}` });
  assert.equal((await promote(first.id)).status, 400);
  for (const endMs = performance.now() + waitMsMax; ; ) {
    const { status, text } = await promote(added.id);
    if (status === 200) break;
    assert.ok(performance.now() < endMs, text);
  }
  await good(ask.post("/v3/maintenance/transfer-leadership", { targetID: `${added.id}` }));
  await untilMoved(pages, cluster.members, "etcd_server_leader_changes_seen_total");
}

/** Half of the members die: nobody leads, and what is asked fails in the end. */
async function lostQuorum(
  pages: Pages,
  cluster: Cluster,
  leader: MemberHandle,
  ask: GatewayClient,
): Promise<void> {
  const others = cluster.members.filter(({ name }) => name !== leader.name).slice(0, 2);
  await Promise.all(others.map((member) => member.kill()));
  const late = Promise.all([
    ask.post("/v3/kv/put", put("late")),
    ask.post("/v3/kv/range", { key: base64("late") }),
  ]);
  const left = cluster.members.filter(({ state }) => state === "serving");
  await untilMoved(pages, left, "etcd_server_proposals_pending", "quorlet_pending_reads");
  for (const { status } of await late) assert.notEqual(status, 200);
  assert.equal((await ask.ask({ method: "GET", path: "/health" })).status, 503);
  await pages.look(left);
}
