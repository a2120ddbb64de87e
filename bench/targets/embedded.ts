// A cluster in threads of this process, called through message ports.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster } from "../../src/quorlet.ts";
import { EmbeddedCaller } from "../load/embedded.ts";
import type { BenchOptions } from "../options.ts";
import type { Target } from "./target.ts";

export async function embeddedTarget(options: BenchOptions): Promise<Target> {
  const { members, memory, dataDir, label } = options;
  const removeDir = memory || dataDir ? undefined : mkdtempSync(join(tmpdir(), "quorlet-bench-"));
  const folder = dataDir ?? removeDir;
  const cluster = await Cluster.start({ members, ...(folder ? { dataDir: folder } : {}) });
  return {
    name: label ?? "quorlet embedded",
    endpoints: cluster.endpoints,
    pids: [process.pid],
    sharesProcess: true,
    embedded: () => new EmbeddedCaller(cluster.connect()),
    [Symbol.asyncDispose]: async () => {
      await cluster.close();
      if (removeDir) rmSync(removeDir, { recursive: true, force: true });
    },
  };
}
