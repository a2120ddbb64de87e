// What the parts of a leader's duty to the leases share.
import type { CommandKind } from "../apply/command.ts";
import type { DutyHead } from "../apply/leaseDuties.ts";
import type { MemberTiming } from "./events.ts";
import type { ProposalCompletion } from "./service.ts";

/** Ticks before anything is proposed again that was refused. */
export const retryTicks = 5;

export type Propose = (kind: CommandKind, body: Uint8Array, done: ProposalCompletion) => void;

/** @param onDone `applied`: as a command of the term; otherwise it may still be, or never. */
export type ProposeDuty = (
  kind: CommandKind,
  bodyOf: (head: DutyHead) => Uint8Array,
  onDone: (applied: boolean) => void,
) => void;

/**
 * Half an election timeout: so long may a proof of leadership, or an answer on its way, be old, and so
 * long does an expiry wait after the end of its lease (docs/decisions/0009).
 */
export function graceMsOf({ electionTicks, tickMs }: MemberTiming): number {
  return (electionTicks * tickMs) / 2;
}

/** Shorter TTLs are raised to this: one and a half election timeouts, whole seconds, as in etcd. */
export function leaseTtlSecMinOf({ electionTicks, tickMs }: MemberTiming): number {
  return Math.ceil((Math.floor((3 * electionTicks) / 2) * tickMs) / 1_000);
}
