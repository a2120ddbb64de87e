// The verb `catch-up`.
import { type Command, Option } from "commander";
import { machineFacts } from "../measure/machine.ts";
import { count } from "../options.ts";
import { machineLine } from "../report/table.ts";
import { programsOf } from "../targets/members.ts";
import { type CatchUp, type CatchUpOptions, catchUp, type Way } from "./catchUp.ts";

interface Options extends CatchUpOptions {
  readonly by: Way | "both";
  readonly peer?: string;
  readonly rounds: number;
}

export function addCatchUp(program: Command): void {
  program
    .command("catch-up")
    .description("a member that missed a gigabyte comes back while puts go on")
    .addOption(
      new Option("--by <way>", "what it is given: the log, or a snapshot")
        .choices(["log", "snapshot", "both"])
        .default("snapshot"),
    )
    .addOption(count("--mib <n>", "what it missed", 1_024))
    .addOption(
      count("--val-size <bytes>", "of the values that it missed, below a stream's window", 61_440),
    )
    .addOption(count("--clients <n>", "callers that put 256 bytes beside", 100))
    .addOption(count("--ms <n>", "for which puts are counted before", 5_000))
    .addOption(count("--warmup <n>", "puts before anything counts", 20_000, 0))
    .addOption(count("--rounds <n>", "times", 1))
    .addOption(new Option("--peer <etcd[=path]>", "an etcd does the same in turn"))
    .action(async (options: Options) => await run(options));
}

async function run(options: Options): Promise<void> {
  console.log(machineLine(machineFacts()));
  const ways: readonly Way[] = options.by === "both" ? ["log", "snapshot"] : [options.by];
  for (let round = 0; round < options.rounds; round++) {
    for (const way of ways) {
      for (const program of programsOf(options.peer)) {
        const found = await catchUp(program, way, options);
        for (const line of linesOf(found)) console.log(`${program.name}, by ${way}: ${line}`);
      }
    }
  }
}

function linesOf(found: CatchUp): readonly string[] {
  const share = ((100 * found.putsDuring) / found.putsBefore).toFixed(0);
  const whole = (figures: readonly number[]) => figures.map((n) => n.toFixed(0)).join(" / ");
  const rate = ({ mibPerSec, ms }: { readonly mibPerSec: number; readonly ms: number }) =>
    `${mibPerSec.toFixed(1)} MiB/s for ${(ms / 1000).toFixed(1)} s`;
  const { answering } = found;
  return [
    `${rate(found)} from the start of its process` +
      `${answering ? `, ${rate(answering)} from its first answer` : ""}; ` +
      `the disk alone ${found.diskMibPerSec.toFixed(0)} MiB/s`,
    `puts per second ${found.putsBefore.toFixed(0)} before, ${found.putsDuring.toFixed(0)} meanwhile (${share} %), ${found.failedPuts} failed`,
    `elections ${found.elections}; longest silence of leader / follower / the one behind ${whole(found.silentMs)} ms`,
    `CPU of the same three ${whole(found.cpuMs)} ms, puts included`,
    `memory at most ${whole(found.anonMiB)} MiB`,
  ];
}
