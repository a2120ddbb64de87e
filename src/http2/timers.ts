// Time as http2 and grpc see it: a clock and one-shot alarms, so that tests drive both.
import { performance } from "node:perf_hooks";
import type { Clock } from "../base/ports.ts";

export interface Timers extends Clock {
  /** Calls `run` once after `delayMs`; the returned function cancels. */
  after(delayMs: number, run: () => void): () => void;
}

/** Real time; its alarms do not keep the process alive. */
export const systemTimers: Timers = {
  nowMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
