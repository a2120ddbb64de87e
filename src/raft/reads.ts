// Read index (thesis 6.4): one quorum round confirms leadership for all reads of a turn.
import type { LogIndex, MemberId } from "../base/brand.ts";
import { readsForwardedMax, readsPendingMax } from "./config.ts";

export interface ReadRequest {
  /** Who asked; the leader itself or a peer. */
  readonly from: MemberId;
  readonly requestId: number;
}

/** A round is sent with heartbeats; its reads see at least `index`. */
export interface ReadRound {
  readonly id: number;
  readonly index: LogIndex;
  readonly sentTick: number;
  readonly requests: readonly ReadRequest[];
}

/** The leader's side: requests gather until the turn ends, then wait in a round. */
export class ReadRounds {
  #gathered: ReadRequest[] = [];
  #rounds: ReadRound[] = [];
  #lastId = 0;
  #count = 0;

  get hasGathered(): boolean {
    return this.#gathered.length > 0;
  }

  get waiting(): boolean {
    return this.#rounds.length > 0;
  }

  /** Id of the newest round; ids are never used twice in the life of a process. */
  get lastId(): number {
    return this.#lastId;
  }

  /** @returns false when `readsPendingMax` are waiting already. */
  gather(request: ReadRequest): boolean {
    if (this.#count >= readsPendingMax) return false;
    this.#gathered.push(request);
    this.#count++;
    return true;
  }

  /** Gathered requests that need no round (lease, or a cluster of one). */
  takeGathered(): readonly ReadRequest[] {
    const requests = this.#gathered;
    this.#gathered = [];
    this.#count -= requests.length;
    return requests;
  }

  /** @returns the id to send with the heartbeats of this turn. */
  open({ index, tick }: { index: LogIndex; tick: number }): number {
    this.#lastId++;
    const requests = this.#gathered;
    this.#gathered = [];
    this.#rounds.push({ id: this.#lastId, index, sentTick: tick, requests });
    return this.#lastId;
  }

  /** A quorum answered round `id`, and with it all earlier ones. */
  confirm(id: number): readonly ReadRound[] {
    let done = 0;
    for (const round of this.#rounds) {
      if (round.id > id) break;
      this.#count -= round.requests.length;
      done++;
    }
    return this.#rounds.splice(0, done);
  }

  /** Leadership is lost: @returns everything that was waiting. */
  abandon(): readonly ReadRequest[] {
    const requests = [...this.#rounds.flatMap((round) => round.requests), ...this.#gathered];
    this.#rounds = [];
    this.#gathered = [];
    this.#count = 0;
    return requests;
  }
}

/** A follower's side: which requests are with the present leader. */
export class ForwardedReads {
  readonly #ids = new Set<number>();

  /** @returns the oldest id if it had to make room: it counts as lost. */
  add(requestId: number): number | undefined {
    this.#ids.add(requestId);
    if (this.#ids.size <= readsForwardedMax) return undefined;
    const [oldest] = this.#ids;
    if (oldest !== undefined) this.#ids.delete(oldest);
    return oldest;
  }

  /** @returns false for an answer that nobody waits for. */
  answered(requestId: number): boolean {
    return this.#ids.delete(requestId);
  }

  abandon(): readonly number[] {
    const ids = [...this.#ids];
    this.#ids.clear();
    return ids;
  }
}
