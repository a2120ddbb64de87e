// Every flag that `etcd` takes, in the order of its help, and what it means here; ours come last.

/** What follows a flag. A bool may stand alone; durations are Go's ("1m30s") or, in YAML, nanoseconds. */
export type FlagKind = "text" | "bool" | "int" | "duration";

/**
 * served: it does what it does in etcd. moot: nothing here corresponds to it; one warning says so.
 * missing: users rely on it and it is not built; a value other than the default is refused, since a
 * server without it would promise what it does not keep.
 */
export type FlagUse = "served" | "moot" | "missing";

export interface EtcdFlag {
  readonly name: string;
  readonly kind: FlagKind;
  /** As text, as a user would write it; "" for none. */
  readonly fallback: string;
  readonly use: FlagUse;
  /** Up to 3.5 its name begins with `experimental-`; both forms are taken. */
  readonly experimental: boolean;
}

type Row = readonly [name: string, kind: FlagKind, fallback: string, use: FlagUse];

const rows: readonly Row[] = [
  ["config-file", "text", "", "served"],
  // Member
  ["name", "text", "default", "served"],
  ["data-dir", "text", "", "served"],
  ["wal-dir", "text", "", "missing"],
  ["snapshot-count", "int", "100000", "served"],
  ["heartbeat-interval", "int", "100", "served"],
  ["election-timeout", "int", "1000", "served"],
  ["initial-election-tick-advance", "bool", "true", "moot"],
  ["listen-peer-urls", "text", "http://localhost:2380", "served"],
  ["listen-client-urls", "text", "http://localhost:2379", "served"],
  ["listen-client-http-urls", "text", "", "served"],
  ["max-snapshots", "int", "5", "moot"],
  ["max-wals", "int", "5", "moot"],
  ["quota-backend-bytes", "int", "0", "missing"],
  ["backend-bbolt-freelist-type", "text", "map", "moot"],
  ["backend-batch-interval", "duration", "", "moot"],
  ["backend-batch-limit", "int", "0", "moot"],
  ["max-txn-ops", "int", "128", "missing"],
  ["max-request-bytes", "int", "1572864", "missing"],
  ["max-concurrent-streams", "int", "4294967295", "moot"],
  ["grpc-keepalive-min-time", "duration", "5s", "moot"],
  ["grpc-keepalive-interval", "duration", "2h", "moot"],
  ["grpc-keepalive-timeout", "duration", "20s", "moot"],
  ["socket-reuse-port", "bool", "false", "moot"],
  ["socket-reuse-address", "bool", "false", "moot"],
  ["enable-grpc-gateway", "bool", "true", "moot"],
  ["raft-read-timeout", "duration", "5s", "moot"],
  ["raft-write-timeout", "duration", "5s", "moot"],
  ["feature-gates", "text", "", "moot"],
  // Clustering
  ["initial-advertise-peer-urls", "text", "http://localhost:2380", "served"],
  ["initial-cluster", "text", "", "served"],
  ["initial-cluster-state", "text", "new", "served"],
  ["initial-cluster-token", "text", "etcd-cluster", "served"],
  ["advertise-client-urls", "text", "http://localhost:2379", "served"],
  ["discovery", "text", "", "missing"],
  ["discovery-fallback", "text", "exit", "moot"],
  ["discovery-proxy", "text", "", "missing"],
  ["discovery-srv", "text", "", "served"],
  ["discovery-srv-name", "text", "", "served"],
  ["discovery-token", "text", "", "missing"],
  ["discovery-endpoints", "text", "", "missing"],
  ["strict-reconfig-check", "bool", "true", "served"],
  ["pre-vote", "bool", "true", "moot"],
  ["auto-compaction-retention", "text", "0", "missing"],
  ["auto-compaction-mode", "text", "periodic", "moot"],
  ["enable-v2", "bool", "false", "moot"],
  ["v2-deprecation", "text", "not-yet", "moot"],
  // Security
  ["cert-file", "text", "", "served"],
  ["key-file", "text", "", "served"],
  ["client-cert-auth", "bool", "false", "served"],
  ["client-cert-file", "text", "", "moot"],
  ["client-key-file", "text", "", "moot"],
  ["client-crl-file", "text", "", "served"],
  ["client-cert-allowed-hostname", "text", "", "missing"],
  ["trusted-ca-file", "text", "", "served"],
  ["auto-tls", "bool", "false", "served"],
  ["peer-cert-file", "text", "", "served"],
  ["peer-key-file", "text", "", "served"],
  ["peer-client-cert-auth", "bool", "false", "served"],
  ["peer-client-cert-file", "text", "", "served"],
  ["peer-client-key-file", "text", "", "served"],
  ["peer-trusted-ca-file", "text", "", "served"],
  ["peer-cert-allowed-cn", "text", "", "served"],
  ["peer-cert-allowed-hostname", "text", "", "served"],
  ["peer-auto-tls", "bool", "false", "served"],
  ["peer-crl-file", "text", "", "served"],
  ["self-signed-cert-validity", "int", "1", "moot"],
  ["cipher-suites", "text", "", "served"],
  ["tls-min-version", "text", "TLS1.2", "served"],
  ["tls-max-version", "text", "", "served"],
  ["cors", "text", "*", "served"],
  ["host-whitelist", "text", "*", "served"],
  // Auth
  ["auth-token", "text", "simple", "moot"],
  ["bcrypt-cost", "int", "10", "moot"],
  ["auth-token-ttl", "int", "300", "moot"],
  // Profiling, metrics, logging
  ["enable-pprof", "bool", "false", "moot"],
  ["metrics", "text", "basic", "served"],
  ["listen-metrics-urls", "text", "", "served"],
  ["logger", "text", "zap", "moot"],
  ["log-outputs", "text", "default", "moot"],
  ["log-level", "text", "info", "served"],
  ["log-format", "text", "json", "moot"],
  ["enable-log-rotation", "bool", "false", "moot"],
  ["log-rotation-config-json", "text", "", "moot"],
  // Unsafe
  ["force-new-cluster", "bool", "false", "served"],
  ["unsafe-no-fsync", "bool", "false", "moot"],
];

const experimentalRows: readonly Row[] = [
  ["memory-mlock", "bool", "false", "moot"],
  ["warning-unary-request-duration", "duration", "300ms", "moot"],
  ["warning-apply-duration", "duration", "100ms", "moot"],
  ["enable-distributed-tracing", "bool", "false", "moot"],
  ["distributed-tracing-address", "text", "localhost:4317", "moot"],
  ["distributed-tracing-service-name", "text", "etcd", "moot"],
  ["distributed-tracing-instance-id", "text", "", "moot"],
  ["distributed-tracing-sampling-rate", "int", "0", "moot"],
  ["corrupt-check-time", "duration", "0s", "moot"],
  ["compact-hash-check-time", "duration", "1m", "moot"],
  ["compaction-batch-limit", "int", "1000", "moot"],
  ["compaction-sleep-interval", "duration", "10ms", "moot"],
  ["watch-progress-notify-interval", "duration", "10m", "served"],
  ["bootstrap-defrag-threshold-megabytes", "int", "0", "moot"],
  ["max-learners", "int", "1", "served"],
  ["downgrade-check-time", "duration", "5s", "moot"],
  ["snapshot-catchup-entries", "int", "5000", "served"],
  ["initial-corrupt-check", "bool", "false", "moot"],
  ["compact-hash-check-enabled", "bool", "false", "moot"],
  ["enable-lease-checkpoint", "bool", "false", "moot"],
  ["enable-lease-checkpoint-persist", "bool", "false", "moot"],
  ["stop-grpc-service-on-defrag", "bool", "false", "moot"],
  ["txn-mode-write-with-shared-buffer", "bool", "true", "moot"],
  ["peer-skip-client-san-verification", "bool", "false", "moot"],
];

/** Ours: etcd has nothing like it. */
const ownRows: readonly Row[] = [
  ["promote-learners", "bool", "false", "served"],
  ["lease-reads", "bool", "false", "served"],
];

const flagOf =
  (experimental: boolean) =>
  ([name, kind, fallback, use]: Row): EtcdFlag => ({ name, kind, fallback, use, experimental });

export const etcdFlags: readonly EtcdFlag[] = [
  ...rows.map(flagOf(false)),
  ...experimentalRows.map(flagOf(true)),
  ...ownRows.map(flagOf(false)),
];

const byName = new Map(
  etcdFlags.flatMap((flag) => [
    [flag.name, flag] as const,
    ...(flag.experimental ? [[`experimental-${flag.name}`, flag] as const] : []),
  ]),
);

/** @param name without dashes; both forms of experimental flags are known. */
export function flagNamed(name: string): EtcdFlag | undefined {
  return byName.get(name);
}

/** The known name with the fewest edits, for a hint; undefined when none is near. */
export function nearestFlag(name: string): string | undefined {
  let best: string | undefined;
  let bestEdits = Math.min(4, Math.ceil(name.length / 3) + 1);
  for (const known of byName.keys()) {
    const edits = editsBetween(name, known, bestEdits);
    if (edits < bestEdits) {
      best = known;
      bestEdits = edits;
    }
  }
  return best;
}

/** Levenshtein's distance; at least `enough` where it is not below that. */
function editsBetween(from: string, to: string, enough: number): number {
  if (Math.abs(from.length - to.length) >= enough) return enough;
  let above = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const changed = (above[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      row.push(Math.min(changed, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    above = row;
  }
  return above[to.length] ?? enough;
}
