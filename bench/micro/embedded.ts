// Client, both port crossings and embedded door around a method that answers a constant: µs a put.
// Run: npx tsx bench/micro/embedded.ts
import { pathToFileURL } from "node:url";
import { MessageChannel, Worker } from "node:worker_threads";
import { MemberId } from "../../src/base/brand.ts";
import { Client } from "../../src/client/client.ts";
import { LaneChannel } from "../../src/client/laneChannel.ts";
import { overMessagePort } from "../../src/cluster/messageLane.ts";

export interface EmbeddedRow {
  readonly callers: number;
  readonly putsPerSecond: number;
  /** Of both threads together. */
  readonly cpuMicrosecondsPerPut: number;
}

/** @param puts for each number of callers; a tenth more warms up and is not counted. */
export async function benchEmbedded(puts: number): Promise<readonly EmbeddedRow[]> {
  const door = new Worker(new URL("./embeddedDoor.mjs", import.meta.url));
  const { port1, port2 } = new MessageChannel();
  door.postMessage({ port: port2 }, [port2]);
  const channel = new LaneChannel();
  channel.attach("1", overMessagePort(port1), { member: MemberId(1n) });
  const client = new Client(channel);
  const rows: EmbeddedRow[] = [];
  for (const callers of [1, 100, 1_000]) {
    await putAll(client, { callers, puts: Math.ceil(puts / 10) });
    const cpu = process.cpuUsage();
    const startedMs = performance.now();
    await putAll(client, { callers, puts });
    const seconds = (performance.now() - startedMs) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    rows.push({
      callers,
      putsPerSecond: Math.round(puts / seconds),
      cpuMicrosecondsPerPut: (user + system) / puts,
    });
  }
  client.close();
  await door.terminate();
  return rows;
}

async function putAll(client: Client, work: { callers: number; puts: number }): Promise<void> {
  const value = new Uint8Array(256);
  let left = work.puts;
  const caller = async (): Promise<void> => {
    while (left > 0) await client.put(`key-${left--}`, value);
  };
  await Promise.all(Array.from({ length: work.callers }, caller));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  console.table(await benchEmbedded(200_000));
}
