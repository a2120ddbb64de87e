// Remainders of long leases in the log, so that they outlive their leader. A renewal promises the whole
// TTL again: before it may count, a remainder that the next leader would count from must be gone.
import { CommandKind } from "../apply/command.ts";
import { type DutyHead, encodeCheckpoints } from "../apply/leaseDuties.ts";
import type { LeaseId } from "../base/brand.ts";
import { type Checkpoint, checkpointsPerCommandMax, dueCheckpoints } from "../lease/checkpoint.ts";
import type { Lease, Lessor } from "../lease/lessor.ts";
import { type ProposeDuty, retryTicks } from "./leaseDuty.ts";

/** Checkpoints are looked for this often in each period. */
const looksPerPeriod = 5;

export interface LeaseCheckpointsParts {
  readonly lessor: Lessor;
  readonly period: { readonly sec: number; readonly tickMs: number };
  /** Time left by the leader's count. */
  readonly leftMs: (id: LeaseId) => number | undefined;
  readonly isExpiring: (id: LeaseId) => boolean;
  readonly propose: ProposeDuty;
}

export class LeaseCheckpoints {
  readonly #parts: LeaseCheckpointsParts;
  readonly #lookTicks: number;
  /** Due, not proposed yet. */
  #due: readonly LeaseId[] = [];
  /** Proposed; those whose fate is unknown stay, as they may still be applied. */
  readonly #noting = new Set<LeaseId>();
  #notingInFlight = false;
  /** To be cleared, and those of them on their way. */
  readonly #clears = new Set<LeaseId>();
  readonly #clearing = new Set<LeaseId>();
  #tick = 0;
  #lookTick: number;
  #retryTick = 0;

  constructor(parts: LeaseCheckpointsParts) {
    this.#parts = parts;
    this.#lookTicks = Math.ceil((parts.period.sec * 1_000) / looksPerPeriod / parts.period.tickMs);
    this.#lookTick = this.#lookTicks;
  }

  /** False: it has a remainder, or may get one; the clearing of that is under way. */
  mayRenew({ id, remainingSec }: Lease): boolean {
    const isClear = remainingSec === 0 && !this.#noting.has(id);
    if (isClear && !this.#clears.has(id) && !this.#clearing.has(id)) return true;
    if (!this.#clearing.has(id)) this.#clears.add(id);
    return false;
  }

  forget(id: LeaseId): void {
    this.#noting.delete(id);
    this.#clears.delete(id);
  }

  tick(): void {
    this.#tick++;
    if (this.#tick >= this.#lookTick) {
      this.#lookTick = this.#tick + this.#lookTicks;
      const { lessor, leftMs, period } = this.#parts;
      this.#due = dueCheckpoints(lessor.all(), leftMs, period.sec);
    }
    if (this.#due.length > 0 && !this.#notingInFlight) this.#proposeNotes();
  }

  turn(): void {
    const isIdle = this.#clears.size > 0 && this.#clearing.size === 0;
    if (isIdle && this.#tick >= this.#retryTick) this.#proposeClears();
  }

  #proposeNotes(): void {
    const ids = this.#due.slice(0, checkpointsPerCommandMax);
    this.#due = this.#due.slice(ids.length);
    const checkpoints = ids.flatMap((id) => this.#noteOf(id));
    if (checkpoints.length === 0) return;
    for (const { id } of checkpoints) this.#noting.add(id);
    this.#notingInFlight = true;
    this.#propose(checkpoints, (applied) => {
      this.#notingInFlight = false;
      if (applied) for (const { id } of checkpoints) this.#noting.delete(id);
    });
  }

  #noteOf(id: LeaseId): readonly Checkpoint[] {
    const leftMs = this.#parts.leftMs(id) ?? 0;
    const isBusy = this.#clears.has(id) || this.#clearing.has(id) || this.#parts.isExpiring(id);
    return isBusy || leftMs <= 0 ? [] : [{ id, remainingSec: Math.ceil(leftMs / 1_000) }];
  }

  #proposeClears(): void {
    const ids = [...this.#clears].slice(0, checkpointsPerCommandMax);
    for (const id of ids) {
      this.#clears.delete(id);
      this.#clearing.add(id);
    }
    const checkpoints = ids.map((id) => ({ id, remainingSec: 0 }));
    this.#propose(checkpoints, (applied) => {
      if (!applied) this.#retryTick = this.#tick + retryTicks;
      for (const id of ids) {
        this.#clearing.delete(id);
        // A note that comes after its clearing was proposed before that was seen: it does nothing.
        if (applied) this.#noting.delete(id);
        else this.#clears.add(id);
      }
    });
  }

  #propose(checkpoints: readonly Checkpoint[], onDone: (applied: boolean) => void): void {
    const bodyOf = (head: DutyHead): Uint8Array => encodeCheckpoints({ ...head, checkpoints });
    this.#parts.propose(CommandKind.leaseCheckpoint, bodyOf, onDone);
  }
}
