// What a benchmark is asked to do: flags as etcd's own benchmark has them, all numbers checked.
import { InvalidArgumentError, Option } from "commander";

export const verbs = ["put", "range", "txn", "mixed"] as const;
export type Verb = (typeof verbs)[number];

export interface BenchOptions {
  /** Closed-loop callers, spread over the connections. */
  readonly clients: number;
  readonly conns: number;
  /** Measured operations. */
  readonly total: number;
  /** Operations before them. */
  readonly warmup: number;
  readonly keySize: number;
  readonly valSize: number;
  readonly keySpace: number;
  readonly seed: number;
  /** Threads that make the load. */
  readonly generators: number;
  /** Empty: an own cluster in this process. */
  readonly endpoints: readonly string[];
  /** Processes of a foreign cluster, whose CPU time is counted. */
  readonly pids: readonly number[];
  readonly members: number;
  readonly memory: boolean;
  readonly dataDir?: string;
  readonly embedded: boolean;
  readonly json: boolean;
  readonly label?: string;
  readonly serializable: boolean;
  /** mixed: reads for each write. */
  readonly reads: number;
  /** txn: puts in each. */
  readonly txnOps: number;
  /** txn: with a compare that holds. */
  readonly compare: boolean;
}

/** The flags of every verb; most have a meaning for all. */
export function benchFlags(): readonly Option[] {
  return [
    count("--clients <n>", "callers, each waiting for its answer", 100),
    count("--conns <n>", "connections", 10),
    count("--total <n>", "measured operations", 20_000),
    count("--warmup <n>", "operations before them", 2_000, 0),
    count("--key-size <bytes>", "key length, from 8", 8, 8),
    count("--val-size <bytes>", "value length", 256, 0),
    count("--key-space <n>", "different keys", 10_000),
    count("--seed <n>", "of the key order", 1, 0),
    count("--generators <n>", "threads that make the load", 1),
    endpointList("--endpoints <list>", "host:port of a running cluster, comma separated"),
    pidList("--pids <list>", "its processes, whose CPU time is counted"),
    count("--members <n>", "members of the own cluster", 3),
    new Option("--memory", "no disk in the own cluster").default(false),
    new Option("--data-dir <path>", "folder for the own cluster; default: a temporary one"),
    new Option("--embedded", "through message ports instead of sockets").default(false),
    new Option("--json", "one JSON line").default(false),
    new Option("--label <text>", "name in the report; default: what is loaded"),
    new Option("--serializable", "range: local reads").default(false),
    count("--reads <n>", "mixed: reads for each write", 4, 0),
    count("--txn-ops <n>", "txn: puts in each", 1),
    new Option("--compare", "txn: with a compare that holds").default(false),
  ];
}

export function count(flags: string, text: string, preset: number, min = 1): Option {
  return new Option(flags, text).default(preset).argParser((value) => integer(value, min));
}

export function endpointList(flags: string, text: string): Option {
  return new Option(flags, text).default([], "none").argParser((value) => value.split(","));
}

export function pidList(flags: string, text: string): Option {
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
