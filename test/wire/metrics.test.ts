// What etcd's alerts and dashboards read is on the page of every member, and moves.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { GatewayClient } from "../support/gatewayClient.ts";
import { encodeMessage } from "../support/messages.ts";
import { type Family, numberOf, parseMetrics } from "../support/metricsPage.ts";
import { Server } from "../support/server.ts";
import { WireClient } from "../support/wireClient.ts";

/** Of etcd's own rules and boards; the handling times are there when they are asked for. */
const read = [
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

/** Of the leader, each larger after some work. */
const moving: readonly (readonly [name: string, labels?: Readonly<Record<string, string>>])[] = [
  ["etcd_server_proposals_committed_total"],
  ["etcd_server_proposals_applied_total"],
  ["etcd_disk_wal_fsync_duration_seconds_count"],
  ["etcd_disk_wal_fsync_duration_seconds_sum"],
  ["etcd_disk_wal_write_bytes_total"],
  ["etcd_disk_backend_commit_duration_seconds_count"],
  ["etcd_network_peer_sent_bytes_total"],
  ["etcd_network_peer_received_bytes_total"],
  ["etcd_network_peer_round_trip_time_seconds_count"],
  ["etcd_network_client_grpc_received_bytes_total"],
  ["etcd_network_client_grpc_sent_bytes_total"],
  ["etcd_mvcc_put_total"],
  ["etcd_mvcc_range_total"],
  ["etcd_mvcc_delete_total"],
  ["etcd_debugging_mvcc_current_revision"],
  ["etcd_debugging_mvcc_total_put_size_in_bytes"],
  ["quorlet_batch_commands_count"],
  ["etcd_disk_wal_write_duration_seconds_count"],
  ["etcd_server_apply_duration_seconds_count", { op: "Put", success: "true" }],
  ["etcd_server_apply_duration_seconds_sum", { op: "Put", success: "true" }],
  ["etcd_server_apply_duration_seconds_count", { op: "Put", success: "false" }],
  ["etcd_debugging_lease_granted_total"],
  ["etcd_debugging_lease_ttl_total_sum"],
  ["etcd_debugging_lease_renewed_total"],
  ["etcd_debugging_lease_revoked_total"],
  ["etcd_debugging_mvcc_db_compaction_keys_total"],
  ["etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds_count"],
  ["etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count"],
  ["etcd_debugging_mvcc_db_compaction_last"],
  ["etcd_mvcc_hash_rev_duration_seconds_count"],
  ["etcd_server_health_success"],
  ["go_gc_duration_seconds_count"],
  ["process_network_receive_bytes_total"],
  ["grpc_server_started_total", { grpc_method: "Put" }],
  ["grpc_server_handled_total", { grpc_method: "Put", grpc_code: "OK" }],
  ["grpc_server_handled_total", { grpc_method: "Range", grpc_code: "InvalidArgument" }],
  ["grpc_server_msg_received_total", { grpc_method: "Put" }],
  ["grpc_server_msg_sent_total", { grpc_method: "Put" }],
  ["process_cpu_seconds_total"],
];

test("every member has what alerts and boards read, and on the leader it moves", async () => {
  await using server = await Server.start({ members: 3 });
  const pages = server.endpoints.map((endpoint) => new GatewayClient(endpoint));
  const scrape = async (): Promise<readonly ReadonlyMap<string, Family>[]> => {
    const answers = await Promise.all(
      pages.map((page) => page.ask({ method: "GET", path: "/metrics" })),
    );
    for (const { status, contentType } of answers) {
      assert.equal(status, 200);
      assert.equal(contentType, "text/plain; version=0.0.4; charset=utf-8");
    }
    return answers.map(({ text }) => parseMetrics(text));
  };
  const before = await scrape();
  for (const families of before) {
    assert.deepEqual(
      read.filter((name) => !families.has(name)),
      [],
    );
    assert.equal(numberOf(families, "etcd_server_has_leader"), 1);
    assert.equal(numberOf(families, "etcd_server_quota_backend_bytes"), 2_147_483_648);
  }
  const leader = before.findIndex((families) => numberOf(families, "etcd_server_is_leader") === 1);
  assert.ok(leader >= 0);
  const client = new WireClient(server.endpoints[leader] ?? "");
  // Until enough time has passed for each clock and histogram to see it.
  const seen = new Set<string>();
  for (let round = 0; round < 200 && seen.size < moving.length; round++) {
    const key = Buffer.from(`k${round}`);
    await client.call("/etcdserverpb.KV/Put", encodeMessage("PutRequest", { key, value: key }));
    await client.call("/etcdserverpb.KV/Range", encodeMessage("RangeRequest", { key }));
    await client.call("/etcdserverpb.KV/Range", encodeMessage("RangeRequest", {}));
    await client.call("/etcdserverpb.KV/DeleteRange", encodeMessage("DeleteRangeRequest", { key }));
    if (round % 20 !== 19) continue;
    await workAtTimes(client, pages[leader]);
    const families = (await scrape())[leader];
    for (const [name, labels] of moving) {
      const [old = 0, now = 0] = [before[leader], families].map(
        (all) => all && numberOf(all, name, labels),
      );
      if (now > old) seen.add(JSON.stringify([name, labels]));
    }
  }
  client.close();
  for (const page of pages) page.close();
  const still = moving.filter((row) => !seen.has(JSON.stringify([...row, undefined].slice(0, 2))));
  assert.deepEqual(still.map(String), []);
});

/** What moves the rest: a lease, a compaction, a hash, a look at health. */
async function workAtTimes(client: WireClient, page: GatewayClient | undefined): Promise<void> {
  const lease = { ID: "77", TTL: "60" };
  const noLease = encodeMessage("PutRequest", { key: Buffer.from("k"), lease: "4711" });
  await client.call("/etcdserverpb.KV/Put", noLease);
  await client.call("/etcdserverpb.Lease/LeaseGrant", encodeMessage("LeaseGrantRequest", lease));
  const renewed = await page?.post("/v3/lease/keepalive", { ID: "77" });
  assert.equal(renewed?.status, 200);
  await client.call("/etcdserverpb.Lease/LeaseRevoke", encodeMessage("LeaseRevokeRequest", lease));
  const hash = await page?.post("/v3/maintenance/hashkv", {});
  const { revision } = JSON.parse(hash?.text ?? "").header;
  await client.call(
    "/etcdserverpb.KV/Compact",
    encodeMessage("CompactionRequest", { revision, physical: true }),
  );
  assert.equal((await page?.ask({ method: "GET", path: "/health" }))?.status, 200);
}

/** Of parts that neither we nor newer ones of etcd have: the proxy, the store of version 2, Go itself. */
const leftOut = new RegExp(
  [
    "^etcd_grpc_proxy_|^etcd_debugging_store_|^go_memstats_|^go_gc_go|^go_sched_",
    "^etcd_debugging_mvcc_(range|put|delete|txn)_total$|^etcd_debugging_mvcc_pending_events_total$",
    "^etcd_mvcc_db_open_read_transactions$|^etcd_server_learner_promote_",
  ].join("|"),
);

test("families that both have are of one type, with the same labels and bounds", {
  skip: findEtcd() === undefined ? noEtcdReason : false,
}, async () => {
  const binary = findEtcd();
  assert.ok(binary);
  await using etcd = await Etcd.start({ binary });
  await using server = await Server.start({ members: 1 });
  const [wanted, got] = await Promise.all(
    [etcd, server].map(async ({ endpoints }) => {
      const client = new GatewayClient(endpoints[0] ?? "");
      await client.post("/v3/kv/put", { key: "YQ==" });
      for (const path of ["/health", "/readyz", "/livez"])
        await client.ask({ method: "GET", path });
      const { text } = await client.ask({ method: "GET", path: "/metrics" });
      client.close();
      return parseMetrics(text);
    }),
  );
  assert.ok(wanted && got);
  const shared = [...got.keys()].filter((name) => wanted.has(name));
  assert.ok(shared.length > 40, shared.join());
  for (const name of shared) {
    assert.equal(got.get(name)?.type, wanted.get(name)?.type, `type of ${name}`);
    assert.deepEqual(shapeOf(got.get(name)), shapeOf(wanted.get(name)), `labels of ${name}`);
  }
  const lacking = [...wanted.keys()].filter((name) => !got.has(name) && !leftOut.test(name));
  assert.deepEqual(lacking, []);
  const ours = [...got.keys()].filter((name) => !wanted.has(name) && !name.startsWith("quorlet_"));
  // Peers are missing on both; nothing else of ours has a name that etcd does not know.
  assert.deepEqual(ours, []);
});

/** Names of labels, and bounds of buckets. */
function shapeOf(family: Family | undefined): readonly string[] {
  const samples = family?.samples ?? [];
  return [
    ...new Set(
      samples.map(({ name, labels }) => {
        const { le, ...rest } = labels;
        return `${name} ${Object.keys(rest).sort().join()} ${le === undefined ? "" : Number(le)}`;
      }),
    ),
  ].sort();
}
