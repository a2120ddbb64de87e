// Piscina task: one load generator with its own connections and histogram. It holds sockets, so its
// pool runs with atomics "disabled", and it closes them before the task returns.
import { type LoadResult, type LoadTask, runLoad } from "../bench/generator.ts";
import { GrpcConnection } from "../bench/grpcConnection.ts";

export async function generateLoad(task: LoadTask): Promise<LoadResult> {
  const count = Math.min(task.conns, task.clients);
  const endpoints = Array.from(
    { length: count },
    (_, i) => task.endpoints[i % task.endpoints.length] ?? "",
  );
  const connections = await Promise.all(endpoints.map((e) => GrpcConnection.open(e)));
  try {
    return await runLoad(task, connections);
  } finally {
    for (const connection of connections) connection.close();
  }
}
