// What a benchmark is asked to do: flags as etcd's own benchmark has them, all numbers checked.
import { InvalidArgumentError, Option } from "commander";

/** Load on a cluster, from outside. */
export const loadVerbs = [
  ...(["put", "range", "txn-put", "txn-mixed", "mixed", "stm"] as const),
  ...(["watch", "watch-latency", "lease-keepalive"] as const),
] as const;
export type LoadVerb = (typeof loadVerbs)[number];
/** Parts of the path of a put, in this process, without a network. */
export const pathVerbs = ["apply", "pipeline"] as const;
export type PathVerb = (typeof pathVerbs)[number];
export type Verb = LoadVerb | PathVerb;

/** The numbers that shape an operation. */
export interface ScenarioOptions {
  readonly keySize: number;
  readonly valSize: number;
  readonly keySpace: number;
  /** put: how keys begin, if not with bytes of no meaning. */
  readonly keyPrefix?: string;
  /** Keys in order instead of at random. */
  readonly sequential: boolean;
  readonly serializable: boolean;
  /** range: `limit` keys from a random one on. */
  readonly prefix: boolean;
  readonly limit: number;
  /** mixed, txn-mixed: reads for each write. */
  readonly reads: number;
  /** txn-put: puts in each; stm: keys read and written in each. */
  readonly txnOps: number;
  /** txn-put: behind a compare that holds. */
  readonly compare: boolean;
  readonly watchers: number;
  /** Watch streams on each connection. */
  readonly streams: number;
}

export interface BenchOptions extends ScenarioOptions {
  /** Closed-loop callers, spread over the connections; with a rate the calls under way at most. */
  readonly clients: number;
  readonly conns: number;
  /** Measured operations. */
  readonly total: number;
  /** Operations before them. */
  readonly warmup: number;
  /** Operations per second, all generators together; 0: as fast as the callers get answers. */
  readonly rate: number;
  readonly seed: number;
  /** Threads that make the load. */
  readonly generators: number;
  /** Empty: a cluster of our own. */
  readonly endpoints: readonly string[];
  /** Processes of a foreign cluster, whose CPU time is counted. */
  readonly pids: readonly number[];
  readonly members: number;
  readonly memory: boolean;
  readonly durable: boolean;
  readonly dataDir?: string;
  readonly embedded: boolean;
  /** How the members of an own cluster talk: threads of one process, or processes over WebSocket. */
  readonly transport: "port" | "ws";
  /** Whose calls: our own generator's over gRPC, or over WebSockets by the typed client, which asks the leader; the stock Go client's. */
  readonly client: "node" | "ws" | "go";
  readonly goClient?: string;
  /** "etcd" or "etcd=path of the binary": alternated with it. */
  readonly peer?: string;
  readonly against: readonly string[];
  readonly againstPids: readonly number[];
  readonly againstLabel: string;
  readonly rounds: number;
  readonly json: boolean;
  readonly report?: string;
  readonly label?: string;
}

export interface ApplyOptions extends Pick<BenchOptions, "seed" | "json" | "report" | "rounds"> {
  readonly total: number;
  readonly batch: number;
  readonly keySize: number;
  readonly valSize: number;
  readonly keySpace: number;
  readonly newKeys: boolean;
  readonly store: "none" | "memory" | "lmdb";
  readonly wanted: boolean;
  readonly dataDir?: string;
}

/** The flags of every verb that loads a cluster; most have a meaning for all. */
export function loadFlags(verb: Verb): readonly Option[] {
  return [
    count("--clients <n>", "callers, each waiting for its answer", 100),
    count("--conns <n>", "connections", 10),
    count("--total <n>", "measured operations", verb === "watch-latency" ? 2_000 : 20_000),
    count("--warmup <n>", "operations before them", verb.startsWith("watch") ? 0 : 2_000, 0),
    rate(verb === "watch-latency" ? 100 : 0),
    ...shapeFlags(),
    count("--seed <n>", "of the key order", 1, 0),
    count("--generators <n>", "threads that make the load", 1),
    ...targetFlags(),
    ...compareFlags(),
    new Option("--json", "JSON lines instead of tables").default(false),
    new Option("--report <file.html>", "writes one page with drawings"),
    new Option("--label <text>", "name in the report; default: what is loaded"),
  ];
}

function shapeFlags(): readonly Option[] {
  return [
    count("--key-size <bytes>", "key length, from 8", 8, 8),
    count("--val-size <bytes>", "value length", 256, 0),
    count("--key-space <n>", "different keys", 10_000),
    new Option("--sequential", "keys in order instead of at random").default(false),
    new Option("--serializable", "local reads").default(false),
    new Option("--prefix", "range: --limit keys from a random one on").default(false),
    count("--limit <n>", "with --prefix: keys in an answer", 100),
    count("--reads <n>", "mixed, txn-mixed: reads for each write", 4, 0),
    count("--txn-ops <n>", "txn-put: puts in each; stm: keys in each", 1),
    new Option("--compare", "txn-put: behind a compare that holds").default(false),
    count("--watchers <n>", "watch: watchers, all of one key", 100),
    count("--streams <n>", "watch: streams on each connection", 1),
  ];
}

function targetFlags(): readonly Option[] {
  return [
    list("--endpoints <list>", "host:port of a running cluster, comma separated"),
    pidList("--pids <list>", "its processes, whose CPU time is counted"),
    count("--members <n>", "members of the own cluster", 3),
    new Option("--memory", "no disk in the own cluster").default(false).conflicts("durable"),
    new Option("--durable", "on disk (the default)").default(false),
    new Option("--data-dir <path>", "folder for the own cluster; default: a temporary one"),
    new Option("--embedded", "through message ports instead of sockets").default(false),
    new Option("--transport <kind>", "own members: threads (port) or processes (ws)")
      .choices(["port", "ws"])
      .default("port"),
    new Option(
      "--client <kind>",
      "our own generator over gRPC or WebSockets, or the stock Go client",
    )
      .choices(["node", "ws", "go"])
      .default("node"),
    new Option("--go-client <path>", "load generator of --client go").env("QUORLET_GO_CLIENT"),
  ];
}

function compareFlags(): readonly Option[] {
  return [
    new Option("--peer <etcd[=path]>", "starts an etcd of the same size, loaded in turn"),
    list("--against <list>", "host:port of another cluster, loaded in turn"),
    pidList("--against-pids <list>", "its processes"),
    new Option("--against-label <text>", "its name in the report").default("the other"),
    count("--rounds <n>", "turns of each", 3),
  ];
}

/** `apply`: encoded commands into state machine and store. */
export function applyFlags(): readonly Option[] {
  return [
    count("--total <n>", "measured puts", 1_000_000),
    count("--batch <n>", "puts in an entry", 100),
    count("--key-size <bytes>", "key length, from 8", 8, 8),
    count("--val-size <bytes>", "value length", 32, 0),
    count("--key-space <n>", "keys that exist before", 10_000),
    new Option("--new-keys", "every put makes a new key, at random").default(false),
    new Option("--store <kind>", "what is behind: lmdb, memory, or none: batches are thrown away")
      .choices(["none", "memory", "lmdb"])
      .default("memory"),
    new Option("--wanted", "make the outcomes, as the member does that took the calls").default(
      false,
    ),
    new Option("--data-dir <path>", "folder of the store; default: a temporary one"),
    count("--seed <n>", "of the key order", 1, 0),
    count("--rounds <n>", "times", 1),
    new Option("--json", "JSON lines instead of tables").default(false),
    new Option("--report <file.html>", "writes one page with drawings"),
  ];
}

export function count(flags: string, text: string, preset: number, min = 1): Option {
  return new Option(flags, text).default(preset).argParser((value) => integer(value, min));
}

function rate(preset: number): Option {
  return count("--rate <n>", "operations per second; 0: closed loop", preset, 0);
}

export function list(flags: string, text: string): Option {
  return new Option(flags, text).default([], "none").argParser((value) => value.split(","));
}

function pidList(flags: string, text: string): Option {
  const pids = (value: string) => value.split(",").map((pid) => integer(pid, 1));
  return new Option(flags, text).default([], "none").argParser(pids);
}

function integer(text: string, min: number): number {
  const value = Number(text.replaceAll("_", ""));
  if (!Number.isSafeInteger(value) || value < min) {
    throw new InvalidArgumentError(`wanted a whole number from ${min}`);
  }
  return value;
}
