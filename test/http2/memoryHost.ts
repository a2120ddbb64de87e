// What a single connection needs, without a server around it.
import type { ConnectionHost } from "../../src/http2/connection.ts";
import { HeldPings } from "../../src/http2/heldPings.ts";
import { ByteBudget, defaultHttp2Limits } from "../../src/http2/limits.ts";
import { ChunkPool } from "../../src/http2/output.ts";
import { UsualFields } from "../../src/http2/responseBlocks.ts";
import { ManualTimers } from "./manualTimers.ts";

export function connectionHost(): ConnectionHost {
  const timers = new ManualTimers();
  return {
    limits: defaultHttp2Limits,
    handler: { route: () => ({ open: () => undefined }) },
    usual: new UsualFields({ header: ["a", "b"], trailer: ["c", "d"] }),
    pool: new ChunkPool(),
    timers,
    heldPings: new HeldPings(timers, defaultHttp2Limits.pingHoldMs),
    queued: new ByteBudget(1 << 20),
    held: new ByteBudget(1 << 20),
    onDirty() {},
    onClosed() {},
  };
}
