// Command line → frozen settings. Units are in the names; every mistake is one line.
import { Command, InvalidArgumentError, Option } from "commander";
import type { LogLevel } from "./base/system.ts";

export const membersMax = 9;

export interface DevConfig {
  readonly members: number;
  /** undefined: in memory. */
  readonly dataDir: string | undefined;
  readonly clientPorts: readonly number[];
  readonly host: string;
  readonly logLevel: LogLevel;
}

/** Thrown for settings that cannot be; the message is one line for the user. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

interface DevFlags {
  readonly members: number;
  readonly dataDir: string;
  readonly clientPorts?: readonly number[];
  readonly host: string;
  readonly memory?: boolean;
  readonly logLevel: LogLevel;
}

/** The `quorlet` command; `runDev` is called with checked settings. */
export function command(runDev: (config: DevConfig) => Promise<void>): Command {
  const program = new Command("quorlet")
    .description("An etcd-v3-compatible key-value cluster: one Raft member per worker thread.")
    .helpCommand(false);
  program
    .command("dev")
    .description("run a whole cluster in this process")
    .addOption(
      new Option("--members <count>", "Raft members").default(3).argParser(integer(1, membersMax)),
    )
    .option("--data-dir <dir>", "where the data lives", ".quorlet")
    .addOption(
      new Option("--client-ports <ports>", "comma list, 0: any free port").argParser(portList),
    )
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--memory", "keep everything in memory; nothing survives the process")
    .addOption(
      new Option("--log-level <level>", "lines of JSON on stderr")
        .choices(["debug", "info", "warn", "error", "silent"])
        .default("warn"),
    )
    .action((flags: DevFlags) => runDev(devConfig(flags)));
  return program;
}

/** @throws {ConfigError} when flags contradict one another. */
export function devConfig(flags: DevFlags): DevConfig {
  const clientPorts = flags.clientPorts ?? defaultPorts(flags.members);
  if (clientPorts.length !== flags.members) {
    throw new ConfigError(
      `--client-ports names ${clientPorts.length} ports for ${flags.members} members`,
    );
  }
  const fixed = clientPorts.filter((port) => port !== 0);
  if (new Set(fixed).size !== fixed.length) throw new ConfigError("--client-ports repeats a port");
  return Object.freeze({
    members: flags.members,
    dataDir: flags.memory === true ? undefined : flags.dataDir,
    clientPorts,
    host: flags.host,
    logLevel: flags.logLevel,
  });
}

// 2379, 22379, 32379, ... as in etcd's own local cluster; from the seventh on any free port.
function defaultPorts(members: number): readonly number[] {
  return Array.from({ length: members }, (_, i) => {
    const port = i === 0 ? 2379 : 12_379 + i * 10_000;
    return port < 65_536 ? port : 0;
  });
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

function portList(text: string): readonly number[] {
  return text.split(",").map(integer(0, 65_535));
}
