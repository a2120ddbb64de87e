// Requests that took long, told as etcd does: what was asked for, how long it took, how large the answer
// was. Never a value, and not more lines a second than somebody can read.
import { requestTextOf, responseTextOf, type SlowCommand } from "../apply/slowCommand.ts";
import { PacedLog } from "../base/pacedLog.ts";
import type { Clock, Log } from "../base/ports.ts";
import type { ReadTimes, RequestFacts } from "./service.ts";

/** etcd's default of --experimental-warning-apply-duration. */
export const slowApplyMs = 100;
const message = "apply request took too long";

export class RequestTimes implements ReadTimes {
  readonly clock: Clock;
  readonly slowMsMin = slowApplyMs;
  readonly #log: PacedLog;
  readonly #tally: { slowApplies: number };
  /** What the commands of this round took that were told of already. */
  #toldMs = 0;

  constructor({ clock, log }: { clock: Clock; log: Log }, tally: { slowApplies: number }) {
    this.clock = clock;
    this.#log = new PacedLog(log, clock);
    this.#tally = tally;
  }

  nowMs(): number {
    return this.clock.nowMs();
  }

  slowMs(sinceMs: number): number | undefined {
    const tookMs = this.clock.nowMs() - sinceMs;
    return tookMs > slowApplyMs ? tookMs : undefined;
  }

  tell(tookMs: number, facts: () => RequestFacts): void {
    this.#tally.slowApplies++;
    this.#log.warn(message, () => {
      const { prefix, request, response, error } = facts();
      return {
        ...{ took: durationText(tookMs), "expected-duration": `${slowApplyMs}ms` },
        ...{ prefix, request, response },
        ...(error !== undefined && { error }),
      };
    });
  }

  /** One command of the log. */
  onSlow(command: SlowCommand): void {
    this.#toldMs += command.tookMs;
    this.tell(command.tookMs, () => ({
      ...{ prefix: "", request: requestTextOf(command), response: responseTextOf(command) },
      ...(command.outcome?.kind === "refused" && { error: command.outcome.error.message }),
    }));
  }

  /** Entries that were applied in one go. Where no single command was slow, all of them together are told. */
  onRound(entries: number, tookMs: number): void {
    const restMs = tookMs - this.#toldMs;
    this.#toldMs = 0;
    if (restMs <= slowApplyMs) return;
    this.tell(restMs, () => ({ prefix: "", request: `entries:${entries}`, response: "" }));
  }
}

/** As Go writes them. */
function durationText(ms: number): string {
  return ms < 1_000 ? `${ms.toFixed(3)}ms` : `${(ms / 1_000).toFixed(6)}s`;
}
