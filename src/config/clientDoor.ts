// What etcd's flags say about clients: addresses, TLS, origins, host names.
import type { Address } from "../cluster/address.ts";
import type { ClientDoor } from "../cluster/protocol.ts";
import { ConfigError } from "./configError.ts";
import type { Settings } from "./settings.ts";
import { parseServerUrl, type ServerUrl } from "./urls.ts";

export interface ClientListeners {
  readonly listen: Address;
  readonly door: ClientDoor;
  /** As the user wrote them. */
  readonly urls: readonly string[];
}

type Listening = NonNullable<ClientDoor["more"]>[number] & { readonly text: string };
type TlsVersion = "TLSv1.2" | "TLSv1.3";

const versions: Readonly<Record<string, TlsVersion>> = { "TLS1.2": "TLSv1.2", "TLS1.3": "TLSv1.3" };

/** @throws {ConfigError} for what contradicts itself. */
export function clientListeners(settings: Settings): ClientListeners {
  const tls = tlsOf(settings);
  const autoTls = tls === undefined && settings.bool("auto-tls");
  const httpUrls = settings.list("listen-client-http-urls");
  const grpcUrls = settings.list("listen-client-urls");
  const has = { certificate: tls !== undefined || autoTls, httpUrls: httpUrls.length > 0 };
  const serves = has.httpUrls ? "grpc" : "all";
  const listening = [
    ...grpcUrls.map((text) => listeningAt("listen-client-urls", text, serves)),
    ...httpUrls.map((text) => listeningAt("listen-client-http-urls", text, "http")),
    ...settings
      .list("listen-metrics-urls")
      .map((text) => listeningAt("listen-metrics-urls", text, "metrics")),
  ];
  for (const { text, secure } of listening) judgeScheme(settings, text, { secure, ...has });
  const main = listening.find(({ at, serves: what }) => !("path" in at) && what !== "metrics");
  if (main === undefined || "path" in main.at) {
    throw new ConfigError("--listen-client-urls names no URL with host and port");
  }
  return {
    listen: main.at,
    urls: grpcUrls,
    door: {
      ...(tls && { tls }),
      ...(autoTls && { autoTls }),
      main: { secure: main.secure, serves: main.serves },
      more: listening
        .filter((one) => one !== main)
        .map(({ at, secure, serves: what }) => ({ at, secure, serves: what })),
      ...(settings.isSaid("cors") && { cors: settings.list("cors") }),
      ...(settings.isSaid("host-whitelist") && { hostWhitelist: settings.list("host-whitelist") }),
    },
  };
}

function listeningAt(flag: string, text: string, serves: Listening["serves"]): Listening {
  const [, scheme, path] = /^(unixs?):\/\/(.+)$/.exec(text) ?? [];
  if (path !== undefined) return { text, at: { path }, secure: scheme === "unixs", serves };
  const url: ServerUrl = parseServerUrl(flag, text);
  return { text, at: url.address, secure: url.isTls, serves };
}

function judgeScheme(
  settings: Settings,
  text: string,
  { secure, certificate }: { readonly secure: boolean; readonly certificate: boolean },
): void {
  if (secure && !certificate) {
    throw new ConfigError(
      `TLS key/cert (--cert-file, --key-file) must be provided for client url ${text} with HTTPS scheme`,
    );
  }
  if (!secure && certificate) {
    settings.warnings.push(
      `the scheme of client URL ${text} is HTTP: it is served without the certificate`,
    );
  }
}

function tlsOf(settings: Settings): ClientDoor["tls"] {
  const certFile = settings.text("cert-file");
  const keyFile = settings.text("key-file");
  if ((certFile === "") !== (keyFile === "")) {
    throw new ConfigError("--cert-file and --key-file belong together");
  }
  if (certFile === "") {
    for (const flag of ["client-cert-auth", "trusted-ca-file", "client-crl-file"]) {
      if (settings.isSaid(flag) && !settings.bool("auto-tls")) {
        throw new ConfigError(`--${flag} needs --cert-file and --key-file`);
      }
    }
    return undefined;
  }
  const trustedCaFile = settings.text("trusted-ca-file");
  const crlFile = settings.text("client-crl-file");
  const minVersion = versionOf(settings, "tls-min-version");
  const maxVersion = versionOf(settings, "tls-max-version");
  if (minVersion !== undefined && maxVersion !== undefined && minVersion > maxVersion) {
    throw new ConfigError("--tls-min-version is above --tls-max-version");
  }
  return {
    ...{ certFile, keyFile, clientCertAuth: settings.bool("client-cert-auth") },
    cipherSuites: settings.list("cipher-suites"),
    ...(trustedCaFile !== "" && { trustedCaFile }),
    ...(crlFile !== "" && { crlFile }),
    ...(minVersion && { minVersion }),
    ...(maxVersion && { maxVersion }),
  };
}

function versionOf(settings: Settings, flag: string): TlsVersion | undefined {
  const text = settings.text(flag);
  if (text === "") return undefined;
  const version = versions[text];
  if (version === undefined) {
    throw new ConfigError(
      `invalid value "${text}" for flag --${flag}: it must be TLS1.2 or TLS1.3`,
      {
        exitCode: 2,
      },
    );
  }
  return version;
}
