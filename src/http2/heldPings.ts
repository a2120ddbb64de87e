// Answers to PING that wait for other output. A client such as Go's measures its path by a PING for each
// answer that it gets: answered at once, it would cost a write and a wake-up of its own for every call.
// Here it rides with the answer to the call that came along (decision 0013).
import type { Timers } from "./timers.ts";

/** A connection as the clock of held answers sees it. */
export interface PingHolder {
  /** Writes what is held by the next flush. */
  releasePing(): void;
}

/** The answer that one connection holds, if any. */
export class HeldPing {
  readonly payload = Buffer.alloc(8);
  holds = false;
  /** Beat at which the hold began. */
  since = 0;
  /** Whether the clock knows of this connection. */
  listed = false;

  take(payload: Uint8Array): void {
    this.payload.set(payload);
    this.holds = true;
    this.since = -1;
  }
}

interface Held {
  readonly ping: HeldPing;
  readonly holder: PingHolder;
}

/** One alarm for the held answers of all connections; none while nothing is held. */
export class HeldPings {
  readonly #timers: Timers;
  readonly #holdMs: number;
  #held: Held[] = [];
  #beat = 0;
  #cancel: (() => void) | undefined;

  /** @param holdMs an answer is held for so long at least, twice as long at most. */
  constructor(timers: Timers, holdMs: number) {
    this.#timers = timers;
    this.#holdMs = holdMs;
  }

  /** The answer waits from now on, unless it did before. */
  hold(ping: HeldPing, holder: PingHolder): void {
    if (ping.since < 0) ping.since = this.#beat;
    if (ping.listed) return;
    ping.listed = true;
    this.#held.push({ ping, holder });
    this.#cancel ??= this.#timers.after(this.#holdMs, () => this.#onBeat());
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#held = [];
  }

  #onBeat(): void {
    const held = this.#held;
    this.#held = [];
    for (const each of held) {
      const { ping, holder } = each;
      if (ping.holds && ping.since === this.#beat) this.#held.push(each);
      else {
        ping.listed = false;
        if (ping.holds) holder.releasePing();
      }
    }
    this.#beat++;
    this.#cancel =
      this.#held.length === 0 ? undefined : this.#timers.after(this.#holdMs, () => this.#onBeat());
  }
}
