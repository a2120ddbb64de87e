// scale-keys and scale-history: what puts and gets cost where there are many keys, or many revisions of few,
// beside a cluster of few keys that is loaded in turn. Server CPU of an operation, as a shared machine lets
// nothing else stand.
import { type Command, Option } from "commander";
import { Prng } from "../../src/base/prng.ts";
import { encodePutRequest, encodeRangeRequest } from "../../src/proto/encodeRequests.ts";
import { Writer } from "../../src/proto/writer.ts";
import { GrpcConnection } from "../load/grpcConnection.ts";
import { machineFacts } from "../measure/machine.ts";
import { type BenchOptions, count, loadFlags } from "../options.ts";
import { machineLine } from "../report/table.ts";
import { openTarget, serverUsage, type Target } from "../targets/target.ts";
import { pause, putOf, putPath, restingMiB } from "./callers.ts";
import { fillKeys, readOf } from "./fill.ts";

const rangePath = "/etcdserverpb.KV/Range";
/** A round's load is counted when rows have left for the store. */
const settleMs = 1_000;

interface Options extends BenchOptions {
  readonly base: number;
  readonly count: number;
}

interface Side {
  readonly label: string;
  readonly keys: number;
  readonly target: Target;
  readonly callers: readonly GrpcConnection[];
}

interface Figures {
  readonly cpuUs: number;
  readonly perSec: number;
  readonly p99Ms: number;
}

export function addKeys(program: Command): void {
  const verbs = {
    "scale-keys": "puts and gets at many keys, and at few in turn",
    "scale-history": "puts and gets of few keys with many revisions, and with few in turn",
  };
  const where = new Set(["--members", "--memory", "--transport", "--seed"]);
  for (const [verb, text] of Object.entries(verbs)) {
    const command = program
      .command(verb)
      .description(text)
      .addOption(count("--count <n>", "keys, or revisions", 1_000_000))
      .addOption(count("--base <n>", "keys of the other cluster", 10_000))
      .addOption(count("--clients <n>", "callers, each waiting for its answer", 100))
      .addOption(count("--conns <n>", "connections to each cluster", 3))
      .addOption(count("--total <n>", "operations of each kind, round and cluster", 20_000))
      .addOption(count("--rounds <n>", "turns of each", 4))
      .addOption(new Option("--endpoints <none>").default([]).hideHelp());
    for (const flag of loadFlags("put")) {
      if (where.has(flag.long ?? "")) command.addOption(flag);
    }
    command.action(async (options: Options) => await run(verb === "scale-keys", options));
  }
}

async function run(isKeys: boolean, options: Options): Promise<void> {
  console.log(machineLine(machineFacts()));
  const { base, count: many } = options;
  await using few = await openTarget(options);
  await using large = await openTarget(options);
  const sides: readonly Side[] = [
    { label: `${base} keys`, keys: base, target: few, callers: await open(few, options.conns) },
    {
      label: isKeys ? `${many} keys` : `${base} keys, ${many} revisions`,
      ...{ keys: isKeys ? many : base, target: large, callers: await open(large, options.conns) },
    },
  ];
  try {
    for (const { callers, keys, target } of sides) {
      const puts = target === large ? many : base;
      await fillKeys(callers, { puts, keys });
    }
    await contest(sides, options);
    for (const { label, target } of sides) {
      console.log(`${label}: ${(await restingMiB(target)).toFixed(0)} MiB resident`);
    }
  } finally {
    for (const caller of sides.flatMap(({ callers }) => callers)) caller.close();
  }
}

async function contest(sides: readonly Side[], options: Options): Promise<void> {
  for (const verb of ["put", "get"] as const) {
    const rounds: (readonly Figures[])[] = [];
    // One more, which warms both.
    for (let round = 0; round <= options.rounds; round++) {
      const figures: Figures[] = [];
      const order = round % 2 === 0 ? [0, 1] : [1, 0];
      for (const at of order) {
        const side = sides[at];
        if (side === undefined) continue;
        await pause(settleMs);
        figures[at] = await load(side, verb, { ...options, seed: options.seed + round });
      }
      if (round > 0) rounds.push(figures);
    }
    for (const [at, { label }] of sides.entries()) {
      const of = (figure: (figures: Figures) => string) =>
        rounds
          .map((figures) => figures[at])
          .map((some) => (some ? figure(some) : ""))
          .join(", ");
      console.log(
        `${verb}, ${label}: ${of(({ cpuUs }) => cpuUs.toFixed(1))} µs of server CPU each; ` +
          `${of(({ perSec }) => perSec.toFixed(0))} per second; p99 ${of(({ p99Ms }) => p99Ms.toFixed(1))} ms`,
      );
    }
    const ratios = rounds.map(([a, b]) => (b?.cpuUs ?? 0) / (a?.cpuUs ?? 1));
    const middle = ratios.toSorted((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? 0;
    const each = ratios.map((ratio) => ratio.toFixed(2)).join(", ");
    console.log(`${verb}: CPU of the second to the first ${each}; median ${middle.toFixed(2)}`);
  }
}

async function load(side: Side, verb: "put" | "get", options: Options): Promise<Figures> {
  const { callers, keys, target } = side;
  const { clients, total, seed } = options;
  const random = new Prng(seed);
  const writer = new Writer();
  const path = verb === "put" ? putPath : rangePath;
  const message = (): Uint8Array => {
    const i = random.integer(keys);
    return verb === "put"
      ? encodePutRequest(writer, putOf(i))
      : encodeRangeRequest(writer, readOf(i));
  };
  const latencies: number[] = [];
  let begun = 0;
  const before = serverUsage(target);
  const startMs = performance.now();
  await new Promise<void>((resolve, reject) => {
    const next = (caller: GrpcConnection): void => {
      if (begun++ >= total) return;
      const sentMs = performance.now();
      caller.call(path, message(), (reply, why) => {
        if (reply === undefined) reject(new Error(`${verb}: ${why}`));
        latencies.push(performance.now() - sentMs);
        if (latencies.length === total) resolve();
        else next(caller);
      });
    };
    for (let i = 0; i < clients; i++) {
      const caller = callers[i % callers.length];
      if (caller !== undefined) next(caller);
    }
    for (const caller of callers) caller.flush();
  });
  const seconds = (performance.now() - startMs) / 1000;
  const after = serverUsage(target);
  const cpuMs =
    (after?.userMs ?? 0) + (after?.systemMs ?? 0) - (before?.userMs ?? 0) - (before?.systemMs ?? 0);
  latencies.sort((a, b) => a - b);
  return {
    cpuUs: (cpuMs * 1000) / total,
    perSec: total / seconds,
    p99Ms: latencies[Math.floor(0.99 * total)] ?? 0,
  };
}

function open({ endpoints }: Target, conns: number): Promise<readonly GrpcConnection[]> {
  return Promise.all(
    Array.from({ length: conns }, (_, i) =>
      GrpcConnection.open(endpoints[i % endpoints.length] ?? ""),
    ),
  );
}
