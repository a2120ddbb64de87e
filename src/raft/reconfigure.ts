// A leader's side of changing the membership: one change at a time, in force at once (thesis 4).

import { noMember } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import type { Core, Leadership } from "./core.ts";
import { appendChange, resign } from "./leader.ts";
import { changed, encodeChange, isVoter, type MembershipChange } from "./membership.ts";
import type { MembershipResult } from "./ready.ts";

/** @param context the caller's own bytes, carried with the change. */
export function proposeChange(
  core: Core,
  change: MembershipChange,
  context: Uint8Array,
): MembershipResult {
  const { leadership } = core;
  if (leadership === undefined) return "notLeader";
  if (leadership.transferee !== noMember) return "transferring";
  if (!mayChange(core, leadership)) return "busy";
  if (typeof changed(core.membership, change) === "string") return "invalid";
  appendChange(core, leadership, encodeChange(change, context));
  return "accepted";
}

/**
 * None before the last is committed, and none before an entry of this term is: two leaders could
 * each hold an uncommitted change of theirs, with majorities that do not meet (Ongaro's note, 2015).
 */
function mayChange({ log }: Core, { membershipIndex }: Leadership): boolean {
  return log.commit >= membershipIndex;
}

/** Whoever leads when a joint configuration is committed ends it (thesis 4.3). */
export function leaveJoint(core: Core, leadership: Leadership): void {
  if (core.membership.outgoing.length === 0 || !mayChange(core, leadership)) return;
  appendChange(core, leadership, encodeChange({ kind: "leave" }, emptyBytes));
}

/**
 * A leader that removed itself leads until the others have committed that (thesis 4.2.2), and leaves them a
 * successor: without one they would wait for an election timeout.
 */
export function resignIfRemoved(core: Core, leadership: Leadership): void {
  if (isVoter(core.membership, core.id) || !mayChange(core, leadership)) return;
  resign(core, leadership);
}
