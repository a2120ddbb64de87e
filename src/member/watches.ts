// What a member offers to api/ for watching; its hub implements this.
import type { EventMessage as HubEventMessage } from "../watch/message.ts";
import type {
  CreateRefusal as HubCreateRefusal,
  CreateResult as HubCreateResult,
  WatchSink as HubSink,
  WatchSpec as HubSpec,
  WatchStream as HubStream,
  WatchWants as HubWants,
} from "../watch/stream.ts";

export type EventMessage = HubEventMessage;
export type CreateRefusal = HubCreateRefusal;
export type CreateResult = HubCreateResult;
export type WatchSink = HubSink;
export type WatchSpec = HubSpec;
export type WatchWants = HubWants;

/** The watchers of one client stream. */
export type WatchStream = Pick<
  HubStream,
  "create" | "cancel" | "requestProgress" | "stall" | "drained" | "close"
>;

export interface Watches {
  /** Begins a client stream; `close` ends it. The sink is called within `Member.turn` and ticks. */
  open(sink: WatchSink): WatchStream;
}
