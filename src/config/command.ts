// Command line → frozen settings. Units are in the names; every mistake is one line.
import { Command, InvalidArgumentError, Option } from "commander";
import type { LogLevel } from "../base/system.ts";
import { type Address, addressText, parseAddress } from "../cluster/address.ts";
import { ConfigError } from "./configError.ts";
import { etcdFlags } from "./etcdFlags.ts";

export const membersMax = 9;

export interface DevConfig {
  readonly members: number;
  /** undefined: in memory. */
  readonly dataDir: string | undefined;
  readonly clientPorts: readonly number[];
  readonly host: string;
  readonly watchProgressMs: number;
  /** Leaders answer reads by their lease. */
  readonly leaseReads: boolean;
  readonly logLevel: LogLevel;
}

/** One member of a cluster whose others run elsewhere. */
export interface MemberProcessConfig {
  readonly name: string;
  readonly dataDir: string;
  /** All members, `name` among them; names and URLs differ. */
  readonly initialCluster: readonly PeerSetting[];
  /** "existing": the member was added to a cluster that runs. */
  readonly initialState: "new" | "existing";
  /** Sets clusters apart that have the same peer URLs. */
  readonly token: string;
  readonly listenPeer: Address;
  readonly listenClient: Address;
  /** undefined: http:// and the client address. */
  readonly advertiseClientUrl: string | undefined;
  readonly watchProgressMs: number;
  readonly logLevel: LogLevel;
}

export interface PeerSetting {
  readonly name: string;
  /** ws://host:port. */
  readonly peerUrl: string;
}

/** What is called with checked settings, by command. */
export interface Commands {
  dev(config: DevConfig): Promise<void>;
  member(config: MemberProcessConfig): Promise<void>;
  /** @param args etcd's flags, as they were written. */
  serve(args: readonly string[]): Promise<void>;
  /** Everything from its name on, as it was typed: the benchmark knows its flags itself. */
  bench(args: readonly string[]): Promise<void>;
}

interface DevFlags {
  readonly members: number;
  readonly dataDir: string;
  readonly clientPorts?: readonly number[];
  readonly host: string;
  readonly memory?: boolean;
  readonly watchProgressNotifyInterval: number;
  readonly leaseReads?: boolean;
  readonly logLevel: LogLevel;
}

interface MemberFlags {
  readonly name: string;
  readonly dataDir: string;
  readonly initialCluster: readonly PeerSetting[];
  readonly initialClusterState: "new" | "existing";
  readonly initialClusterToken: string;
  readonly listenPeer?: Address;
  readonly listenClient: Address;
  readonly advertiseClientUrl?: string;
  readonly watchProgressNotifyInterval: number;
  readonly logLevel: LogLevel;
}

/** The `quorlet` command. */
export function command(commands: Commands): Command {
  const program = new Command("quorlet")
    .description("An etcd-v3-compatible key-value cluster: one Raft member per worker thread.")
    .helpCommand(false);
  addDev(program, commands);
  addMember(program, commands);
  addServe(program, commands);
  addBench(program, commands);
  return program;
}

/**
 * True for a command line of `etcd` with nothing but the name of the program changed; without a word
 * where variables say everything, as in a compose file.
 */
export function isForEtcd(args: readonly string[], environment: NodeJS.ProcessEnv): boolean {
  const [first] = args;
  if (first === undefined) return Object.keys(environment).some((name) => name.startsWith("ETCD_"));
  return first.startsWith("-") && !["-h", "--help"].includes(first);
}

/** etcd's way to ask, too. */
export function asksVersion(args: readonly string[]): boolean {
  return args.length === 1 && ["--version", "-version"].includes(args[0] ?? "");
}

function addServe(program: Command, commands: Commands): void {
  program
    .command("serve")
    .description("run one member by etcd's own flags, ETCD_ variables or configuration file")
    .usage("[etcd flags]")
    .allowUnknownOption()
    .allowExcessArguments()
    .helpOption("-h, --help", "list the flags")
    .addHelpText("after", () => `\nFlags:\n${flagLines().join("\n")}`)
    .action((_flags: unknown, self: Command) => commands.serve(self.args));
}

function flagLines(): readonly string[] {
  return etcdFlags
    .filter(({ use }) => use === "served")
    .map(({ name, fallback }) => `  --${name}${fallback === "" ? "" : ` (default ${fallback})`}`);
}

function addBench(program: Command, commands: Commands): void {
  const rows = [
    ["bench", "load on a cluster, and what it costs", []],
    ["check", "checks of a running cluster: perf", ["check"]],
  ] as const;
  for (const [name, text, first] of rows) {
    program
      .command(name)
      .description(text)
      .helpOption(false)
      .allowUnknownOption()
      .argument("[args...]")
      .action((args: readonly string[]) => commands.bench([...first, ...args]));
  }
}

function addDev(program: Command, commands: Commands): void {
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
    .addOption(
      new Option("--memory", "keep everything in memory; nothing survives the process").conflicts(
        "dataDir",
      ),
    )
    .option("--lease-reads", "leaders answer reads by their lease; needs clocks that keep pace")
    .addOption(watchProgressOption())
    .addOption(logLevelOption())
    .action((flags: DevFlags) => commands.dev(devConfig(flags)));
}

function addMember(program: Command, commands: Commands): void {
  program
    .command("member")
    .description("run one member of a cluster in this process, the others elsewhere")
    .requiredOption("--name <name>", "which member of the initial cluster this is")
    .requiredOption("--data-dir <dir>", "where its data lives")
    .addOption(
      new Option("--initial-cluster <list>", "all members: m1=ws://host:port,m2=ws://...")
        .argParser(peerList)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--initial-cluster-state <state>", "existing: it was added to one that runs")
        .choices(["new", "existing"])
        .default("new"),
    )
    .option("--initial-cluster-token <token>", "sets this cluster apart", "quorlet-cluster")
    .addOption(
      new Option("--listen-peer <host:port>", "default: as in the initial cluster").argParser(
        address(1),
      ),
    )
    .addOption(
      new Option("--listen-client <host:port>", "for clients; port 0: any free one")
        .argParser(address(0))
        .default({ host: "127.0.0.1", port: 2379 }, "127.0.0.1:2379"),
    )
    .addOption(
      new Option("--advertise-client-url <url>", "default: as it listens").argParser(clientUrl),
    )
    .addOption(watchProgressOption())
    .addOption(logLevelOption())
    .action((flags: MemberFlags) => commands.member(memberConfig(flags)));
}

/** etcd's smallest. */
const watchProgressMsMin = 100;

const watchProgressOption = (): Option =>
  new Option("--watch-progress-notify-interval <duration>", "between two messages to idle watches")
    .argParser(duration(watchProgressMsMin))
    .default(600_000, "10m");

const logLevelOption = (): Option =>
  new Option("--log-level <level>", "what is told on stderr")
    .choices(["debug", "info", "warn", "error", "silent"])
    .default("warn");

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
    watchProgressMs: flags.watchProgressNotifyInterval,
    leaseReads: flags.leaseReads === true,
    logLevel: flags.logLevel,
  });
}

/** @throws {ConfigError} when flags contradict one another. */
export function memberConfig(flags: MemberFlags): MemberProcessConfig {
  const { name, initialCluster, listenClient, advertiseClientUrl } = flags;
  const self = initialCluster.find((peer) => peer.name === name);
  if (self === undefined) throw new ConfigError(`--initial-cluster does not name ${name}`);
  if (advertiseClientUrl === undefined && isWildcard(listenClient.host)) {
    throw new ConfigError(
      `--listen-client ${addressText(listenClient)} is no address to call: say --advertise-client-url`,
    );
  }
  return Object.freeze({
    name,
    dataDir: flags.dataDir,
    initialCluster,
    initialState: flags.initialClusterState,
    token: flags.initialClusterToken,
    listenPeer: flags.listenPeer ?? peerAddress(self.peerUrl),
    listenClient,
    advertiseClientUrl,
    watchProgressMs: flags.watchProgressNotifyInterval,
    logLevel: flags.logLevel,
  });
}

const isWildcard = (host: string): boolean => /^(0\.0\.0\.0|[0:]+)$/.test(host);

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

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** One number and one of Go's units. */
function duration(msMin: number): (text: string) => number {
  return (text) => {
    const [, count = "", unit = ""] = /^(\d{1,9})(ms|s|m|h)$/.exec(text) ?? [];
    const value = Number(count) * (unitMs[unit] ?? 0);
    if (value < msMin)
      throw new InvalidArgumentError(`It must be a time from ${msMin}ms: 500ms, 10m.`);
    return value;
  };
}

function portList(text: string): readonly number[] {
  return text.split(",").map(integer(0, 65_535));
}

function address(portMin: number): (text: string) => Address {
  return (text) => {
    const found = parseAddress(text);
    if (found === undefined || found.port < portMin) {
      throw new InvalidArgumentError("It must be host:port.");
    }
    return found;
  };
}

function peerAddress(url: string): Address {
  const found = parseAddress(url.replace(/^ws:\/\//, ""));
  if (found === undefined || found.port === 0 || !url.startsWith("ws://")) {
    throw new InvalidArgumentError(`${url || "A peer URL"} must be ws://host:port.`);
  }
  return found;
}

function peerList(text: string): readonly PeerSetting[] {
  const peers = text.split(",").map((entry) => {
    const [, name, peerUrl] = /^([^=]+)=(.*)$/.exec(entry) ?? [];
    if (name === undefined || peerUrl === undefined) {
      throw new InvalidArgumentError("It must be a comma list of name=ws://host:port.");
    }
    peerAddress(peerUrl);
    return { name, peerUrl };
  });
  if (peers.length > membersMax) {
    throw new InvalidArgumentError(`It must name ${membersMax} members at most.`);
  }
  if (new Set(peers.map(({ name }) => name)).size < peers.length) {
    throw new InvalidArgumentError("It repeats a name.");
  }
  if (new Set(peers.map(({ peerUrl }) => peerUrl)).size < peers.length) {
    throw new InvalidArgumentError("It repeats a URL.");
  }
  return peers;
}

function clientUrl(text: string): string {
  const found = parseAddress(text.replace(/^http:\/\//, ""));
  if (found === undefined || found.port === 0 || !text.startsWith("http://")) {
    throw new InvalidArgumentError("It must be http://host:port.");
  }
  return text;
}
