// The gateway: every request that is not gRPC, whatever connection it came over, finds its answer here.
import { unreachable } from "../base/assert.ts";
import { errUnknownMethod } from "../base/errors.ts";
import type { MethodTable } from "../grpc/call.ts";
import { DeadlineWheel, parseTimeoutMs } from "../grpc/deadlines.ts";
import type { GrpcStats } from "../grpc/stats.ts";
import type { Timers } from "../http2/timers.ts";
import { Access, type AccessRules, strangeHostText } from "./access.ts";
import { CallEnvironment } from "./environment.ts";
import {
  type Fields,
  type GatewayLimits,
  type HttpReply,
  type HttpRequest,
  plainType,
} from "./exchange.ts";
import {
  errDeadlineExceeded,
  errMethodNotAllowed,
  errNotFound,
  errTimeout,
  refuse,
} from "./refusals.ts";
import { type GatewayRoute, gatewayRoutes } from "./routes.ts";
import { JsonStreamCall } from "./streams.ts";
import { type CallParts, callUnary } from "./unary.ts";

/** Answers GET on a path that is no call: health, version, metrics. */
export type Page = (request: HttpRequest, reply: HttpReply) => void;

export interface GatewayParts {
  readonly methods: MethodTable;
  /** By path. */
  readonly pages: ReadonlyMap<string, Page>;
  readonly access: AccessRules;
  readonly limits: GatewayLimits;
  readonly timers: Timers;
  readonly stats: GrpcStats;
  readonly onMistake: (error: unknown) => void;
}

/** What is done with the body of a request. */
export type BodyWanted =
  /** Answered already, or soon, without it. */
  | { readonly kind: "none" }
  | { readonly kind: "whole"; readonly onBody: (body: Buffer) => void }
  | { readonly kind: "parts"; readonly onPart: (part: Buffer, ended: boolean) => void };

const noBody: BodyWanted = { kind: "none" };
/** A shorter time is over by now. */
const timeoutMsMin = 0.05;
const apiPrefix = "/v3/";
const getOnly: Fields = [["Allow", "GET"], ...plainType];

export class Gateway {
  readonly limits: GatewayLimits;
  readonly #routes: ReadonlyMap<string, GatewayRoute>;
  readonly #pages: ReadonlyMap<string, Page>;
  readonly #access: Access;
  readonly #environment: CallEnvironment;

  constructor({ methods, pages, access, limits, timers, stats, onMistake }: GatewayParts) {
    this.limits = limits;
    this.#routes = gatewayRoutes(methods);
    this.#pages = pages;
    this.#access = new Access(access);
    const deadlines = new DeadlineWheel(timers);
    this.#environment = new CallEnvironment({ limits, deadlines, stats, onMistake });
  }

  /** Headers that the answer gets besides its own. */
  commonFields(request: HttpRequest): Fields {
    return this.#access.corsFields(request);
  }

  /** Asked under a name that is not on the list. */
  isStrange(request: HttpRequest): boolean {
    return this.#access.strangeHost(request) !== undefined;
  }

  /** Whether the path is that of a page, or below that of the API. */
  knows(path: string): boolean {
    return path.startsWith(apiPrefix) || this.#pages.has(path);
  }

  /** Whether a request for the path is one message, and so is its answer. */
  isUnary(path: string): boolean {
    return this.#routes.get(path)?.kind === "unary";
  }

  /** Begins to answer. @returns what is to be done with the body. */
  handle(request: HttpRequest, reply: HttpReply): BodyWanted {
    const strange = this.#access.strangeHost(request);
    if (strange !== undefined) reply.whole(421, plainType, `${strangeHostText(strange)}\n`);
    else if (request.method === "OPTIONS") reply.whole(200, [], "");
    else if (request.path.startsWith(apiPrefix)) return this.#call(request, reply);
    else this.#page(request, reply);
    return noBody;
  }

  /** As for a path that is nobody's. */
  notFound(reply: HttpReply): BodyWanted {
    reply.whole(404, plainType, "404 page not found\n");
    return noBody;
  }

  #page(request: HttpRequest, reply: HttpReply): void {
    const page = this.#pages.get(request.path);
    if (page === undefined) this.notFound(reply);
    // etcd's metrics answer any verb.
    else if (request.method === "GET" || request.path === "/metrics") page(request, reply);
    else reply.whole(405, getOnly, "Method Not Allowed\n");
  }

  #call(request: HttpRequest, reply: HttpReply): BodyWanted {
    const route = this.#routes.get(request.path);
    if (route === undefined) {
      refuse(reply, errNotFound);
      return noBody;
    }
    if (request.method !== "POST") {
      refuse(reply, errMethodNotAllowed);
      return noBody;
    }
    if (route.kind === "missing") {
      const [, service = "", method = ""] = route.rpc.split("/");
      refuse(reply, errUnknownMethod(service, method));
      return noBody;
    }
    const timeoutText = request.header("grpc-timeout") || undefined;
    const timeoutMs = timeoutText === undefined ? undefined : timeoutMsOf(timeoutText);
    if (timeoutText !== undefined && timeoutMs === undefined) {
      refuse(reply, errTimeout(timeoutText));
      return noBody;
    }
    if (timeoutMs !== undefined && timeoutMs < timeoutMsMin) {
      refuse(reply, errDeadlineExceeded);
      return noBody;
    }
    const utf8 = request.query.get("encoding") === "utf8";
    const { messages } = route;
    const environment = this.#environment;
    const stats = environment.stats.of(route.rpc);
    stats.started++;
    environment.stats.client(route.kind, request.header("client-api-version")).calls++;
    return begin(route, { request, reply, messages, environment, stats, timeoutMs, utf8 });
  }
}

// Longer numbers than gRPC itself allows are fine here.
function timeoutMsOf(text: string): number | undefined {
  const [, count = "", unit = ""] = /^([+-]?\d{1,18})([HMSmun])$/.exec(text) ?? [];
  return unit === "" ? undefined : Number(count) * (parseTimeoutMs(`1${unit}`) ?? 0);
}

function begin(route: GatewayRoute, parts: CallParts): BodyWanted {
  switch (route.kind) {
    case "unary": {
      const { method } = route;
      return { kind: "whole", onBody: (body) => callUnary(method, parts, body) };
    }
    case "stream": {
      const call = new JsonStreamCall(parts);
      call.start(route.method);
      return { kind: "parts", onPart: (part, ended) => call.onBody(part, ended) };
    }
    default:
      return unreachable("a missing method is refused before");
  }
}
