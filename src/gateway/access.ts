// Who may ask: Host names against DNS rebinding (CVE-2018-1099), origins of other sites' pages.
import type { Fields, HttpRequest } from "./exchange.ts";

export interface AccessRules {
  /** Origins that browsers may call from; with `*`, or empty: all. */
  readonly cors: readonly string[];
  /** Host names that plain HTTP may be asked by; with `*`, or empty: all. */
  readonly hostWhitelist: readonly string[];
}

export const openAccess: AccessRules = { cors: ["*"], hostWhitelist: ["*"] };

const methodsField = ["Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE"] as const;
const headersField = [
  "Access-Control-Allow-Headers",
  "accept, content-type, authorization",
] as const;
const none: Fields = [];

export class Access {
  readonly #origins: ReadonlySet<string>;
  readonly #hosts: ReadonlySet<string>;
  readonly #forAll: Fields = corsFields("*");

  constructor(rules: AccessRules) {
    this.#origins = new Set(rules.cors);
    this.#hosts = new Set(rules.hostWhitelist);
  }

  /** @returns the Host that is refused; undefined when all is well. */
  strangeHost(request: HttpRequest): string | undefined {
    if (request.isSecure || allows(this.#hosts, "*")) return undefined;
    const host = hostName(request.header("host") ?? "");
    return this.#hosts.has(host) ? undefined : host;
  }

  /** Headers that every answer to the request gets. */
  corsFields(request: HttpRequest): Fields {
    if (allows(this.#origins, "*")) return this.#forAll;
    const origin = request.header("origin");
    return origin !== undefined && this.#origins.has(origin) ? corsFields(origin) : none;
  }
}

export const strangeHostText = (host: string): string =>
  [
    "",
    "etcd received your request, but the Host header was unrecognized.",
    "",
    "Either ask over TLS, or start the server with this name among those of its whitelist:",
    `  --host-whitelist ${JSON.stringify(host)}`,
    "",
    "",
  ].join("\n");

function allows(set: ReadonlySet<string>, item: string): boolean {
  return set.size === 0 || set.has(item);
}

function corsFields(origin: string): Fields {
  return [headersField, methodsField, ["Access-Control-Allow-Origin", origin]];
}

function hostName(host: string): string {
  return host.replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1");
}
