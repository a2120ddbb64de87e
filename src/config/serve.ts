// Settings of one member, by etcd's flags: what `quorlet serve` runs.
import type { LogLevel } from "../base/system.ts";
import type { MemberTiming } from "../member/events.ts";
import { type ClientListeners, clientListeners } from "./clientDoor.ts";
import { ConfigError } from "./configError.ts";
import { type PeerTlsConfig, peerTlsOf } from "./peerTls.ts";
import { gatherSettings, type SettingSources, type Settings } from "./settings.ts";
import { isWildcard, parseServerUrl, type ServerUrl } from "./urls.ts";

export interface ServeConfig {
  readonly name: string;
  readonly dataDir: string;
  readonly listenPeers: readonly ServerUrl[];
  readonly clients: ClientListeners;
  /** "auto": self-made certificates. */
  readonly peerTls: PeerTlsConfig | "auto" | undefined;
  readonly advertisePeerUrls: readonly ServerUrl[];
  readonly advertiseClientUrls: readonly string[];
  /** This member among them, each name once. */
  readonly initialCluster: readonly InitialMember[];
  /** DNS names the members instead; `initialCluster` is empty then. */
  readonly discoverySrv: DiscoverySrv | undefined;
  readonly initialState: "new" | "existing";
  readonly token: string;
  readonly strictReconfigCheck: boolean;
  readonly learnersMax: number;
  /** Ours: learners that have caught up become voters by themselves. */
  readonly promoteLearners: boolean;
  /** Ours: leaders answer reads by their lease. */
  readonly leaseReads: boolean;
  /** The other members are lost for good. */
  readonly forceNewCluster: boolean;
  readonly timing: MemberTiming;
  /** Applied entries between two compactions of the log. */
  readonly snapshotEntries: number;
  /** Entries that stay behind it for those who lag a little. */
  readonly catchUpEntries: number;
  readonly watchProgressMs: number;
  /** "extensive": calls are timed too. */
  readonly metrics: "basic" | "extensive";
  readonly logLevel: LogLevel;
  /** One line each, for the log. */
  readonly warnings: readonly string[];
}

export interface InitialMember {
  readonly name: string;
  readonly peerUrls: readonly ServerUrl[];
}

export interface DiscoverySrv {
  readonly domain: string;
  /** Suffix of the service name, "" for none. */
  readonly serviceName: string;
}

/** etcd's bounds, in milliseconds. */
const electionMsMax = 50_000;
const watchProgressMsMin = 100;
/** More members than one cluster may have. */
const learnersMax = 64;
const entriesMax = 1_000_000_000;

/** @throws {ConfigError} one line, with etcd's exit code. */
export function serveConfig(sources: SettingSources): ServeConfig {
  const settings = gatherSettings(sources);
  const name = settings.text("name");
  const listenPeers = urls(settings, "listen-peer-urls");
  const clients = clientListeners(settings);
  const advertisePeerUrls = advertisedPeers(settings);
  const discoverySrv = srvOf(settings);
  return Object.freeze({
    name,
    dataDir: settings.isSaid("data-dir") ? settings.text("data-dir") : `${name}.etcd`,
    listenPeers,
    clients,
    peerTls: peerTlsOf(settings, listenPeers),
    advertisePeerUrls,
    advertiseClientUrls: advertisedClients(settings, clients.urls),
    initialCluster:
      discoverySrv === undefined ? initialCluster(settings, name, advertisePeerUrls) : [],
    discoverySrv,
    initialState: stateOf(settings),
    token: settings.text("initial-cluster-token"),
    strictReconfigCheck: settings.bool("strict-reconfig-check"),
    learnersMax: settings.integer("max-learners", { min: 1, max: learnersMax }),
    promoteLearners: settings.bool("promote-learners"),
    leaseReads: settings.bool("lease-reads"),
    forceNewCluster: settings.bool("force-new-cluster"),
    timing: timingOf(settings),
    snapshotEntries: settings.integer("snapshot-count", { min: 1, max: entriesMax }),
    catchUpEntries: settings.integer("snapshot-catchup-entries", { min: 0, max: entriesMax }),
    watchProgressMs: watchProgress(settings),
    metrics: settings.text("metrics") === "extensive" ? "extensive" : "basic",
    logLevel: logLevelOf(settings),
    warnings: settings.warnings,
  });
}

function urls(settings: Settings, flag: string): readonly ServerUrl[] {
  const found = settings.list(flag).map((text) => parseServerUrl(flag, text));
  if (found.length === 0) throw new ConfigError(`--${flag} names no URL`);
  return found;
}

/** Without the flag what is listened on; a wildcard is nothing that others could call. */
function advertisedPeers(settings: Settings): readonly ServerUrl[] {
  const flag = "initial-advertise-peer-urls";
  const found = urls(settings, flag);
  const wild = found.find(({ address }) => isWildcard(address.host));
  if (wild !== undefined) {
    throw new ConfigError(`--${flag}: others cannot call ${wild.text}`);
  }
  return found;
}

function advertisedClients(settings: Settings, listen: readonly string[]): readonly string[] {
  const flag = "advertise-client-urls";
  if (settings.isSaid("listen-client-urls") && !settings.isSaid(flag)) {
    throw new ConfigError(
      "--advertise-client-urls is required when --listen-client-urls is set explicitly",
    );
  }
  return settings.isSaid(flag) ? urls(settings, flag).map(({ text }) => text) : listen;
}

function initialCluster(
  settings: Settings,
  name: string,
  advertised: readonly ServerUrl[],
): readonly InitialMember[] {
  if (!settings.isSaid("initial-cluster")) return [{ name, peerUrls: advertised }];
  const members = new Map<string, ServerUrl[]>();
  for (const entry of settings.list("initial-cluster")) {
    const [, member, url] = /^([^=]*)=(.*)$/.exec(entry) ?? [];
    if (member === undefined || member === "" || url === undefined || url === "") {
      throw new ConfigError(`--initial-cluster: "${entry}" must be name=URL`);
    }
    const parsed = parseServerUrl("initial-cluster", url);
    members.set(member, [...(members.get(member) ?? []), parsed]);
  }
  const own = members.get(name);
  if (own === undefined) {
    throw new ConfigError(
      `couldn't find local name "${name}" in the initial cluster configuration`,
    );
  }
  const texts = [...members.values()].flat().map(({ text }) => text);
  const repeated = texts.find((text, i) => texts.indexOf(text) !== i);
  if (repeated !== undefined) {
    throw new ConfigError(`--initial-cluster names ${repeated} twice`);
  }
  if (sorted(own) !== sorted(advertised)) {
    throw new ConfigError(
      `--initial-cluster has ${name}=${sorted(own)} but missing from --initial-advertise-peer-urls=${sorted(advertised)}`,
    );
  }
  return [...members].map(([member, peerUrls]) => ({ name: member, peerUrls }));
}

const sorted = (list: readonly ServerUrl[]): string =>
  list
    .map(({ text }) => text)
    .toSorted()
    .join(",");

function srvOf(settings: Settings): DiscoverySrv | undefined {
  const domain = settings.text("discovery-srv");
  if (domain === "") return undefined;
  if (settings.isSaid("initial-cluster")) {
    throw new ConfigError(
      'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery-endpoints" or "discovery-srv"',
    );
  }
  return { domain, serviceName: settings.text("discovery-srv-name") };
}

function stateOf(settings: Settings): "new" | "existing" {
  const state = settings.text("initial-cluster-state");
  if (state === "new" || state === "existing") return state;
  throw new ConfigError(
    `invalid value "${state}" for flag --initial-cluster-state: it must be new or existing`,
    { exitCode: 2 },
  );
}

function timingOf(settings: Settings): MemberTiming {
  const tickMs = settings.integer("heartbeat-interval", { min: 1, max: electionMsMax });
  const electionMs = settings.integer("election-timeout", { min: 1, max: Number.MAX_SAFE_INTEGER });
  if (5 * tickMs > electionMs) {
    throw new ConfigError(
      `--election-timeout[${electionMs}ms] should be at least as 5 times as --heartbeat-interval[${tickMs}ms]`,
    );
  }
  if (electionMs > electionMsMax) {
    throw new ConfigError(
      `--election-timeout[${electionMs}ms] is too long, and should be set less than ${electionMsMax}ms`,
    );
  }
  return { tickMs, electionTicks: Math.floor(electionMs / tickMs), heartbeatTicks: 1 };
}

function watchProgress(settings: Settings): number {
  const flag = "watch-progress-notify-interval";
  const ms = settings.durationMs(flag);
  if (ms < watchProgressMsMin) {
    throw new ConfigError(`--${flag} must be ${watchProgressMsMin}ms or more`);
  }
  return ms;
}

const logLevels: Readonly<Record<string, LogLevel>> = {
  debug: "debug",
  info: "info",
  warn: "warn",
  error: "error",
  dpanic: "error",
  panic: "error",
  fatal: "error",
};

function logLevelOf(settings: Settings): LogLevel {
  const level = logLevels[settings.text("log-level")];
  if (level !== undefined) return level;
  throw new ConfigError(
    `invalid value "${settings.text("log-level")}" for flag --log-level: it must be debug, info, warn or error`,
    { exitCode: 2 },
  );
}
