#!/usr/bin/env node
// Process entry: settings, cluster, what the user sees, and the order of leaving.
import { tuneHeapOfThreads } from "./base/system.ts";
import { Cluster, type MemberNotice } from "./cluster/cluster.ts";
import { type ClusterSeed, type MemberSeed, seedMembers } from "./cluster/identity.ts";
import { SoloMember } from "./cluster/solo.ts";
import { StartError } from "./cluster/startError.ts";
import { ConfigError, command, type DevConfig, type MemberProcessConfig } from "./config.ts";
import { DataDirError } from "./storage/dataDirError.ts";

async function runDev(config: DevConfig): Promise<void> {
  const { members, host, clientPorts, watchProgressMs, logLevel, dataDir } = config;
  const cluster = await Cluster.start({
    members,
    host,
    clientPorts,
    watchProgressMs,
    logLevel,
    onMember: report,
    ...(dataDir === undefined ? {} : { dataDir }),
  });
  onSignal(() => cluster.close());
  greet(cluster, config);
}

async function runMember(config: MemberProcessConfig): Promise<void> {
  const { name, initialCluster, token, dataDir, listenPeer, listenClient } = config;
  const { watchProgressMs, logLevel } = config;
  const seed = seedMembers(
    initialCluster.map((peer) => ({ name: peer.name, peerUrls: [peer.peerUrl] })),
    token,
  );
  const self = seed.members.find((member) => member.name === name);
  if (self === undefined) throw new ConfigError(`--initial-cluster does not name ${name}`);
  const member = new SoloMember({
    ...{ seed, self, dataDir, listenPeer, listenClient, watchProgressMs, logLevel },
    ...(config.advertiseClientUrl === undefined ? {} : { clientUrl: config.advertiseClientUrl }),
    onMember: (notice) => {
      report(notice);
      // Nothing is left to do here: whoever watches this process shall see it end.
      if (notice.kind === "failed") void member.close().then(() => process.exit(1));
    },
  });
  const signal = onSignal(() => member.close());
  try {
    await member.start();
    welcome(member, { self, seed, dataDir });
    await member.leaderKnown();
    say(`ready ETCDCTL_ENDPOINTS=${member.clientUrl.replace(/^http:\/\//, "")}`);
  } catch (error) {
    if (!signal.aborted && !member.failed) throw error;
  }
}

function welcome(
  { clientUrl }: SoloMember,
  { self, seed, dataDir }: { self: MemberSeed; seed: ClusterSeed; dataDir: string },
): void {
  const { name, id, peerUrls } = self;
  const count = seed.members.length;
  say(
    table([
      ["NAME", "ID", "PEER URL", "CLIENT URL"],
      [name, id.toString(16), peerUrls.join(), clientUrl],
    ]),
  );
  say("");
  say(`Data: ${dataDir}`);
  say(`Waits for a leader: ${Math.floor(count / 2) + 1} of ${count} members must run.`);
  say("");
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

tuneHeapOfThreads();
try {
  await command({ dev: runDev, member: runMember }).parseAsync();
} catch (error) {
  if (
    error instanceof StartError ||
    error instanceof ConfigError ||
    error instanceof DataDirError
  ) {
    complain(error.message);
    process.exit(1);
  }
  throw error;
}
