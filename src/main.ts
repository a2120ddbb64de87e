#!/usr/bin/env node
// Process entry: settings, cluster, what the user sees, and the order of leaving.
import { lookup, resolveSrv } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { etcdVersion } from "./api/maintenance.ts";
import { silentLog } from "./base/ports.ts";
import { tuneHeapOfThreads } from "./base/system.ts";
import { Cluster, type MemberNotice } from "./cluster/cluster.ts";
import { planMember } from "./cluster/joining.ts";
import { SoloMember, type SoloOptions } from "./cluster/solo.ts";
import { discoverMembers } from "./cluster/srvDiscovery.ts";
import { StartError } from "./cluster/startError.ts";
import {
  asksVersion,
  command,
  type DevConfig,
  isForEtcd,
  type MemberProcessConfig,
} from "./config/command.ts";
import { ConfigError } from "./config/configError.ts";
import { type ServeConfig, serveConfig } from "./config/serve.ts";
import type { ServerUrl } from "./config/urls.ts";
import { DataDirError } from "./storage/dataDirError.ts";
import { PeerTls } from "./transport/peerTls.ts";

async function runDev(config: DevConfig): Promise<void> {
  const { members, host, clientPorts, watchProgressMs, leaseReads, logLevel, dataDir } = config;
  const cluster = await Cluster.start({
    members,
    host,
    clientPorts,
    ...{ watchProgressMs, leaseReads },
    logLevel,
    logFormat: "text",
    onMember: report,
    ...(dataDir === undefined ? {} : { dataDir }),
  });
  onSignal(() => cluster.close());
  greet(cluster, config);
}

async function runMember(config: MemberProcessConfig): Promise<void> {
  const { name, initialCluster, token, dataDir, listenPeer, listenClient } = config;
  const { watchProgressMs, logLevel } = config;
  const members = initialCluster.map((peer) => ({ name: peer.name, peerUrls: [peer.peerUrl] }));
  const { initialState } = config;
  await runSolo({
    ...(await planMember({ name, members, token, dataDir, initialState })),
    ...{ dataDir, listenPeers: [{ ...listenPeer, isTls: false }], listenClient },
    ...{ watchProgressMs, logLevel },
    ...(config.advertiseClientUrl && { clientUrls: [config.advertiseClientUrl] }),
  });
}

async function runServe(args: readonly string[]): Promise<void> {
  const config = serveConfig({
    args,
    environment: process.env,
    readFile: (path) => readFileSync(path, "utf8"),
  });
  for (const warning of config.warnings) complain(warning);
  const { name, initialCluster, token, dataDir, timing, watchProgressMs, logLevel } = config;
  const { snapshotEntries, catchUpEntries, learnersMax, promoteLearners } = config;
  const { forceNewCluster: forceAlone, leaseReads } = config;
  const members =
    config.discoverySrv === undefined
      ? initialCluster.map((member) => ({ name: member.name, peerUrls: texts(member.peerUrls) }))
      : await discoverMembers(
          { ...config.discoverySrv, self: { name, peerUrls: texts(config.advertisePeerUrls) } },
          { resolveSrv, addresses },
        );
  const { initialState, clients, metrics, advertiseClientUrls: clientUrls } = config;
  await runSolo({
    ...(await planMember({
      ...{ name, members, token, dataDir, initialState, forceAlone },
      ...tlsForCalls(config),
    })),
    ...{ dataDir, timing, watchProgressMs, leaseReads, logLevel, forceAlone },
    ...{ snapshotEntries, catchUpEntries, metrics, clientUrls },
    changePolicy: { strict: config.strictReconfigCheck, learnersMax, promoteLearners },
    listenPeers: config.listenPeers.map(({ address, isTls }) => ({ ...address, isTls })),
    ...(config.peerTls === undefined ? {} : { peerTls: config.peerTls }),
    ...{ listenClient: clients.listen, door: clients.door },
  });
}

/** @throws {StartError} for files that cannot be used. */
function tlsForCalls({ peerTls }: ServeConfig): { readonly tls?: PeerTls } {
  if (peerTls === undefined) return {};
  try {
    return { tls: new PeerTls(peerTls === "auto" ? { auto: true } : peerTls, silentLog) };
  } catch (error) {
    const why = error instanceof Error ? error.message : `${error}`;
    throw new StartError(`the certificates for peers cannot be used: ${why}`, { cause: error });
  }
}

const texts = (urls: readonly ServerUrl[]): readonly string[] => urls.map(({ text }) => text);

async function addresses(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

async function runSolo(options: SoloOptions): Promise<void> {
  const member = new SoloMember({
    ...options,
    onMember: (notice) => {
      report(notice);
      // Nothing is left to do here: whoever watches this process shall see it end.
      const { kind } = notice;
      if (kind === "failed") void member.close().then(() => process.exit(1));
      // As it was told to: nothing is wrong, and nobody should start it again.
      if (kind === "removed") void member.close().then(() => process.exit(0));
    },
  });
  const signal = onSignal(() => member.close());
  try {
    await member.start();
    welcome(member, options);
    await member.leaderKnown();
    say(`ready ETCDCTL_ENDPOINTS=${member.clientUrls.join().replaceAll("http://", "")}`);
  } catch (error) {
    if (!signal.aborted && !member.failed) throw error;
  }
}

/** Loaded only when asked for: a server carries nothing of it. */
async function runBench(args: readonly string[]): Promise<void> {
  const { runBenchCommand } = await import("../bench/cli.ts");
  await runBenchCommand(args);
}

function welcome({ clientUrls }: SoloMember, options: SoloOptions): void {
  const { self, dataDir } = options;
  const { name, id, peerUrls } = self;
  say(
    table([
      ["NAME", "ID", "PEER URL", "CLIENT URL"],
      [name, id.toString(16), peerUrls.join(), clientUrls.join()],
    ]),
  );
  say("");
  say(`Data: ${dataDir}`);
  say(awaited(options));
  say("");
}

function awaited({ self, seed, forceAlone }: SoloOptions): string {
  if (forceAlone === true) return "Goes on alone: all other members are removed.";
  if (self.joined === true) return "Waits for a leader of the cluster that it was added to.";
  const voters = Math.max(1, seed.members.length);
  return `Waits for a leader: ${Math.floor(voters / 2) + 1} of ${voters} members must run.`;
}

/** @returns aborted once the process leaves because of a signal. */
function onSignal(close: () => Promise<void>): AbortSignal {
  const controller = new AbortController();
  const leave = (): void => {
    controller.abort();
    void close().then(() => process.exit(0));
  };
  process.once("SIGINT", leave);
  process.once("SIGTERM", leave);
  return controller.signal;
}

function greet(cluster: Cluster, { dataDir }: DevConfig): void {
  const rows = cluster.members.map(({ name, id, endpoint, role }) => [
    name,
    id.toString(16),
    `http://${endpoint}`,
    role,
  ]);
  say(table([["NAME", "ID", "CLIENT URL", "ROLE"], ...rows]));
  say("");
  say(dataDir === undefined ? "Data: in memory, gone with this process." : `Data: ${dataDir}`);
  say("All members run in this process and share its fate: for production run one per host.");
  say(`Try: etcdctl --endpoints ${cluster.endpoints.join(",")} put greeting hello`);
  say("");
  say(`ready ETCDCTL_ENDPOINTS=${cluster.endpoints.join(",")}`);
}

function report({ name, kind, why }: MemberNotice): void {
  if (kind === "serving") say(`member ${name} serves again`);
  else if (kind === "removed") complain(`member ${name} is no member any more: ${why}`);
  else complain(`member ${name} ${kind === "down" ? "is down" : "stays down"}: ${why}`);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function complain(text: string): void {
  process.stderr.write(`quorlet: ${text}\n`);
}

/** The second line is what scripts look for. */
function printVersions(): void {
  const file = new URL("../../package.json", import.meta.url);
  const { version }: { readonly version: string } = JSON.parse(readFileSync(file, "utf8"));
  console.log(`quorlet Version: ${version}\netcd Version: ${etcdVersion}`);
}

tuneHeapOfThreads();
try {
  const args = process.argv.slice(2);
  if (asksVersion(args)) printVersions();
  else if (isForEtcd(args, process.env)) await runServe(args);
  else
    await command({
      dev: runDev,
      member: runMember,
      serve: runServe,
      bench: runBench,
    }).parseAsync();
} catch (error) {
  if (
    error instanceof StartError ||
    error instanceof ConfigError ||
    error instanceof DataDirError
  ) {
    complain(error.message);
    process.exit(error instanceof ConfigError ? error.exitCode : 1);
  }
  throw error;
}
