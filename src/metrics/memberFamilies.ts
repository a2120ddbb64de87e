// Families about what was applied, leases and snapshots; and those that etcd has for parts which a member
// of ours has none of, so that boards which name them find them.
import { exponentialBounds, Histogram } from "../base/histogram.ts";
import type { MemberNumbers } from "../member/tally.ts";
import type { MetricsText } from "./text.ts";

/** By command kind, etcd's names of requests; ours, which etcd does otherwise, beside them. */
const applyNames: ReadonlyMap<number, string> = new Map(
  [
    ...["Put", "DeleteRange", "Txn", "Compaction", "LeaseGrant", "LeaseRevoke"],
    ...["LeaseCheckpoint", "LeaseExpire", "ClusterMemberAttrSet"],
  ].map((name, i) => [i + 1, name]),
);

export function writeApply(text: MetricsText, { tally }: MemberNumbers): void {
  if (tally.applySec.size === 0) return;
  const name = "etcd_server_apply_duration_seconds";
  text.family(name, "histogram", "Applied commands: each its share of the round it came in.");
  for (const [kind, { done, refused }] of tally.applySec) {
    const op = ["op", applyNames.get(kind) ?? "unknown"] as const;
    for (const [success, histogram] of [
      ["true", done],
      ["false", refused],
    ] as const) {
      text.buckets(name, [["version", "v3"], op, ["success", success]], histogram);
    }
  }
}

export function writeLeases(text: MetricsText, { tally, renewedLeases }: MemberNumbers): void {
  const { apply } = tally;
  const lease = "etcd_debugging_lease";
  text.counter(`${lease}_granted_total`, "Leases granted.", apply.leasesGranted);
  text.counter(`${lease}_revoked_total`, "Leases revoked or expired.", apply.leasesRevoked);
  text.counter(`${lease}_renewed_total`, "Renewals by this member as leader.", renewedLeases);
  text.histogram(`${lease}_ttl_total`, "Seconds that leases were granted for.", apply.leaseTtlSec);
  const expired = "etcd_debugging_server_lease_expired_total";
  text.counter(expired, "Leases whose time was over.", apply.leasesExpired);
}

export function writeImages(text: MetricsText, numbers: MemberNumbers): void {
  const { images } = numbers.tally;
  const inProgress = "etcd_server_snapshot_apply_in_progress_total";
  text.gauge(inProgress, "1 while another member's snapshot is taken in.", numbers.receivingImages);
  const rows = [
    ["send_success", "To", "Snapshots sent.", images.sent],
    ["send_failures", "To", "Snapshots that were not taken.", images.sendFailures],
    ["receive_success", "From", "Snapshots taken.", images.received],
    ["receive_failures", "From", "Snapshots given up.", images.receiveFailures],
  ] as const;
  for (const [what, label, help, counts] of rows) {
    if (counts.size === 0) continue;
    const name = `etcd_network_snapshot_${what}`;
    text.family(name, "counter", help);
    for (const [peer, count] of counts) text.sample(name, [[label, peer.toString(16)]], count);
  }
  text.gauge(
    "quorlet_snapshots_sending",
    "Snapshots on their way to peers.",
    numbers.sendingImages,
  );
}

const halfMs = exponentialBounds(0.5, 2, 14);
const ms = exponentialBounds(0.001, 2, 14);
const tenths = exponentialBounds(0.1, 2, 13);
const hundredths = exponentialBounds(0.01, 2, 17);
const hashes = exponentialBounds(0.01, 2, 15);
const tenthsOfDb = exponentialBounds(0.1, 2, 10);

/** Zero for ever: there is no such thing here. */
const unused: readonly (readonly [
  name: string,
  bounds: readonly number[] | "gauge" | "counter",
])[] = [
  ["etcd_debugging_auth_revision", "gauge"],
  ["etcd_debugging_disk_backend_commit_rebalance_duration_seconds", ms],
  ["etcd_debugging_disk_backend_commit_spill_duration_seconds", ms],
  ["etcd_debugging_disk_backend_commit_write_duration_seconds", ms],
  ["etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds", halfMs],
  ["etcd_debugging_snap_save_marshalling_duration_seconds", ms],
  ["etcd_debugging_snap_save_total_duration_seconds", ms],
  ["etcd_disk_backend_defrag_duration_seconds", tenths],
  ["etcd_disk_backend_snapshot_duration_seconds", hundredths],
  ["etcd_disk_defrag_inflight", "gauge"],
  ["etcd_mvcc_hash_duration_seconds", hashes],
  ["etcd_server_heartbeat_send_failures_total", "counter"],
  ["etcd_snap_db_fsync_duration_seconds", ms],
  ["etcd_snap_db_save_total_duration_seconds", tenthsOfDb],
  ["etcd_snap_fsync_duration_seconds", ms],
];
const histograms = unused.map(([name, kind]) => ({
  name,
  kind: typeof kind === "string" ? kind : new Histogram(kind),
}));

export function writeUnused(text: MetricsText): void {
  const help = "Nothing here does this; for boards that ask.";
  for (const { name, kind } of histograms) {
    if (kind === "gauge") text.gauge(name, help, 0);
    else if (kind === "counter") text.counter(name, help, 0);
    else text.histogram(name, help, kind);
  }
}
