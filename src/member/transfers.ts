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

export class Transfers {
  readonly #raft: RaftNode;
  readonly #waitTicksMax: number;
  #waiting: Waiting[] = [];
  #tick = 0;

  constructor(parts: { raft: RaftNode; waitTicksMax: number }) {
    this.#raft = parts.raft;
    this.#waitTicksMax = parts.waitTicksMax;
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
    if (this.#waiting.length === 0 || leader === noMember) return;
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

  #isLate(bornTick: number): boolean {
    return this.#tick - bornTick >= this.#waitTicksMax;
  }
}
