// Handing leadership over: bring the successor up to date, then tell it to campaign (thesis 3.10).
import { type MemberId, noMember } from "../base/brand.ts";
import type { Core, Leadership } from "./core.ts";
import type { Progress } from "./progress.ts";

/** @returns false when `to` cannot lead; while it is true, proposals are refused. */
export function beginTransfer(core: Core, leadership: Leadership, to: MemberId): boolean {
  const peer = leadership.peers.get(to);
  if (peer === undefined || !core.membership.voters.includes(to)) return false;
  leadership.transferee = to;
  // The transfer has a whole election timeout, from now.
  core.electionElapsed = 0;
  leadership.appendsDue = true;
  continueTransfer(core, leadership, peer);
  return true;
}

/** `peer` has acknowledged more: is it the successor, and does it hold everything? */
export function continueTransfer(core: Core, leadership: Leadership, peer: Progress): void {
  if (peer.id === leadership.transferee && peer.match === core.log.last)
    abdicate(core, leadership, peer);
}

/** Tells `peer` to campaign now; from here on other members ignore their leases for it. */
export function abdicate(core: Core, leadership: Leadership, peer: Progress): void {
  leadership.leaseBroken = true;
  core.send({ kind: "timeoutNow", from: core.id, to: peer.id, term: core.term });
}

/** Nobody takes over any more. */
export function abandonTransferTo(leadership: Leadership, gone: (id: MemberId) => boolean): void {
  if (leadership.transferee !== noMember && gone(leadership.transferee)) {
    leadership.transferee = noMember;
  }
}
