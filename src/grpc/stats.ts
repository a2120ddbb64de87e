// Calls counted by method and outcome: a few additions per call. All methods of etcd exist from the
// start with zeros, as its own page has them.
import { Histogram } from "../base/histogram.ts";
import { type MethodDescriptor, methodDescriptors } from "../proto/descriptors.ts";

const statusCodes = 17;
/** Values of the client's version header that get a series of their own. */
export const clientVersionsMax = 32;
/** The defaults of Prometheus' library, in seconds. */
const handlingBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Present before the first call. */
const eagerPackages = /^\/(etcdserverpb|grpc\.health)\./;

export class MethodStats {
  readonly service: string;
  readonly method: string;
  readonly type: string;
  started = 0;
  received = 0;
  sent = 0;
  /** By status code. */
  readonly handled = new Float64Array(statusCodes);
  /** Seconds; filled only when the server was asked to time its calls. */
  readonly handling = new Histogram(handlingBounds);

  constructor(path: string, descriptor: MethodDescriptor | undefined) {
    const [, service = "", method = ""] = path.split("/");
    this.service = service;
    this.method = method;
    this.type = typeOf(descriptor);
  }

  finish(code: number): void {
    this.handled[code] = (this.handled[code] ?? 0) + 1;
  }
}

/** What all calls of a member share. */
export class GrpcStats {
  receivedBytes = 0;
  sentBytes = 0;
  readonly methods = new Map<string, MethodStats>();
  /** By kind of call and the client's version: counts. */
  readonly clients = new Map<string, ClientCount>();
  /** Whether calls are timed. */
  readonly isTimed: boolean;

  constructor(options: { readonly isTimed?: boolean } = {}) {
    this.isTimed = options.isTimed ?? false;
    for (const [path, descriptor] of methodDescriptors()) {
      if (eagerPackages.test(path)) this.methods.set(path, new MethodStats(path, descriptor));
    }
  }

  of(path: string): MethodStats {
    let stats = this.methods.get(path);
    if (stats === undefined) {
      stats = new MethodStats(path, methodDescriptors().get(path));
      this.methods.set(path, stats);
    }
    return stats;
  }

  /** Asked once for each header list, not for each call. */
  client(kind: "unary" | "stream", version: string | undefined): ClientCount {
    const key = `${kind} ${version ?? "unknown"}`;
    let count = this.clients.get(key);
    if (count === undefined) {
      if (this.clients.size >= clientVersionsMax && version !== "other") {
        return this.client(kind, "other");
      }
      count = { kind, version: version ?? "unknown", calls: 0 };
      this.clients.set(key, count);
    }
    return count;
  }
}

export interface ClientCount {
  readonly kind: "unary" | "stream";
  readonly version: string;
  calls: number;
}

function typeOf(descriptor: MethodDescriptor | undefined): string {
  if (descriptor === undefined) return "unary";
  const { clientStreaming, serverStreaming } = descriptor;
  if (clientStreaming) return serverStreaming ? "bidi_stream" : "client_stream";
  return serverStreaming ? "server_stream" : "unary";
}
