// Calls by method and outcome, as the gRPC middleware of Prometheus names them.
import { StatusCode } from "../base/errors.ts";
import type { GrpcStats, MethodStats } from "../grpc/stats.ts";
import type { Labels, MetricsText } from "./text.ts";

const codeNames = [
  ...["OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound"],
  ...["AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted"],
  ...["OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"],
];

export function writeGrpc(text: MetricsText, stats: GrpcStats): void {
  const methods = [...stats.methods.values()].map((method) => ({
    method,
    labels: labelsOf(method),
  }));
  const started = "grpc_server_started_total";
  text.family(started, "counter", "Calls begun.");
  for (const { method, labels } of methods) text.sample(started, labels, method.started);
  const handled = "grpc_server_handled_total";
  text.family(handled, "counter", "Calls ended, by outcome.");
  for (const { method, labels } of methods) {
    for (const [code, name] of codeNames.entries()) {
      text.sample(handled, [["grpc_code", name], ...labels], method.handled[code] ?? 0);
    }
  }
  const received = "grpc_server_msg_received_total";
  text.family(received, "counter", "Messages of clients.");
  for (const { method, labels } of methods) text.sample(received, labels, method.received);
  const sent = "grpc_server_msg_sent_total";
  text.family(sent, "counter", "Messages to clients.");
  for (const { method, labels } of methods) text.sample(sent, labels, method.sent);
  writeStreamFailures(text, stats);
  if (!stats.isTimed) return;
  const handling = "grpc_server_handling_seconds";
  text.family(handling, "histogram", "Time of unary calls until their answer.");
  for (const { method, labels } of methods) {
    if (method.type === "unary") text.buckets(handling, labels, method.handling);
  }
}

export function writeClients(text: MetricsText, stats: GrpcStats): void {
  const bytes = "etcd_network_client_grpc";
  text.counter(`${bytes}_received_bytes_total`, "Bytes of client requests.", stats.receivedBytes);
  text.counter(`${bytes}_sent_bytes_total`, "Bytes of answers to clients.", stats.sentBytes);
  if (stats.clients.size === 0) return;
  const requests = "etcd_server_client_requests_total";
  text.family(requests, "counter", "Calls by the version that the client names.");
  for (const { kind, version, calls } of stats.clients.values()) {
    text.sample(
      requests,
      [
        ["client_api_version", version],
        ["type", kind],
      ],
      calls,
    );
  }
}

/** Streams that ended because a message could not be read, or an answer was too large to be sent. */
function writeStreamFailures(text: MetricsText, { methods }: GrpcStats): void {
  const rows = streamApis.flatMap(([path, api]) =>
    streamFaults.map(([type, code]) => ({
      type,
      api,
      count: methods.get(path)?.handled[code] ?? 0,
    })),
  );
  const failed = rows.filter(({ count }) => count > 0);
  if (failed.length === 0) return;
  const name = "etcd_network_server_stream_failures_total";
  text.family(name, "counter", "Streams that failed.");
  for (const { type, api, count } of failed) {
    text.sample(
      name,
      [
        ["API", api],
        ["Type", type],
      ],
      count,
    );
  }
}

const streamApis = [
  ["/etcdserverpb.Watch/Watch", "watch"],
  ["/etcdserverpb.Lease/LeaseKeepAlive", "lease-keepalive"],
] as const;
const streamFaults = [
  ["receive", StatusCode.internal],
  ["send", StatusCode.resourceExhausted],
] as const;

function labelsOf({ method, service, type }: MethodStats): Labels {
  return [
    ["grpc_method", method],
    ["grpc_service", service],
    ["grpc_type", type],
  ];
}
