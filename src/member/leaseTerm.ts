// What a leader owes the leases in one term: it alone counts their time, renews them, and proposes what is
// due. A client may count its TTL from the moment that an answer reaches it, later than anything that the
// leader knows; docs/decisions/0009 says how two margins of half an election timeout keep the promise.
import { CommandKind } from "../apply/command.ts";
import { type DutyHead, encodeExpiry } from "../apply/leaseDuties.ts";
import type { Outcome } from "../apply/outcome.ts";
import type { LeaseId, LogIndex, Term } from "../base/brand.ts";
import type { Clock } from "../base/ports.ts";
import { Deadlines } from "../lease/deadlines.ts";
import type { Lease, LeaseSink, Lessor } from "../lease/lessor.ts";
import type { MemberTiming } from "./events.ts";
import { LeaseCheckpoints } from "./leaseCheckpoints.ts";
import { graceMsOf, type Propose, retryTicks } from "./leaseDuty.ts";

/** Leases of one expiry in the log ... */
export const expiryLeasesMax = 512;
/** ... which ends earlier when they hold more keys than this together, but never below one lease. */
export const expiryKeysMax = 1_024;
/** Expiries proposed and not applied yet. */
export const expiriesInFlightMax = 2;

export interface LeaseTermParts {
  readonly term: Term;
  readonly lessor: Lessor;
  readonly clock: Clock;
  readonly timing: MemberTiming;
  readonly checkpointPeriodSec: number;
  /** Index of the last applied entry. */
  readonly applied: () => LogIndex;
  readonly propose: Propose;
  /** Whoever was told "wait" may ask again. */
  readonly onSettled: () => void;
}

export class LeaseTerm implements LeaseSink {
  readonly term: Term;
  readonly lessor: Lessor;
  readonly #parts: LeaseTermParts;
  readonly #graceMs: number;
  readonly #deadlines = new Deadlines();
  readonly #checkpoints: LeaseCheckpoints;
  /** Proposed to expire: until they are gone nobody may renew them. */
  readonly #expiring = new Set<LeaseId>();
  #expiriesInFlight = 0;
  #retryTick = 0;
  #tick = 0;
  #ended = false;

  /** Every lease begins anew, and lasts a whole election timeout longer: nobody knows who renewed it. */
  constructor(parts: LeaseTermParts) {
    const { term, lessor, clock, timing, checkpointPeriodSec } = parts;
    this.term = term;
    this.lessor = lessor;
    this.#parts = parts;
    this.#graceMs = graceMsOf(timing);
    this.#checkpoints = new LeaseCheckpoints({
      lessor,
      period: { sec: checkpointPeriodSec, tickMs: timing.tickMs },
      leftMs: (id) => this.#leftMs(id),
      isExpiring: (id) => this.#expiring.has(id),
      propose: (kind, bodyOf, onDone) => this.#propose(kind, bodyOf, onDone),
    });
    const extendedMs = clock.nowMs() + timing.electionTicks * timing.tickMs;
    for (const { id, ttlSec, remainingSec } of lessor.all()) {
      this.#deadlines.set(id, extendedMs + (remainingSec || ttlSec) * 1_000);
    }
    lessor.listen(this);
  }

  /** Leadership is over: what was proposed and is not applied yet is nobody's any more. */
  end(): void {
    this.#ended = true;
    this.lessor.listen(undefined);
  }

  /** To be asked only while leadership is certain. @returns the TTL; 0: no such lease. */
  renew(id: LeaseId): number | "wait" {
    const lease = this.lessor.get(id);
    if (lease === undefined) return 0;
    if (this.#expiring.has(id) || !this.#checkpoints.mayRenew(lease)) return "wait";
    this.#deadlines.set(id, this.#parts.clock.nowMs() + lease.ttlSec * 1_000);
    return lease.ttlSec;
  }

  /** Whole seconds left; -1: no such lease. */
  timeToLive(id: LeaseId): { readonly ttlSec: number; readonly grantedTtlSec: number } {
    const lease = this.lessor.get(id);
    if (lease === undefined) return { ttlSec: -1, grantedTtlSec: 0 };
    const leftMs = this.#leftMs(id) ?? 0;
    return { ttlSec: Math.max(0, Math.floor(leftMs / 1_000)), grantedTtlSec: lease.ttlSec };
  }

  endMs(id: LeaseId): number {
    return this.#deadlines.endMs(id) ?? 0;
  }

  onGranted({ id, ttlSec }: Lease): void {
    this.#deadlines.set(id, this.#parts.clock.nowMs() + ttlSec * 1_000);
  }

  onGone(id: LeaseId): void {
    this.#deadlines.remove(id);
    this.#expiring.delete(id);
    this.#checkpoints.forget(id);
  }

  tick(): void {
    this.#tick++;
    this.#expireDue();
    this.#checkpoints.tick();
  }

  /** Proposes what the renewals of this turn asked for. */
  turn(): void {
    this.#checkpoints.turn();
  }

  #leftMs(id: LeaseId): number | undefined {
    const endMs = this.#deadlines.endMs(id);
    return endMs === undefined ? undefined : endMs - this.#parts.clock.nowMs();
  }

  #expireDue(): void {
    while (!this.#ended && this.#tick >= this.#retryTick) {
      if (this.#expiriesInFlight >= expiriesInFlightMax) return;
      const ids = this.#takeDue();
      if (ids.length === 0) return;
      this.#proposeExpiry(ids);
    }
  }

  #takeDue(): readonly LeaseId[] {
    const due = this.#deadlines.takeDue(this.#parts.clock.nowMs() - this.#graceMs, expiryLeasesMax);
    let keys = 0;
    for (const [i, id] of due.entries()) {
      keys += this.lessor.keyCountOf(id);
      if (i === 0 || keys <= expiryKeysMax) continue;
      for (const later of due.splice(i)) this.#deadlines.putBack(later);
      break;
    }
    return due;
  }

  #proposeExpiry(ids: readonly LeaseId[]): void {
    for (const id of ids) this.#expiring.add(id);
    this.#expiriesInFlight++;
    const bodyOf = (head: DutyHead): Uint8Array => encodeExpiry({ ...head, ids });
    this.#propose(CommandKind.leaseExpire, bodyOf, (applied) => {
      this.#expiriesInFlight--;
      if (!applied) this.#retryTick = this.#tick + retryTicks;
      // What was applied is gone. The rest may still be: it stays unrenewable, and is proposed again.
      for (const id of ids) this.#deadlines.putBack(id);
      this.#expireDue();
    });
  }

  #propose(
    kind: CommandKind,
    bodyOf: (head: DutyHead) => Uint8Array,
    onDone: (applied: boolean) => void,
  ): void {
    const { term, propose, applied, onSettled } = this.#parts;
    const done = (inTerm: boolean): void => {
      if (this.#ended) return;
      onDone(inTerm);
      onSettled();
    };
    propose(kind, bodyOf({ term, seen: applied() }), {
      onOutcome: (outcome: Outcome) => done(outcome.kind === "leaseDuty" && outcome.inTerm),
      onRefused: () => done(false),
    });
  }
}
