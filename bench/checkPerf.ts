// check perf: a minute of puts at a fixed rate, judged as etcdctl judges it, line by line.
import { type Command, Option } from "commander";
import { decodeRangeResponse } from "../src/proto/decodeResponses.ts";
import { encodeDeleteRangeRequest, encodeRangeRequest } from "../src/proto/encodeRequests.ts";
import { Malformed } from "../src/proto/reader.ts";
import { Writer } from "../src/proto/writer.ts";
import { GrpcConnection } from "./load/grpcConnection.ts";
import { templateRange } from "./load/scenarios/range.ts";
import { callOnce } from "./load/scenarios/scenario.ts";
import { type BenchOptions, count, list } from "./options.ts";
import { withProgress } from "./report/progress.ts";
import type { BenchResult } from "./result.ts";
import { runBench } from "./run.ts";
import { foreignTarget } from "./targets/target.ts";

interface PerfFlags {
  readonly load: keyof typeof loads;
  readonly prefix: string;
  readonly endpoints: readonly string[];
  readonly seconds: number;
}

/** Writes per second and clients, as etcdctl has them. */
const loads = {
  s: { rate: 150, clients: 50 },
  m: { rate: 1_000, clients: 200 },
  l: { rate: 8_000, clients: 500 },
  xl: { rate: 15_000, clients: 1_000 },
} as const;
const aliases: Readonly<Record<string, keyof typeof loads>> = {
  ...{ small: "s", medium: "m", large: "l", xLarge: "xl" },
  ...{ s: "s", m: "m", l: "l", xl: "xl" },
};
const keySize = 256;
const valSize = 1024;
const slowestSecMax = 0.5;
const stddevSecMax = 0.1;
const throughputShareMin = 0.9;

export function addCheckPerf(program: Command): void {
  program
    .command("check")
    .description("checks of a running cluster")
    .command("perf")
    .description("a minute of puts at a fixed rate, judged")
    .addOption(
      new Option("--load <model>", "s, m, l or xl").default("s").argParser((text) => {
        const load = aliases[text];
        if (load === undefined) throw new Error(`unknown load option ${text}`);
        return load;
      }),
    )
    .option("--prefix <text>", "of the keys, deleted afterwards", "/etcdctl-check-perf/")
    .addOption(
      list("--endpoints <list>", "of the cluster").default(["127.0.0.1:2379"], "127.0.0.1:2379"),
    )
    .addOption(count("--seconds <n>", "how long", 60))
    .action(async (flags: PerfFlags) => {
      const lines = await checkPerf(flags);
      for (const line of lines) console.log(line);
      if (lines.at(-1) !== "PASS") process.exitCode = 1;
    });
}

async function checkPerf(flags: PerfFlags): Promise<readonly string[]> {
  const { prefix, seconds } = flags;
  const endpoints = flags.endpoints.map((endpoint) => endpoint.replace(/^http:\/\//, ""));
  const keys = await Keys.open(endpoints[0] ?? "", prefix);
  try {
    if (await keys.exist()) {
      throw new Error(
        `prefix "${prefix}" has keys. Delete with etcdctl del --prefix ${prefix} first.`,
      );
    }
    const options = optionsOf(flags, endpoints);
    const target = foreignTarget("cluster", endpoints, []);
    const watch = withProgress("check", "put", { total: options.rate * seconds });
    const result = await runBench({
      ...{ verb: "put", options, target, round: 0, isFilled: true, watch },
    });
    await keys.remove();
    return verdict(result, options.rate);
  } finally {
    keys.close();
  }
}

function optionsOf(
  { load, prefix, seconds }: PerfFlags,
  endpoints: readonly string[],
): BenchOptions {
  const { rate, clients } = loads[load];
  const total = rate * seconds;
  return {
    ...{ rate, clients, total, conns: clients, endpoints, keySize, valSize, keyPrefix: prefix },
    ...{ keySpace: total, sequential: true, warmup: 0, seed: 1, generators: 1, rounds: 1 },
    ...{ serializable: false, prefix: false, limit: 1, reads: 0, txnOps: 1, compare: false },
    ...{ watchers: 0, streams: 1, pids: [], members: 0, memory: false, durable: false },
    ...{ embedded: false, transport: "port", client: "node", json: false },
    ...{ against: [], againstPids: [], againstLabel: "" },
  };
}

export function verdict(
  { perSec, latencyMs, errors }: Pick<BenchResult, "perSec" | "latencyMs" | "errors">,
  rate: number,
): readonly string[] {
  const failures = Object.entries(errors);
  const slowestSec = latencyMs.max / 1000;
  const stddevSec = latencyMs.stddev / 1000;
  const isFast = perSec / rate > throughputShareMin;
  const isEven = slowestSec <= slowestSecMax && stddevSec <= stddevSecMax;
  return [
    ...(failures.length > 0 ? ["FAIL: too many errors"] : []),
    ...failures.map(([why, times]) => `FAIL: ERROR(${why}) -> ${times}`),
    isFast
      ? `PASS: Throughput is ${Math.floor(perSec) + 1} writes/s`
      : `FAIL: Throughput too low: ${Math.floor(perSec) + 1} writes/s`,
    slowestSec <= slowestSecMax
      ? `PASS: Slowest request took ${slowestSec.toFixed(6)}s`
      : `Slowest request took too long: ${slowestSec.toFixed(6)}s`,
    stddevSec <= stddevSecMax
      ? `PASS: Stddev is ${stddevSec.toFixed(6)}s`
      : `Stddev too high: ${stddevSec.toFixed(6)}s`,
    failures.length === 0 && isFast && isEven ? "PASS" : "FAIL",
  ];
}

/** The keys below the prefix. */
class Keys {
  readonly #connection: GrpcConnection;
  readonly #key: Uint8Array;
  readonly #rangeEnd: Uint8Array;

  private constructor(connection: GrpcConnection, prefix: string) {
    this.#connection = connection;
    this.#key = Buffer.from(prefix);
    this.#rangeEnd = prefixEnd(this.#key);
  }

  static async open(endpoint: string, prefix: string): Promise<Keys> {
    return new Keys(await GrpcConnection.open(endpoint), prefix);
  }

  async exist(): Promise<boolean> {
    const shape = { keySize, serializable: false, prefix: false, limit: 1 };
    const range = { key: this.#key, rangeEnd: this.#rangeEnd, limit: 1 };
    const message = encodeRangeRequest(new Writer(), { ...templateRange(shape), ...range });
    const path = "/etcdserverpb.KV/Range";
    const answer = decodeRangeResponse(await callOnce(this.#connection, path, message));
    if (answer instanceof Malformed) throw new Error(`${path}: ${answer.why}`);
    return answer.count > 0;
  }

  async remove(): Promise<void> {
    const range = { key: this.#key, rangeEnd: this.#rangeEnd, prevKv: false };
    const message = encodeDeleteRangeRequest(new Writer(), range);
    await callOnce(this.#connection, "/etcdserverpb.KV/DeleteRange", message);
  }

  close(): void {
    this.#connection.close();
  }
}

/** The first key behind all that begin with `prefix`; it has a byte below 0xff. */
function prefixEnd(prefix: Uint8Array): Uint8Array {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return end;
}
