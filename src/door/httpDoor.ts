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
  return { gateway, http1: new Http1Server({ gateway, upgrades: options.upgrades ?? new Map() }) };
}
