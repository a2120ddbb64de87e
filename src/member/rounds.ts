// When what waits is proposed. A leader with entries on their way holds new ones back, so that a busy cluster
// pays for a sync and a frame per round and not per batch. That saves nothing while everybody waits for a
// distant peer, so it ends after a moment, if enough has come together (docs/decisions/0006).
import type { Clock } from "../base/ports.ts";
import type { Message } from "../raft/message.ts";
import type { RaftNode } from "../raft/node.ts";
import { overlapsAfterMs } from "./overlap.ts";
import type { Pending, ProposeBatches } from "./pending.ts";

/** After so many ticks nothing is held back: if a commit takes that long, waiting for it is no use. */
export const holdTicksMax = 2;
/** What is due later than this is found by ticks. */
const wakeMsMax = 100;

export interface RoundsParts {
  readonly raft: Pick<RaftNode, "isCommitting" | "uncommittedBytes" | "step">;
  readonly pending: Pending;
  readonly clock: Clock;
  readonly propose: ProposeBatches;
  /** Asks for a turn after this time; without it the next event or tick does. */
  readonly wakeIn: ((ms: number) => void) | undefined;
}

type Forward = Extract<Message, { readonly kind: "forward" }>;

export class Rounds {
  readonly #parts: RoundsParts;
  /** Batches of followers that wait for the next round. */
  #forwards: Forward[] = [];
  #forwardBytes = 0;
  /** Since the last round began. */
  #ticks = 0;
  #beganMs = Number.NEGATIVE_INFINITY;

  constructor(parts: RoundsParts) {
    this.#parts = parts;
  }

  add(forward: Forward): void {
    this.#forwards.push(forward);
    for (const data of forward.datas) this.#forwardBytes += data.length;
  }

  tick(): void {
    this.#ticks++;
  }

  /** True when `begin` would propose something. */
  get isDue(): boolean {
    if (!this.#isWaiting) return false;
    const sinceMs = this.#sinceMs;
    if (this.#isHolding(sinceMs)) return false;
    return this.#forwards.length > 0 || this.#parts.pending.canPropose(sinceMs);
  }

  begin(): void {
    if (!this.isDue) return;
    const { raft, pending, propose, clock } = this.#parts;
    const sinceMs = this.#sinceMs;
    const forwards = this.#forwards;
    this.#ticks = 0;
    this.#beganMs = clock.nowMs();
    this.#forwards = [];
    this.#forwardBytes = 0;
    for (const message of forwards) raft.step(message);
    pending.proposeTurn(propose, sinceMs);
  }

  /** At the end of a turn: what is held back now may be due before anything else happens. */
  wakeWhenDue(): void {
    const { raft, pending, wakeIn } = this.#parts;
    if (!this.#isWaiting || wakeIn === undefined) return;
    const underWay = raft.isCommitting ? raft.uncommittedBytes : pending.underWayBytes;
    const ms = overlapsAfterMs(this.#waitingBytes, underWay) - this.#sinceMs;
    if (ms > 0 && ms < wakeMsMax) wakeIn(ms);
  }

  get #isWaiting(): boolean {
    return this.#forwards.length > 0 || this.#parts.pending.hasOpen;
  }

  get #waitingBytes(): number {
    return this.#parts.pending.openBytes + this.#forwardBytes;
  }

  get #sinceMs(): number {
    return this.#parts.clock.nowMs() - this.#beganMs;
  }

  #isHolding(sinceMs: number): boolean {
    const { raft } = this.#parts;
    if (!raft.isCommitting || this.#ticks >= holdTicksMax) return false;
    return sinceMs < overlapsAfterMs(this.#waitingBytes, raft.uncommittedBytes);
  }
}
