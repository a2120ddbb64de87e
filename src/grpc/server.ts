// gRPC over our HTTP/2 server: judges request heads and leads calls to their methods.
import { type EtcdError, errServiceNotServed, errUnknownMethod } from "../base/errors.ts";
import type { RequestHead } from "../http2/requestHead.ts";
import type { Http2Stream, RequestHandler, Route, StreamReceiver } from "../http2/stream.ts";
import type { Timers } from "../http2/timers.ts";
import type { MethodTable, StreamMethod, UnaryMethod } from "./call.ts";
import { DeadlineWheel, parseTimeoutMs } from "./deadlines.ts";
import type { CallContext, CallHead, GrpcLimits } from "./exchange.ts";
import { messagePrefixBytes } from "./messageReader.ts";
import {
  errContentType,
  errHttpMethod,
  errMalformedPath,
  errMalformedTimeout,
  errNoDecompressor,
} from "./refusals.ts";
import { GrpcStats } from "./stats.ts";
import { StatusFields } from "./status.ts";
import { StreamExchange } from "./streaming.ts";
import { UnaryExchange } from "./unary.ts";

export interface GrpcServerOptions {
  readonly methods: MethodTable;
  readonly limits: GrpcLimits;
  readonly timers: Timers;
  /** Where calls are counted. */
  readonly stats?: GrpcStats;
  /** A method threw something other than a refusal. May throw: nothing here catches it. */
  readonly onMistake: (error: unknown) => void;
}

export class GrpcServer implements RequestHandler {
  readonly #methods: MethodTable;
  readonly #services: ReadonlySet<string>;
  readonly #context: CallContext;

  constructor(options: GrpcServerOptions) {
    const { methods, limits, timers, stats, onMistake } = options;
    this.#methods = methods;
    const paths = [...methods.unary.keys(), ...methods.stream.keys()];
    this.#services = new Set(paths.map((path) => splitPath(path)?.service ?? ""));
    this.#context = {
      limits,
      deadlines: new DeadlineWheel(timers),
      status: new StatusFields(),
      prefix: Buffer.alloc(messagePrefixBytes),
      stats: stats ?? new GrpcStats(),
      clock: timers,
      onMistake,
    };
  }

  route(head: RequestHead): Route {
    const refusal = headRefusal(head);
    if (refusal !== undefined) return this.#refused(refusal.error, refusal.httpStatus);
    const timeoutText = head.get("grpc-timeout");
    const timeoutMs = timeoutText === undefined ? undefined : parseTimeoutMs(timeoutText);
    const unary = this.#methods.unary.get(head.path);
    if (unary !== undefined) return new UnaryRoute(this.#callHead(head, "unary", timeoutMs), unary);
    const stream = this.#methods.stream.get(head.path);
    if (stream !== undefined) {
      return new StreamRoute(this.#callHead(head, "stream", timeoutMs), stream);
    }
    return this.#refused(this.#notServed(head.path), 200);
  }

  #callHead(head: RequestHead, kind: "unary" | "stream", timeoutMs: number | undefined): CallHead {
    const context = this.#context;
    const stats = context.stats.of(head.path);
    const client = context.stats.client(kind, head.get("client-api-version"));
    const isGzip = head.get("grpc-encoding") === "gzip";
    return { context, head, timeoutMs, isGzip, stats, client };
  }

  #notServed(path: string): EtcdError {
    const parts = splitPath(path);
    if (parts === undefined) return errMalformedPath(path);
    return this.#services.has(parts.service)
      ? errUnknownMethod(parts.service, parts.method)
      : errServiceNotServed(parts.service);
  }

  #refused(error: EtcdError, httpStatus: number): Route {
    return new RefusedRoute(this.#context.status.of(error), httpStatus);
  }
}

class UnaryRoute implements Route {
  readonly #call: CallHead;
  readonly #method: UnaryMethod;

  constructor(call: CallHead, method: UnaryMethod) {
    this.#call = call;
    this.#method = method;
  }

  open(stream: Http2Stream, ended: boolean): StreamReceiver {
    const exchange = new UnaryExchange(this.#call, this.#method, stream);
    if (ended) exchange.onData(noBytes, 0, 0, true);
    return exchange;
  }
}

class StreamRoute implements Route {
  readonly #call: CallHead;
  readonly #method: StreamMethod;

  constructor(call: CallHead, method: StreamMethod) {
    this.#call = call;
    this.#method = method;
  }

  open(stream: Http2Stream, ended: boolean): StreamReceiver {
    const exchange = new StreamExchange(this.#call, stream);
    exchange.start(this.#method, ended);
    return exchange;
  }
}

class RefusedRoute implements Route {
  readonly #fields: Uint8Array;
  readonly #httpStatus: number;

  constructor(fields: Uint8Array, httpStatus: number) {
    this.#fields = fields;
    this.#httpStatus = httpStatus;
  }

  open(stream: Http2Stream): undefined {
    stream.endWith(this.#fields, this.#httpStatus);
  }
}

interface HeadRefusal {
  readonly error: EtcdError;
  readonly httpStatus: number;
}

// In grpc-go's order. `te` is not asked for: proxies drop it and nothing depends on it.
function headRefusal(head: RequestHead): HeadRefusal | undefined {
  const contentType = head.get("content-type") ?? "";
  if (!isGrpc(contentType)) return { error: errContentType(contentType), httpStatus: 415 };
  if (head.method !== "POST") return { error: errHttpMethod(head.method), httpStatus: 405 };
  const timeout = head.get("grpc-timeout");
  if (timeout !== undefined && parseTimeoutMs(timeout) === undefined) {
    return { error: errMalformedTimeout(timeout), httpStatus: 400 };
  }
  const encoding = head.get("grpc-encoding") ?? "identity";
  if (encoding !== "identity" && encoding !== "gzip")
    return { error: errNoDecompressor(encoding), httpStatus: 200 };
  return undefined;
}

function isGrpc(contentType: string): boolean {
  const base = "application/grpc";
  if (contentType === base) return true;
  return contentType.startsWith(`${base}+`) || contentType.startsWith(`${base};`);
}

interface PathParts {
  readonly service: string;
  readonly method: string;
}

function splitPath(path: string): PathParts | undefined {
  const from = path.startsWith("/") ? 1 : 0;
  const slash = path.lastIndexOf("/");
  if (slash < from) return undefined;
  return { service: path.slice(from, slash), method: path.slice(slash + 1) };
}

const noBytes = Buffer.alloc(0);
