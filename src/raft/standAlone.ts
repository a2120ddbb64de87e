// The last resort: a member whose peers are lost for good goes on alone. No vote is behind this, so whoever
// asks for it says that the others will never come back as they are.
import type { MemberId } from "../base/brand.ts";
import { changed, everyMember, type MembershipChange } from "./membership.ts";
import type { Membership } from "./types.ts";

/**
 * What has to happen to `membership` until `self` is its only member.
 *
 * @returns a reason, as a sentence without a full stop, when it is no member of it.
 */
export function changesToStandAlone(
  membership: Membership,
  self: MemberId,
): readonly MembershipChange[] | string {
  if (!everyMember(membership).includes(self)) return "this member is not in the cluster";
  const changes: MembershipChange[] = [];
  let now = membership;
  const make = (change: MembershipChange): void => {
    const after = changed(now, change);
    if (typeof after === "string") throw new RangeError(after);
    now = after;
    changes.push(change);
  };
  if (now.outgoing.length > 0) make({ kind: "leave" });
  if (now.learners.includes(self)) make({ kind: "promote", id: self });
  for (const id of everyMember(now)) if (id !== self) make({ kind: "remove", id });
  return changes;
}
