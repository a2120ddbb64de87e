// Callers that wait until another member leads (etcd's MoveLeader).
import { type MemberId, noMember } from "../base/brand.ts";
import {
  type EtcdError,
  errBadLeaderTransferee,
  errNotLeader,
  errTimeoutLeaderTransfer,
  errTooManyRequests,
} from "../base/errors.ts";
import type { RaftNode } from "../raft/node.ts";
import type { TransferCompletion } from "./service.ts";

/** Callers at once; one more is refused. */
export const transfersMax = 64;

interface Waiting {
  readonly to: MemberId;
  readonly completion: TransferCompletion;
  readonly bornTick: number;
}

export interface TransfersParts {
  readonly self: MemberId;
  readonly raft: RaftNode;
  readonly waitTicksMax: number;
  /** A peer that was silent for longer does not count as running. */
  readonly silentTicksMax: number;
}

export class Transfers {
  readonly #parts: TransfersParts;
  readonly #raft: RaftNode;
  #waiting: Waiting[] = [];
  #tick = 0;
  /** This member is about to stop; called once another one leads. */
  #onLed: (() => void) | undefined;

  constructor(parts: TransfersParts) {
    this.#parts = parts;
    this.#raft = parts.raft;
  }

  /**
   * This member is about to stop: another one shall lead, whoever holds most. `done` is called once that
   * is so, within the call when there is nothing to hand over or nobody to take it. It may never be.
   */
  handOver(done: () => void): void {
    const to = this.#successor();
    if (to === undefined || !this.#raft.transferLeadership(to)) done();
    else this.#onLed = done;
  }

  /** Refuses within the call. */
  add(to: MemberId, completion: TransferCompletion): void {
    const raft = this.#raft;
    if (raft.role !== "leader") completion.onRefused(errNotLeader);
    else if (to === raft.leader) completion.onMoved();
    else if (this.#waiting.length >= transfersMax) completion.onRefused(errTooManyRequests);
    else if (!raft.transferLeadership(to)) completion.onRefused(errBadLeaderTransferee);
    else this.#waiting.push({ to, completion, bornTick: this.#tick });
  }

  onLeader(leader: MemberId): void {
    if (leader === noMember) return;
    if (leader !== this.#parts.self) this.#ledByOther();
    if (this.#waiting.length === 0) return;
    const moved = this.#waiting.filter(({ to }) => to === leader);
    this.#waiting = this.#waiting.filter(({ to }) => to !== leader);
    for (const { completion } of moved) completion.onMoved();
  }

  tick(): void {
    this.#tick++;
    const late = this.#waiting.filter(({ bornTick }) => this.#isLate(bornTick));
    if (late.length === 0) return;
    this.#waiting = this.#waiting.filter(({ bornTick }) => !this.#isLate(bornTick));
    for (const { completion } of late) completion.onRefused(errTimeoutLeaderTransfer);
  }

  refuseAll(error: EtcdError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { completion } of waiting) completion.onRefused(error);
  }

  #ledByOther(): void {
    const done = this.#onLed;
    this.#onLed = undefined;
    done?.();
  }

  #successor(): MemberId | undefined {
    const { voters } = this.#raft.latestMembership;
    const { silentTicksMax } = this.#parts;
    const fit = this.#raft
      .peers()
      .filter(({ id, silentTicks }) => voters.includes(id) && silentTicks <= silentTicksMax);
    return fit.toSorted((a, b) => b.match - a.match)[0]?.id;
  }

  #isLate(bornTick: number): boolean {
    return this.#tick - bornTick >= this.#parts.waitTicksMax;
  }
}
