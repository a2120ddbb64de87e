// The page that a scrape reads: etcd's names for what etcd has, quorlet_ for what only we have. Rendered
// in the member's own thread, from numbers that lie ready.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { type MemberId, noMember } from "../base/brand.ts";
import type { GrpcStats } from "../grpc/stats.ts";
import type { MemberNumbers } from "../member/tally.ts";
import type { CountedLink } from "./countedLink.ts";
import { writeClients, writeGrpc } from "./grpcFamilies.ts";
import {
  writeApply,
  writeByPeer,
  writeDefrag,
  writeImages,
  writeLeader,
  writeLeases,
} from "./memberFamilies.ts";
import { readProcess, writeProcess } from "./process.ts";
import { Runtime } from "./runtime.ts";
import { writeStill } from "./still.ts";
import { type Labels, MetricsText } from "./text.ts";
import type { DiskTally } from "./timedDisk.ts";

/** etcd's default of --quota-backend-bytes. */
const quotaBytesDefault = 2_147_483_648;
const loopResolutionMs = 20;
const nsPerSec = 1e9;

export interface HealthNumbers {
  readonly successes: number;
  readonly failures: number;
  /** By "livez name" or "readyz name": what the last run said, and how many runs said what. */
  readonly checks: ReadonlyMap<
    string,
    { readonly last: boolean; readonly successes: number; readonly errors: number }
  >;
}

export interface MetricsSources {
  readonly numbers: () => MemberNumbers;
  readonly grpc: GrpcStats;
  readonly disk: DiskTally;
  readonly link: CountedLink;
  readonly health: HealthNumbers;
  readonly id: MemberId;
  /** "3.5.30": of the release that we answer as. */
  readonly etcdVersion: string;
  readonly quotaBytes?: number;
}

export class MetricsPage {
  readonly #sources: MetricsSources;
  readonly #loop = monitorEventLoopDelay({ resolution: loopResolutionMs });
  readonly #runtime = new Runtime();
  #scrapes = 0;

  constructor(sources: MetricsSources) {
    this.#sources = sources;
    this.#loop.enable();
  }

  close(): void {
    this.#loop.disable();
    this.#runtime.close();
  }

  render(): string {
    const text = new MetricsText();
    const numbers = this.#sources.numbers();
    writeServer(text, numbers, this.#sources);
    writeDisk(text, numbers, this.#sources.disk);
    writeStore(text, numbers);
    writeApply(text, numbers);
    writeLeases(text, numbers);
    writeImages(text, numbers);
    writeDefrag(text, numbers);
    writeLeader(text, numbers);
    writeStill(text);
    writePeers(text, this.#sources);
    const receiveFailures = numbers.tally.badFrames;
    writeByPeer(text, {
      ...{ name: "etcd_network_peer_received_failures_total", type: "counter", label: "From" },
      ...{ help: "Frames that made no sense.", counts: receiveFailures },
    });
    writeClients(text, this.#sources.grpc);
    writeGrpc(text, this.#sources.grpc);
    writeOurs(text, numbers);
    this.#writeLoop(text);
    writeProcess(text, readProcess());
    this.#runtime.write(text);
    this.#scrapes++;
    text.family("promhttp_metric_handler_requests_total", "counter", "Scrapes by status.");
    text.sample("promhttp_metric_handler_requests_total", [["code", "200"]], this.#scrapes);
    const inFlight = "promhttp_metric_handler_requests_in_flight";
    text.gauge(inFlight, "Scrapes under way, this one too.", 1);
    return text.take();
  }

  // Delays since the last scrape; a timer of the resolution is what is measured.
  #writeLoop(text: MetricsText): void {
    const name = "quorlet_event_loop_delay_seconds";
    text.family(name, "summary", "How late the event loop was, since the last scrape.");
    const floorNs = loopResolutionMs * 1e6;
    for (const quantile of [0.5, 0.99, 1]) {
      const lateNs = Math.max(0, this.#loop.percentile(quantile * 100) - floorNs);
      text.sample(name, [["quantile", `${quantile}`]], lateNs / nsPerSec);
    }
    this.#loop.reset();
  }
}

function writeServer(text: MetricsText, numbers: MemberNumbers, sources: MetricsSources): void {
  const { status, tally } = numbers;
  const server = "etcd_server";
  const flag = (value: boolean): number => (value ? 1 : 0);
  text.gauge(`${server}_has_leader`, "1 with a known leader.", flag(status.leader !== noMember));
  text.gauge(`${server}_is_leader`, "1 on the leader.", flag(status.role === "leader"));
  text.gauge(`${server}_is_learner`, "1 on a learner.", flag(status.isLearner));
  text.counter(`${server}_leader_changes_seen_total`, "Leaders seen.", tally.leaderChanges);
  text.gauge(`${server}_proposals_committed_total`, "Index of the commit.", status.commit);
  text.gauge(`${server}_proposals_applied_total`, "Index that is applied.", status.applied);
  text.gauge(
    `${server}_proposals_pending`,
    "Commands without an outcome.",
    numbers.pendingCommands,
  );
  text.counter(`${server}_proposals_failed_total`, "Commands too late.", numbers.failedCommands);
  text.counter(`${server}_read_indexes_failed_total`, "Reads refused.", numbers.failedReads);
  text.counter(
    `${server}_slow_read_indexes_total`,
    "Quorum rounds of reads asked again.",
    numbers.slowReads,
  );
  text.counter(
    `${server}_slow_apply_total`,
    "Rounds of entries applied too slowly.",
    tally.slowApplies,
  );
  const quota = sources.quotaBytes ?? quotaBytesDefault;
  text.gauge(`${server}_quota_backend_bytes`, "Most bytes that the store may have.", quota);
  text.counter(`${server}_health_success`, "Good answers of /health.", sources.health.successes);
  text.counter(`${server}_health_failures`, "Bad answers of /health.", sources.health.failures);
  writeChecks(text, sources.health);
  const { etcdVersion, id } = sources;
  labelled(text, `${server}_version`, "The release that is answered for.", [
    ["server_version", etcdVersion],
  ]);
  labelled(text, `${server}_id`, "Id of the member.", [["server_id", id.toString(16)]]);
  labelled(text, "etcd_cluster_version", "Version of the cluster.", [
    ["cluster_version", etcdVersion.replace(/\.\d+$/, "")],
  ]);
}

function writeChecks(text: MetricsText, { checks }: HealthNumbers): void {
  if (checks.size === 0) return;
  const rows = [...checks].map(([key, check]) => {
    const [type = "", name = ""] = key.split(" ");
    const labels: Labels = [
      ["name", name],
      ["type", type],
    ];
    return { labels, check };
  });
  const last = "etcd_server_healthcheck";
  text.family(last, "gauge", "What the last run of a check said.");
  for (const { labels, check } of rows) text.sample(last, labels, check.last ? 1 : 0);
  const runs = "etcd_server_healthchecks_total";
  text.family(runs, "counter", "Runs of checks.");
  for (const { labels, check } of rows) {
    text.sample(runs, [...labels, ["status", "success"]], check.successes);
    text.sample(runs, [...labels, ["status", "error"]], check.errors);
  }
}

function writeDisk(text: MetricsText, { tally }: MemberNumbers, disk: DiskTally): void {
  const name = "etcd_disk";
  text.histogram(`${name}_wal_fsync_duration_seconds`, "Syncs of the log.", disk.syncSec);
  text.histogram(`${name}_wal_write_duration_seconds`, "Writes to the log.", disk.writeSec);
  text.gauge(`${name}_wal_write_bytes_total`, "Bytes written to the log.", disk.writtenBytes);
  const commit = `${name}_backend_commit_duration_seconds`;
  text.histogram(commit, "Batches of the store.", tally.storeFlushSec);
  const write = "etcd_debugging_disk_backend_commit_write_duration_seconds";
  text.histogram(write, "The same: a batch is nothing but its write.", tally.storeFlushSec);
  text.histogram("quorlet_store_flush_seconds", "Batches of the store.", tally.storeFlushSec);
}

function writeStore(text: MetricsText, numbers: MemberNumbers): void {
  const { store, status, watch, tally } = numbers;
  const mvcc = "etcd_mvcc";
  text.counter(`${mvcc}_range_total`, "Ranges.", store.ranges);
  text.counter("etcd_debugging_mvcc_range_total", "Ranges.", store.ranges);
  text.counter(`${mvcc}_put_total`, "Puts.", store.puts);
  text.counter(`${mvcc}_delete_total`, "Deletions.", store.deletes);
  text.counter(`${mvcc}_txn_total`, "Transactions of several changes.", store.txns);
  text.gauge(`${mvcc}_db_total_size_in_bytes`, "Bytes of the store.", status.dbSizeBytes);
  const inUse = `${mvcc}_db_total_size_in_use_in_bytes`;
  text.gauge(inUse, "Bytes of the store in use.", status.dbSizeInUseBytes);
  const debugging = "etcd_debugging_mvcc";
  text.gauge(`${debugging}_keys_total`, "Keys of the index.", numbers.keys);
  text.gauge(`${debugging}_current_revision`, "Current revision.", status.revision);
  text.gauge(`${debugging}_compact_revision`, "Compacted revision.", numbers.compactedRevision);
  text.gauge(`${debugging}_total_put_size_in_bytes`, "Bytes of all puts.", store.putBytes);
  text.gauge(`${debugging}_watch_stream_total`, "Streams of watches.", watch.streams);
  text.gauge(`${debugging}_watcher_total`, "Watchers.", watch.watchers);
  text.gauge(`${debugging}_slow_watcher_total`, "Watchers that are behind.", watch.behind);
  text.counter(`${debugging}_events_total`, "Events sent.", watch.events);
  const pending = "Events that wait for their stream or for the end of a turn.";
  text.gauge(`${debugging}_pending_events_total`, pending, watch.pendingEvents);
  text.histogram(
    `${debugging}_index_compaction_pause_duration_milliseconds`,
    "Steps of compactions: each visits keys and drops their rows.",
    tally.compactionIndexPauseMs,
  );
  const compaction = `${debugging}_db_compaction`;
  text.counter(`${compaction}_keys_total`, "Rows that compactions removed.", store.compactedRows);
  text.histogram(
    `${compaction}_pause_duration_milliseconds`,
    "Steps of compactions.",
    tally.compactionPauseMs,
  );
  text.histogram(
    `${compaction}_total_duration_milliseconds`,
    "Compactions from their first step until the store has dropped all.",
    tally.compactionMs,
  );
  const agoMs = numbers.nowMs - tally.lastCompactionMs;
  const lastSec = tally.lastCompactionMs < 0 ? 0 : (Date.now() - agoMs) / 1000;
  text.gauge(`${compaction}_last`, "End of the last compaction, Unix time.", lastSec);
  text.histogram("etcd_mvcc_hash_rev_duration_seconds", "Hashes of the keys.", tally.hashSec);
}

function writePeers(text: MetricsText, { link, id }: MetricsSources): void {
  const peers = [...link.peers].map(([peer, tally]) => ({ peer, tally, hex: peer.toString(16) }));
  if (peers.length === 0) return;
  const local = ["Local", id.toString(16)] as const;
  const network = "etcd_network";
  const active = `${network}_active_peers`;
  text.family(active, "gauge", "Peers that can be reached.");
  for (const { peer, hex } of peers) {
    text.sample(active, [local, ["Remote", hex]], link.connected(peer) ? 1 : 0);
  }
  const lost = `${network}_disconnected_peers_total`;
  text.family(lost, "counter", "Ways to peers that were lost.");
  for (const { tally, hex } of peers) {
    text.sample(lost, [local, ["Remote", hex]], tally.disconnects);
  }
  const rows = [
    ["peer_sent_bytes_total", "To", "Bytes to peers.", "sentBytes"],
    ["peer_received_bytes_total", "From", "Bytes from peers.", "receivedBytes"],
    ["peer_sent_failures_total", "To", "Frames that had nowhere to go.", "sendFailures"],
  ] as const;
  for (const [name, label, help, field] of rows) {
    text.family(`${network}_${name}`, "counter", help);
    for (const { tally, hex } of peers) {
      text.sample(`${network}_${name}`, [[label, hex]], tally[field]);
    }
  }
  const trip = `${network}_peer_round_trip_time_seconds`;
  text.family(trip, "histogram", "From a frame of the leader to what comes back.");
  for (const { tally, hex } of peers) text.buckets(trip, [["To", hex]], tally.roundTripSec);
}

function writeOurs(text: MetricsText, numbers: MemberNumbers): void {
  const { tally, watch } = numbers;
  text.histogram("quorlet_batch_commands", "Commands of one entry.", tally.batchCommands);
  text.gauge("quorlet_pending_commands", "Commands without an outcome.", numbers.pendingCommands);
  const slow = "quorlet_slow_commands_total";
  text.counter(slow, "Commands that waited for 300 ms or longer.", tally.slowCommands);
  text.gauge("quorlet_pending_reads", "Reads without an answer.", numbers.pendingReads);
  text.gauge("quorlet_unflushed_bytes", "Applied, not in the store yet.", numbers.unflushedBytes);
  text.gauge("quorlet_watch_behind", "Watchers that read history or wait.", watch.behind);
}

function labelled(text: MetricsText, name: string, help: string, labels: Labels): void {
  text.family(name, "gauge", help).sample(name, labels, 1);
}
