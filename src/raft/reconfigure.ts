// Changes of membership on their way: proposed one at a time, in force when applied (thesis 4).

import { type LogIndex, noMember } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import type { Core, Leadership } from "./core.ts";
import { advanceCommit, appendChange, syncPeers } from "./leader.ts";
import {
  changed,
  decodeChange,
  encodeChange,
  isVoter,
  type MembershipChange,
} from "./membership.ts";
import type { MembershipResult } from "./ready.ts";
import { abandonTransferTo } from "./transfer.ts";
import { type Entry, EntryKind } from "./types.ts";

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
 * One change at a time, and none before an entry of this term is committed: two leaders could each
 * hold an uncommitted change of theirs, with majorities that do not meet (Ongaro's note of 2015).
 */
function mayChange(core: Core, leadership: Leadership): boolean {
  return core.log.applied >= leadership.membershipIndex;
}

/** Remembers the changes among entries that are handed out to be applied. */
export function noteChanges(core: Core, committed: readonly Entry[]): void {
  for (const entry of committed) {
    if (entry.kind !== EntryKind.membership) continue;
    const decoded = decodeChange(entry.data);
    if (decoded) core.unappliedChanges.push({ index: entry.index, change: decoded.change });
  }
}

/** The state machine has applied up to `index`: so have we. */
export function applyChanges(core: Core, index: LogIndex): void {
  while (core.unappliedChanges[0] !== undefined && core.unappliedChanges[0].index <= index) {
    const next = core.unappliedChanges.shift();
    if (next) applyChange(core, next.change);
  }
  leaveJoint(core);
}

function applyChange(core: Core, change: MembershipChange): void {
  const after = changed(core.membership, change);
  // Every member sees the same log, so a change that is void here is void everywhere.
  if (typeof after === "string") return;
  core.membership = after;
  const { leadership } = core;
  if (leadership === undefined) return;
  syncPeers(core, leadership, { next: core.log.last });
  abandonTransferTo(leadership, (id) => !core.membership.voters.includes(id));
  // Others may be committing the change only now; their election timeout finds a successor.
  if (isVoter(after, core.id)) advanceCommit(core, leadership);
  else core.becomeFollower(core.term, noMember);
}

/** Whoever leads when a joint configuration is in force ends it (thesis 4.3). */
export function leaveJoint(core: Core): void {
  const { leadership, membership } = core;
  if (leadership === undefined || membership.outgoing.length === 0) return;
  if (mayChange(core, leadership)) {
    appendChange(core, leadership, encodeChange({ kind: "leave" }, emptyBytes));
  }
}
