// The way of an embedded client to a member thread: a MessagePort.
import type { MessagePort } from "node:worker_threads";
import type { LanePort } from "../client/lanePort.ts";
import { postBytes } from "../transport/postBytes.ts";

export function overMessagePort(port: MessagePort): LanePort {
  const lane: LanePort = {
    onBatch: () => {},
    onClose: () => {},
    wasOpen: true,
    post: (batch) => postBytes(port, batch),
    close: () => port.close(),
    hold: () => port.ref(),
    release: () => port.unref(),
  };
  port.on("message", (message: unknown) =>
    lane.onBatch(message instanceof Uint8Array ? message : undefined),
  );
  port.on("close", () => lane.onClose());
  return lane;
}
