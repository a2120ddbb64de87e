// Piscina task: one load generator with its own connections and histogram. It holds sockets, so its
// pool runs with atomics "disabled", and it closes them before the task returns.

import type { Caller } from "../bench/load/caller.ts";
import { EmbeddedCaller } from "../bench/load/embedded.ts";
import { type LoadResult, type LoadTask, runLoad } from "../bench/load/generator.ts";
import { GrpcConnection } from "../bench/load/grpcConnection.ts";
import { runApply } from "../bench/path/apply.ts";
import type { ApplyTask } from "../bench/path/applyPool.ts";
import type { BenchResult } from "../bench/result.ts";
import { dialNodeSocket } from "../src/client/nodeSocket.ts";
import { SocketChannel } from "../src/client/socketChannel.ts";

export async function generateLoad(task: LoadTask): Promise<LoadResult> {
  const count = Math.min(task.conns, task.clients);
  const endpoints = Array.from(
    { length: count },
    (_, i) => task.endpoints[i % task.endpoints.length] ?? "",
  );
  const open = task.client === "ws" ? openSocket : GrpcConnection.open;
  const connections = await Promise.all(endpoints.map((endpoint) => open(endpoint)));
  try {
    return await runLoad(task, connections);
  } finally {
    for (const connection of connections) connection.close();
  }
}

// One channel for each, to one member: as many calls in flight as there are callers.
function openSocket(endpoint: string): Promise<Caller> {
  return Promise.resolve(
    new EmbeddedCaller(new SocketChannel([`ws://${endpoint}`], dialNodeSocket)),
  );
}

/** The apply benchmark. Its LMDB environment is opened and closed within the task. */
export function applyCommands({ options, round }: ApplyTask): Promise<BenchResult> {
  return runApply(options, round);
}
