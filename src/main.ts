#!/usr/bin/env node
// Process entry: settings, cluster, what the user sees, and the order of leaving.
import { Cluster, type MemberNotice } from "./cluster/cluster.ts";
import { StartError } from "./cluster/startError.ts";
import { ConfigError, command, type DevConfig } from "./config.ts";
import { DataDirError } from "./storage/dataDirError.ts";

async function runDev(config: DevConfig): Promise<void> {
  const { members, host, clientPorts, logLevel, dataDir } = config;
  const cluster = await Cluster.start({
    members,
    host,
    clientPorts,
    logLevel,
    onMember: report,
    ...(dataDir === undefined ? {} : { dataDir }),
  });
  const leave = (): void => {
    void cluster.close().then(() => process.exit(0));
  };
  process.once("SIGINT", leave);
  process.once("SIGTERM", leave);
  greet(cluster, config);
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

try {
  await command(runDev).parseAsync();
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
