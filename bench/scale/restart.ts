// scale-restart: members that hold many keys are killed, all at once, and start again: how long until each
// answers a linearizable read, what CPU that took, and what memory it holds then.
import { type Command, Option } from "commander";
import { encodeRangeRequest } from "../../src/proto/encodeRequests.ts";
import { Writer } from "../../src/proto/writer.ts";
import { GrpcConnection } from "../load/grpcConnection.ts";
import { machineFacts } from "../measure/machine.ts";
import { anonMiB, usageOf } from "../measure/usage.ts";
import { count } from "../options.ts";
import { machineLine } from "../report/table.ts";
import { Members, type Program, programsOf, type Shape } from "../targets/members.ts";
import { pause } from "./callers.ts";
import { fillKeys, readOf } from "./fill.ts";

/** Each with few transactions under way: a connection's window may hold no more. */
const fillConnections = 8;
const retryMs = 5;
const serveMsMax = 120_000;

interface Options {
  readonly keys: number;
  readonly members: number;
  readonly threads: boolean;
  readonly orderly: boolean;
  readonly rounds: number;
  readonly settle: number;
  readonly peer?: string;
}

export function addRestart(program: Command): void {
  program
    .command("scale-restart")
    .description("members with many keys start again")
    .addOption(count("--keys <n>", "of 256 bytes", 1_000_000))
    .addOption(count("--members <n>", "all killed and started at once", 1))
    .addOption(new Option("--threads", "ours: members are threads of one process").default(false))
    .addOption(new Option("--orderly", "stopped by SIGTERM instead of SIGKILL").default(false))
    .addOption(count("--rounds <n>", "restarts", 3))
    .addOption(count("--settle <ms>", "for rows to reach the store, and garbage to go", 3_000))
    .addOption(new Option("--peer <etcd[=path]>", "an etcd does the same"))
    .action(async (options: Options) => await run(options));
}

async function run(options: Options): Promise<void> {
  console.log(machineLine(machineFacts()));
  for (const program of programsOf(options.peer)) await restarts(program, options);
}

async function restarts(program: Program, options: Options): Promise<void> {
  const { keys, rounds, orderly, settle } = options;
  const shape: Shape = options.threads ? "threads" : "processes";
  await using members = await Members.start(program, { count: options.members, flags: [], shape });
  await fill(members, keys);
  for (let round = 0; round < rounds; round++) {
    await pause(settle);
    const before = memoryText(members);
    await Promise.all(members.all.map((at) => members.stop(at, orderly ? "SIGTERM" : "SIGKILL")));
    const startMs = performance.now();
    for (const at of members.all) members.spawn(at);
    const served = await Promise.all(
      members.all.map((at) => firstRead(members.endpoint(at), keys, startMs)),
    );
    const { userMs, systemMs } = usageOf(members.pids);
    const first = memoryText(members);
    await pause(settle);
    console.log(
      `${program.name}, ${members.all.length} ${shape}, ${keys} keys: serves after ` +
        `${served.map((ms) => (ms / 1000).toFixed(2)).join(" / ")} s, ` +
        `CPU of all ${(userMs / 1000).toFixed(2)} + ${(systemMs / 1000).toFixed(2)} s; ` +
        `resident (anonymous) MiB ${before} before, ${first} then, ${memoryText(members)} at rest`,
    );
  }
}

async function fill(members: Members, keys: number): Promise<void> {
  const callers = await Promise.all(
    Array.from({ length: fillConnections }, (_, i) =>
      GrpcConnection.open(members.endpoint(i % members.all.length)),
    ),
  );
  try {
    await fillKeys(callers, { puts: keys, keys });
  } finally {
    for (const caller of callers) caller.close();
  }
}

/** Asks again and again for the last key. @returns when it came, since `startMs`. */
async function firstRead(endpoint: string, keys: number, startMs: number): Promise<number> {
  const message = encodeRangeRequest(new Writer(), readOf(keys - 1)).slice();
  while (performance.now() - startMs < serveMsMax) {
    const connection = await GrpcConnection.open(endpoint).catch(() => undefined);
    if (connection !== undefined) {
      const reply = await new Promise<number | undefined>((resolve) => {
        connection.call("/etcdserverpb.KV/Range", message, (bytes) => resolve(bytes?.length));
        connection.flush();
      });
      const answeredMs = performance.now() - startMs;
      connection.close();
      if (reply !== undefined) {
        if (reply < 256) throw new Error(`${endpoint}: the last key is missing`);
        return answeredMs;
      }
    }
    await pause(retryMs);
  }
  throw new Error(`${endpoint} does not serve`);
}

function memoryText({ pids }: Members): string {
  const anonymous = pids.reduce((sum, pid) => sum + anonMiB(pid), 0);
  return `${usageOf(pids).rssMiB.toFixed(0)} (${anonymous.toFixed(0)})`;
}
