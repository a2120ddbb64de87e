// Families about what was applied, leases, snapshots and a leader's duties.
import type { MemberId } from "../base/brand.ts";
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

/** Snapshots between members. */
export function writeImages(text: MetricsText, { tally, ...numbers }: MemberNumbers): void {
  const { images } = tally;
  const isReceiving = numbers.receivingFrom !== undefined;
  const inProgress = "etcd_server_snapshot_apply_in_progress_total";
  text.gauge(inProgress, "1 while another member's snapshot is taken in.", isReceiving ? 1 : 0);
  const counters = [
    ["send_success", "To", "Snapshots sent.", images.sent],
    ["send_failures", "To", "Snapshots that were not taken.", images.sendFailures],
    ["receive_success", "From", "Snapshots taken.", images.received],
    ["receive_failures", "From", "Snapshots given up.", images.receiveFailures],
  ] as const;
  for (const [what, label, help, counts] of counters) {
    writeByPeer(text, {
      name: `etcd_network_snapshot_${what}`,
      type: "counter",
      label,
      help,
      counts,
    });
  }
  const inflights = [
    ["send", "To", "Snapshots on their way to a peer.", numbers.sendingTo],
    ["receive", "From", "Snapshots on their way here.", isReceiving ? [numbers.receivingFrom] : []],
  ] as const;
  for (const [what, label, help, peers] of inflights) {
    const name = `etcd_network_snapshot_${what}_inflights_total`;
    // A peer that there ever was stays with 0.
    const known = what === "send" ? images.sendSec : images.receiveSec;
    const counts = new Map([...known.keys()].map((peer) => [peer, 0]));
    for (const peer of peers) if (peer !== undefined) counts.set(peer, 1);
    writeByPeer(text, { name, type: "gauge", label, help, counts });
  }
  const times = [
    ["send", "To", "Of whole transfers to a peer.", images.sendSec],
    ["receive", "From", "Of whole transfers from a peer.", images.receiveSec],
  ] as const;
  for (const [what, label, help, histograms] of times) {
    if (histograms.size === 0) continue;
    const name = `etcd_network_snapshot_${what}_total_duration_seconds`;
    text.family(name, "histogram", help);
    for (const [peer, histogram] of histograms) {
      text.buckets(name, [[label, peer.toString(16)]], histogram);
    }
  }
  const backend = "etcd_disk_backend_snapshot_duration_seconds";
  text.histogram(backend, "How long a state was held to be read.", images.pinSec);
  const saved = "etcd_snap_db_save_total_duration_seconds";
  text.histogram(saved, "Stores built of received snapshots.", images.saveSec);
  text.histogram("etcd_snap_db_fsync_duration_seconds", "Their last sync.", images.syncSec);
  text.gauge(
    "etcd_mvcc_db_open_read_transactions",
    "States that are held.",
    numbers.sendingTo.length + numbers.openSnapshots,
  );
}

/** Stores that were built anew. */
export function writeDefrag(text: MetricsText, { tally, isDefragmenting }: MemberNumbers): void {
  const took = "etcd_disk_backend_defrag_duration_seconds";
  text.histogram(took, "How long defragmenting took.", tally.defragSec);
  text.gauge("etcd_disk_defrag_inflight", "1 while defragmenting.", isDefragmenting ? 1 : 0);
}

/** What the leader counts of learners and of its heartbeats. */
export function writeLeader(text: MetricsText, { tally }: MemberNumbers): void {
  const promote = "etcd_server_learner_promote";
  text.counter(`${promote}_successes`, "Learners made voters by this leader.", tally.promotions);
  if (tally.promoteFailures.size > 0) {
    text.family(`${promote}_failures`, "counter", "Learners that stayed learners.");
    for (const [reason, count] of tally.promoteFailures) {
      text.sample(`${promote}_failures`, [["Reason", reason]], count);
    }
  }
  const late = "etcd_server_heartbeat_send_failures_total";
  text.counter(late, "Heartbeats that left late.", tally.lateHeartbeats);
}

export function writeByPeer(
  text: MetricsText,
  family: {
    readonly name: string;
    readonly type: "counter" | "gauge";
    readonly label: string;
    readonly help: string;
    readonly counts: ReadonlyMap<MemberId, number>;
  },
): void {
  const { name, type, label, help, counts } = family;
  if (counts.size === 0) return;
  text.family(name, type, help);
  for (const [peer, count] of counts) text.sample(name, [[label, peer.toString(16)]], count);
}
