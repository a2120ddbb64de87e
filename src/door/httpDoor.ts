// What a member says over HTTP besides gRPC: its JSON gateway, its pages, its upgrades.
import { type AccessRules, openAccess } from "../gateway/access.ts";
import { defaultGatewayLimits, type GatewayLimits } from "../gateway/exchange.ts";
import { Http1Server, type UpgradeHandler } from "../gateway/http1.ts";
import { versionPage } from "../gateway/pages.ts";
import { Gateway, type Page } from "../gateway/server.ts";
import type { MethodTable } from "../grpc/call.ts";
import { GrpcStats } from "../grpc/stats.ts";
import { systemTimers, type Timers } from "../http2/timers.ts";

export interface HttpDoorOptions {
  readonly methods: MethodTable;
  readonly access?: AccessRules;
  readonly limits?: Partial<GatewayLimits>;
  readonly timers?: Timers;
  /** Besides `/version`, by path. */
  readonly pages?: ReadonlyMap<string, Page>;
  /** By path. */
  readonly upgrades?: ReadonlyMap<string, UpgradeHandler>;
  /** Where calls are counted. */
  readonly stats?: GrpcStats;
  /** Asks the owner to flush the door once, at the end of the turn; by default setImmediate does. */
  readonly requestFlush?: () => void;
  /** Leaves all of HTTP/1.1 to node:http: what our own reader is compared with. */
  readonly isSlow?: boolean;
  readonly onMistake: (error: unknown) => void;
}

export interface HttpDoor {
  readonly gateway: Gateway;
  readonly http1: Http1Server;
}

export function openHttpDoor(options: HttpDoorOptions): HttpDoor {
  const gateway = new Gateway({
    methods: options.methods,
    pages: new Map([["/version", versionPage], ...(options.pages ?? [])]),
    access: options.access ?? openAccess,
    limits: { ...defaultGatewayLimits, ...options.limits },
    timers: options.timers ?? systemTimers,
    stats: options.stats ?? new GrpcStats(),
    onMistake: options.onMistake,
  });
  const { upgrades = new Map(), requestFlush, isSlow = false } = options;
  const flushing = requestFlush && { requestFlush };
  const http1 = new Http1Server({ gateway, upgrades, isSlow, ...flushing });
  return { gateway, http1 };
}
