// What the leader owes the leases: it alone counts their time, renews them, and proposes what is due.
//
// A client counts its TTL from the moment that an answer reaches it, which is later than anything the
// leader knows. Two margins of half an election timeout keep the promise all the same:
// 1. A lease is due only `graceMs` after its deadline, and an answer that took longer to travel is not
//    given to the client (leases.ts).
// 2. A renewal counts from its confirmation, and only if leadership was confirmed by a round that began
//    at most `graceMs` before. A leader elected after that beginning gives every lease its time anew and
//    one whole election timeout on top, so its deadline is later than what the client counts on.
import { CommandKind } from "../apply/command.ts";
import { encodeCheckpoints, encodeExpiry } from "../apply/leaseDuties.ts";
import type { Outcome } from "../apply/outcome.ts";
import type { LeaseId, Term } from "../base/brand.ts";
import type { Clock } from "../base/ports.ts";
import {
  type Checkpoint,
  checkpointPeriodSec,
  checkpointsPerCommandMax,
  dueCheckpoints,
} from "../lease/checkpoint.ts";
import { Deadlines } from "../lease/deadlines.ts";
import type { Lease, LeaseSink, Lessor } from "../lease/lessor.ts";
import { leftOnPromotion } from "../lease/promotion.ts";
import type { MemberTiming } from "./events.ts";
import type { ProposalCompletion } from "./service.ts";

/** Leases of one expiry in the log ... */
export const expiryLeasesMax = 512;
/** ... which ends earlier when they hold more keys than this together, but never below one lease. */
export const expiryKeysMax = 4_096;
/** Expiries proposed and not applied yet. */
export const expiriesInFlightMax = 2;
/** Ticks before anything is proposed again that was refused. */
const retryTicks = 5;
/** Checkpoints are looked for this often in each period. */
const looksPerPeriod = 5;

export interface LeaseDutyParts {
  readonly clock: Clock;
  readonly timing: MemberTiming;
  /** Seconds; tests shorten it. */
  readonly checkpointPeriodSec?: number;
  /** The table as it is now: another object after a snapshot. */
  readonly lessor: () => Lessor;
  /** The term that this member leads, once an entry of it is applied; undefined otherwise. */
  readonly ledTerm: () => Term | undefined;
  readonly propose: (kind: CommandKind, body: Uint8Array, done: ProposalCompletion) => void;
  /** Whoever was told "wait" may ask again. */
  readonly onSettled: () => void;
}

/** One leadership; what belongs to an earlier one is dropped with it. */
interface Leadership {
  readonly term: Term;
  readonly lessor: Lessor;
  readonly deadlines: Deadlines;
  /** Proposed to expire: until they are gone or leadership is lost, nobody may renew them. */
  readonly expiring: Set<LeaseId>;
  /** Checkpoints on their way. */
  readonly checkpointing: Set<LeaseId>;
  /** To be forgotten by the table before a renewal counts, and those of them on their way. */
  clears: Set<LeaseId>;
  readonly clearing: Set<LeaseId>;
  expiriesInFlight: number;
  retryTick: number;
  lookTick: number;
  /** Due for a checkpoint. */
  lookedUp: readonly LeaseId[];
}

export class LeaseDuty implements LeaseSink {
  readonly graceMs: number;
  readonly #parts: LeaseDutyParts;
  readonly #electionMs: number;
  readonly #periodSec: number;
  #leadership: Leadership | undefined;
  #tick = 0;

  constructor(parts: LeaseDutyParts) {
    this.#parts = parts;
    this.#electionMs = parts.timing.electionTicks * parts.timing.tickMs;
    this.graceMs = this.#electionMs / 2;
    this.#periodSec = parts.checkpointPeriodSec ?? checkpointPeriodSec;
  }

  /** The term whose leader counts time here; undefined: not this member. Follows raft at once. */
  primaryTerm(): Term | undefined {
    const term = this.#parts.ledTerm();
    const lessor = this.#parts.lessor();
    const known = this.#leadership;
    if (known?.term === term && (known === undefined || known.lessor === lessor)) return term;
    known?.lessor.listen(undefined);
    this.#leadership = term === undefined ? undefined : this.#promoted(term, lessor);
    return term;
  }

  /** To be asked only after leadership was confirmed. @returns the TTL, 0 for an unknown lease. */
  renew(id: LeaseId): number | "wait" {
    const lease = this.#leadership?.lessor.get(id);
    if (this.#leadership === undefined || lease === undefined) return 0;
    const { expiring, checkpointing, clears, clearing, deadlines } = this.#leadership;
    if (expiring.has(id)) return "wait";
    if (clearing.has(id)) return "wait";
    if (lease.remainingSec > 0 || checkpointing.has(id)) {
      // The next leader would count from the checkpoint: it must be gone before time is promised.
      clears.add(id);
      return "wait";
    }
    deadlines.set(id, this.#parts.clock.nowMs() + lease.ttlSec * 1_000);
    return lease.ttlSec;
  }

  /** Whole seconds left; -1 for an unknown lease. */
  timeToLive(id: LeaseId): { readonly ttlSec: number; readonly grantedTtlSec: number } {
    const lease = this.#leadership?.lessor.get(id);
    if (lease === undefined) return { ttlSec: -1, grantedTtlSec: 0 };
    const leftMs = this.#leftMs(id) ?? 0;
    return { ttlSec: Math.max(0, Math.floor(leftMs / 1_000)), grantedTtlSec: lease.ttlSec };
  }

  /** All leases, by time left where this member counts it. */
  list(): readonly LeaseId[] {
    this.primaryTerm();
    const ids = Array.from(this.#parts.lessor().all(), ({ id }) => id);
    const deadlines = this.#leadership?.deadlines;
    if (deadlines === undefined) return ids;
    const endOf = (id: LeaseId): number => deadlines.deadlineMs(id) ?? 0;
    return ids.sort((a, b) => endOf(a) - endOf(b));
  }

  onGranted({ id, ttlSec }: Lease): void {
    this.#leadership?.deadlines.set(id, this.#parts.clock.nowMs() + ttlSec * 1_000);
  }

  onGone(id: LeaseId): void {
    const leadership = this.#leadership;
    if (leadership === undefined) return;
    leadership.deadlines.remove(id);
    leadership.expiring.delete(id);
    leadership.clears.delete(id);
  }

  tick(): void {
    this.#tick++;
    if (this.primaryTerm() === undefined || this.#leadership === undefined) return;
    this.#expireDue(this.#leadership);
    this.#lookForCheckpoints(this.#leadership);
  }

  /** Proposes what the renewals of this turn asked for. */
  turn(): void {
    const leadership = this.#leadership;
    if (leadership === undefined || leadership.clears.size === 0) return;
    if (this.#tick >= leadership.retryTick) this.#proposeClears(leadership);
  }

  #promoted(term: Term, lessor: Lessor): Leadership {
    const deadlines = new Deadlines();
    const nowMs = this.#parts.clock.nowMs();
    for (const { id, leftMs } of leftOnPromotion(lessor.all(), this.#electionMs)) {
      deadlines.set(id, nowMs + leftMs);
    }
    lessor.listen(this);
    return {
      ...{ term, lessor, deadlines },
      expiring: new Set(),
      checkpointing: new Set(),
      clears: new Set(),
      clearing: new Set(),
      expiriesInFlight: 0,
      retryTick: 0,
      lookTick: this.#tick + this.#lookTicks(),
      lookedUp: [],
    };
  }

  #leftMs(id: LeaseId): number | undefined {
    const deadlineMs = this.#leadership?.deadlines.deadlineMs(id);
    return deadlineMs === undefined ? undefined : deadlineMs - this.#parts.clock.nowMs();
  }

  #expireDue(leadership: Leadership): void {
    if (this.#tick < leadership.retryTick) return;
    const nowMs = this.#parts.clock.nowMs() - this.graceMs;
    while (leadership.expiriesInFlight < expiriesInFlightMax) {
      const ids = this.#takeDue(leadership, nowMs);
      if (ids.length === 0) return;
      this.#proposeExpiry(leadership, ids);
    }
  }

  #takeDue({ deadlines, lessor }: Leadership, nowMs: number): readonly LeaseId[] {
    const due = deadlines.due(nowMs, expiryLeasesMax);
    let keys = 0;
    for (const [i, id] of due.entries()) {
      keys += lessor.keyCountOf(id);
      if (i === 0 || keys <= expiryKeysMax) continue;
      for (const later of due.slice(i)) deadlines.retry(later);
      return due.slice(0, i);
    }
    return due;
  }

  #proposeExpiry(leadership: Leadership, ids: readonly LeaseId[]): void {
    const { term, expiring, deadlines } = leadership;
    for (const id of ids) expiring.add(id);
    leadership.expiriesInFlight++;
    this.#propose(leadership, {
      kind: CommandKind.leaseExpire,
      body: encodeExpiry({ term, ids }),
      // What was applied is gone from `expiring`. What was refused may be applied later: nobody renews it
      // meanwhile, and it is proposed again.
      onDone: (applied) => {
        leadership.expiriesInFlight--;
        if (!applied) leadership.retryTick = this.#tick + retryTicks;
        for (const id of ids) deadlines.retry(id);
        this.#expireDue(leadership);
      },
    });
  }

  #lookForCheckpoints(leadership: Leadership): void {
    if (this.#tick >= leadership.lookTick) {
      leadership.lookTick = this.#tick + this.#lookTicks();
      const leftMs = (id: LeaseId): number | undefined => this.#leftMs(id);
      leadership.lookedUp = dueCheckpoints(leadership.lessor.all(), leftMs, this.#periodSec);
    }
    if (leadership.lookedUp.length > 0 && leadership.checkpointing.size === 0) {
      this.#proposeCheckpoints(leadership);
    }
  }

  #lookTicks(): number {
    return Math.ceil((this.#periodSec * 1_000) / looksPerPeriod / this.#parts.timing.tickMs);
  }

  #proposeCheckpoints(leadership: Leadership): void {
    const { lookedUp, checkpointing, expiring, clearing, clears } = leadership;
    const ids = lookedUp.slice(0, checkpointsPerCommandMax);
    leadership.lookedUp = lookedUp.slice(ids.length);
    const checkpoints: Checkpoint[] = [];
    for (const id of ids) {
      const leftMs = this.#leftMs(id);
      if (leftMs === undefined || leftMs <= 0) continue;
      if (expiring.has(id) || clearing.has(id) || clears.has(id)) continue;
      checkpoints.push({ id, remainingSec: Math.ceil(leftMs / 1_000) });
      checkpointing.add(id);
    }
    if (checkpoints.length === 0) return;
    this.#propose(leadership, {
      kind: CommandKind.leaseCheckpoint,
      body: encodeCheckpoints({ term: leadership.term, checkpoints }),
      onDone: (applied) => {
        // One whose fate is unknown may still be applied: a renewal has to clear it.
        if (applied) checkpointing.clear();
        else this.#clearAll(leadership, ids);
      },
    });
  }

  #clearAll(leadership: Leadership, ids: readonly LeaseId[]): void {
    for (const id of ids) if (leadership.checkpointing.delete(id)) leadership.clears.add(id);
  }

  #proposeClears(leadership: Leadership): void {
    const ids = [...leadership.clears].slice(0, checkpointsPerCommandMax);
    for (const id of ids) {
      leadership.clears.delete(id);
      leadership.clearing.add(id);
    }
    const checkpoints = ids.map((id) => ({ id, remainingSec: 0 }));
    this.#propose(leadership, {
      kind: CommandKind.leaseCheckpoint,
      body: encodeCheckpoints({ term: leadership.term, checkpoints }),
      onDone: (applied) => {
        if (!applied) leadership.retryTick = this.#tick + retryTicks;
        for (const id of ids) {
          leadership.clearing.delete(id);
          if (applied) leadership.checkpointing.delete(id);
          else leadership.clears.add(id);
        }
      },
    });
  }

  #propose(
    leadership: Leadership,
    command: {
      readonly kind: CommandKind;
      readonly body: Uint8Array;
      readonly onDone: (applied: boolean) => void;
    },
  ): void {
    const done = (applied: boolean): void => {
      // An answer to an earlier leadership: what it speaks of was dropped with that.
      if (this.#leadership === leadership) command.onDone(applied);
      this.#parts.onSettled();
    };
    this.#parts.propose(command.kind, command.body, {
      onOutcome: (outcome: Outcome) => done(outcome.kind === "leaseDuty" && outcome.inTerm),
      onRefused: () => done(false),
    });
  }
}
