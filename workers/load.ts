// Piscina task: one load generator with its own connections and histogram. It holds sockets, so its
// pool runs with atomics "disabled", and it closes them before the task returns.

import type { Caller } from "../bench/load/caller.ts";
import { EmbeddedCaller } from "../bench/load/embedded.ts";
import { type LoadResult, type LoadTask, runLoad } from "../bench/load/generator.ts";
import { GrpcConnection } from "../bench/load/grpcConnection.ts";
import { runApply } from "../bench/path/apply.ts";
import type { ApplyTask } from "../bench/path/applyPool.ts";
import type { BenchResult } from "../bench/result.ts";
import { type RangesDone, type RangesTask, takeRanges as take } from "../bench/scale/ranges.ts";
import { dialNodeSocket } from "../src/client/nodeSocket.ts";
import { SocketChannel } from "../src/client/socketChannel.ts";

export async function generateLoad(task: LoadTask): Promise<LoadResult> {
  const count = Math.min(task.conns, task.clients);
  const endpoints = Array.from(
    { length: count },
    (_, i) => task.endpoints[i % task.endpoints.length] ?? "",
  );
  const connections = await Promise.all(
    task.client === "ws"
      ? endpoints.map(() => openSockets(task.endpoints))
      : endpoints.map((endpoint) => GrpcConnection.open(endpoint)),
  );
  try {
    return await runLoad(task, connections);
  } finally {
    for (const connection of connections) connection.close();
  }
}

// Each is a client of its own that knows all members, as `connect` makes them: it asks the leader.
function openSockets(endpoints: readonly string[]): Promise<Caller> {
  const urls = endpoints.map((endpoint) => `ws://${endpoint}`);
  return Promise.resolve(new EmbeddedCaller(new SocketChannel(urls, dialNodeSocket)));
}

/** The apply benchmark. Its LMDB environment is opened and closed within the task. */
export function applyCommands({ options, round }: ApplyTask): Promise<BenchResult> {
  return runApply(options, round);
}

/** Ranges over many keys, for who times puts beside them. */
export function takeRanges(task: RangesTask): Promise<RangesDone> {
  return take(task);
}
