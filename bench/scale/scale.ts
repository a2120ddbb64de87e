// Verbs that ask what a hundred thousand of something cost: figures that no rate of calls shows.
import type { Command } from "commander";
import type { Caller } from "../load/caller.ts";
import { GrpcConnection } from "../load/grpcConnection.ts";
import { machineFacts } from "../measure/machine.ts";
import { type BenchOptions, count, loadFlags } from "../options.ts";
import { machineLine } from "../report/table.ts";
import { openTarget, type Target } from "../targets/target.ts";
import { compaction } from "./history.ts";
import { addKeys } from "./keys.ts";
import { leaseEnds, leaseMemory } from "./leases.ts";
import { longRanges } from "./ranges.ts";
import { addRestart } from "./restart.ts";
import { idleWatchers } from "./watchers.ts";

export interface ScaleOptions {
  /** Of what is measured. */
  readonly count: number;
  /** Callers that put beside it. */
  readonly clients: number;
  /** Of what is measured, before anything is. */
  readonly warmup: number;
  /** For which puts are counted. */
  readonly ms: number;
}

type Measure = (
  callers: readonly Caller[],
  target: Target,
  options: ScaleOptions,
) => Promise<readonly string[]>;

const verbs: Readonly<Record<string, { measure: Measure; preset: number; text: string }>> = {
  "scale-leases": { measure: leaseMemory, preset: 100_000, text: "memory of live leases" },
  "scale-expiry": { measure: leaseEnds, preset: 50_000, text: "leases that end at once" },
  "scale-watchers": { measure: idleWatchers, preset: 100_000, text: "idle watchers" },
  "scale-compaction": { measure: compaction, preset: 1_000_000, text: "history that goes at once" },
  "scale-range": { measure: longRanges, preset: 100_000, text: "ranges over many keys" },
};

export function addScale(program: Command): void {
  const where = new Set(["--endpoints", "--pids", "--members", "--memory", "--data-dir"]);
  const targetFlags = loadFlags("put").filter(({ long }) => where.has(long ?? ""));
  for (const [verb, { measure, preset, text }] of Object.entries(verbs)) {
    const command = program
      .command(verb)
      .description(text)
      .addOption(count("--count <n>", "how many", preset))
      .addOption(count("--clients <n>", "callers that put beside it", 100))
      .addOption(count("--warmup <n>", "of the same, not measured", 20_000, 0))
      .addOption(count("--ms <n>", "for which puts are counted", 5_000))
      .addOption(count("--conns <n>", "connections, member by member", 4, 2));
    for (const flag of targetFlags) command.addOption(flag);
    command.action(async (options: BenchOptions & ScaleOptions) => await run(measure, options));
  }
  addKeys(program);
  addRestart(program);
}

async function run(measure: Measure, options: BenchOptions & ScaleOptions): Promise<void> {
  console.log(machineLine(machineFacts()));
  await using target = await openTarget(options);
  const { endpoints } = target;
  const callers = await Promise.all(
    Array.from({ length: options.conns }, (_, i) =>
      GrpcConnection.open(endpoints[i % endpoints.length] ?? ""),
    ),
  );
  try {
    for (const line of await measure(callers, target, options)) console.log(line);
  } finally {
    for (const caller of callers) caller.close();
  }
}
