// What a member offers to api/ for watching; its hub implements this.
import type { WatchStream as HubStream, WatchSink } from "../watch/stream.ts";

export type { EventMessage } from "../watch/message.ts";
export type {
  CreateRefusal,
  CreateResult,
  WatchSink,
  WatchSpec,
  WatchWants,
} from "../watch/stream.ts";

/** The watchers of one client stream. */
export type WatchStream = Pick<
  HubStream,
  "create" | "cancel" | "requestProgress" | "stall" | "drained" | "close"
>;

export interface Watches {
  /** Begins a client stream; `close` ends it. The sink is called within `Member.turn` and ticks. */
  open(sink: WatchSink): WatchStream;
}
