// Changes of membership: what they mean, whether they are allowed, and their bytes in the log.
import { MemberId, noMember } from "../base/brand.ts";
import type { Membership } from "./types.ts";

/** Simple changes alter at most one voter (thesis 4.1); "joint" may alter all of them (4.3). */
export type MembershipChange =
  | { readonly kind: "addVoter"; readonly id: MemberId }
  | { readonly kind: "addLearner"; readonly id: MemberId }
  /** A learner becomes a voter. */
  | { readonly kind: "promote"; readonly id: MemberId }
  | { readonly kind: "remove"; readonly id: MemberId }
  /** Nothing but the context changes, what the caller knows about the member. */
  | { readonly kind: "update"; readonly id: MemberId }
  /** What the cluster began with, for members that join with an empty log. */
  | {
      readonly kind: "initial";
      readonly voters: readonly MemberId[];
      readonly learners: readonly MemberId[];
    }
  /** Enter the joint configuration; the leader leaves it by itself. */
  | {
      readonly kind: "joint";
      readonly voters: readonly MemberId[];
      readonly learners: readonly MemberId[];
    }
  | { readonly kind: "leave" };

/** Members of all kinds in one configuration. */
export const membersMax = 64;

/**
 * The membership after `change`.
 *
 * @returns a reason, as a sentence without a full stop, when the change is not possible.
 */
export function changed(before: Membership, change: MembershipChange): Membership | string {
  const after = apply(before, change);
  if (typeof after === "string") return after;
  if (after.voters.length === 0) return "a cluster needs a voter";
  if (everyMember(after).length > membersMax) return `more than ${membersMax} members`;
  return after;
}

function apply(before: Membership, change: MembershipChange): Membership | string {
  const joint = before.outgoing.length > 0;
  if (change.kind === "leave") return joint ? { ...before, outgoing: [] } : "not in a joint change";
  if (joint) return "a joint change is under way";
  switch (change.kind) {
    case "addVoter":
      return added(before, change.id, "voter");
    case "addLearner":
      return added(before, change.id, "learner");
    case "promote":
      return promoted(before, change.id);
    case "remove":
      return removed(before, change.id);
    case "update":
      return everyMember(before).includes(change.id) ? before : `${change.id} is no member`;
    case "initial":
      return begun(before, change);
    case "joint":
      return entered(before, change);
  }
}

function added(before: Membership, id: MemberId, as: "voter" | "learner"): Membership | string {
  if (id === noMember) return "a member has an id";
  if (before.voters.includes(id) || before.learners.includes(id)) return `${id} is a member`;
  return as === "voter"
    ? { ...before, voters: [...before.voters, id] }
    : { ...before, learners: [...before.learners, id] };
}

function promoted(before: Membership, id: MemberId): Membership | string {
  if (!before.learners.includes(id)) return `${id} is not a learner`;
  return {
    ...before,
    voters: [...before.voters, id],
    learners: before.learners.filter((learner) => learner !== id),
  };
}

function removed(before: Membership, id: MemberId): Membership | string {
  if (!before.voters.includes(id) && !before.learners.includes(id)) return `${id} is no member`;
  return {
    ...before,
    voters: before.voters.filter((voter) => voter !== id),
    learners: before.learners.filter((learner) => learner !== id),
  };
}

/** It may tell a member what it did not know, but contradict none: it is no change between two. */
function begun(
  before: Membership,
  { voters, learners }: Pick<Membership, "voters" | "learners">,
): Membership | string {
  const known = everyMember(before).length > 0;
  const same = sameIds(before.voters, voters) && sameIds(before.learners, learners);
  if (known && !same) return "the cluster began with other members";
  return { voters: [...voters], outgoing: [], learners: [...learners] };
}

function sameIds(a: readonly MemberId[], b: readonly MemberId[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id));
}

function entered(
  before: Membership,
  { voters, learners }: { voters: readonly MemberId[]; learners: readonly MemberId[] },
): Membership | string {
  const ids = [...voters, ...learners];
  if (ids.includes(noMember)) return "a member has an id";
  if (new Set(ids).size !== ids.length) return "a member is listed twice";
  // A voter on its way to becoming a learner is in `outgoing` and in `learners` until the end.
  return { voters: [...voters], outgoing: before.voters, learners: [...learners] };
}

/** Those whose votes and acknowledgements count, without repeats. */
export function everyVoter({ voters, outgoing }: Membership): readonly MemberId[] {
  return outgoing.length === 0 ? voters : [...new Set([...voters, ...outgoing])];
}

/** Voters and learners, without repeats. */
export function everyMember(membership: Membership): readonly MemberId[] {
  const { learners, outgoing } = membership;
  if (outgoing.length === 0 && learners.length === 0) return membership.voters;
  return [...new Set([...everyVoter(membership), ...learners])];
}

export function isVoter({ voters, outgoing }: Membership, id: MemberId): boolean {
  return voters.includes(id) || outgoing.includes(id);
}

/*
 * Bytes of an entry of kind membership, integers big-endian:
 *
 *   version 1 | op 1 | voters: count 1, ids 8 each | learners: count 1, ids 8 each | context ...
 *
 * The simple changes carry their one id as the only voter.
 */
const version = 1;
const ops = [
  ...(["addVoter", "addLearner", "promote", "remove", "joint", "leave"] as const),
  ...(["update", "initial"] as const),
] as const;

/** @param context the caller's own bytes (names, addresses), given back by `decodeChange`. */
export function encodeChange(change: MembershipChange, context: Uint8Array): Uint8Array {
  const { voters, learners } = idsOf(change);
  const bytes = new Uint8Array(4 + 8 * (voters.length + learners.length) + context.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = version;
  bytes[1] = ops.indexOf(change.kind);
  let offset = 2;
  for (const ids of [voters, learners]) {
    bytes[offset++] = ids.length;
    for (const id of ids) {
      view.setBigUint64(offset, id);
      offset += 8;
    }
  }
  bytes.set(context, offset);
  return bytes;
}

function idsOf(change: MembershipChange): Pick<Membership, "voters" | "learners"> {
  if (change.kind === "joint" || change.kind === "initial") return change;
  return { voters: change.kind === "leave" ? [] : [change.id], learners: [] };
}

/** @returns undefined for bytes that no version of this program wrote. */
export function decodeChange(
  bytes: Uint8Array,
): { readonly change: MembershipChange; readonly context: Uint8Array } | undefined {
  const kind = bytes[0] === version ? ops[bytes[1] ?? ops.length] : undefined;
  const voters = decodeIds(bytes, 2);
  const learners = voters && decodeIds(bytes, voters.end);
  if (kind === undefined || voters === undefined || learners === undefined) return undefined;
  const change = changeOf(kind, voters.ids, learners.ids);
  return change && { change, context: bytes.subarray(learners.end) };
}

function decodeIds(
  bytes: Uint8Array,
  offset: number,
): { ids: MemberId[]; end: number } | undefined {
  const count = bytes[offset];
  if (count === undefined || bytes.length < offset + 1 + 8 * count) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ids: MemberId[] = [];
  for (let i = 0; i < count; i++) ids.push(MemberId(view.getBigUint64(offset + 1 + 8 * i)));
  return { ids, end: offset + 1 + 8 * count };
}

function changeOf(
  kind: (typeof ops)[number],
  voters: readonly MemberId[],
  learners: readonly MemberId[],
): MembershipChange | undefined {
  if (kind === "joint" || kind === "initial") return { kind, voters, learners };
  if (kind === "leave") return { kind };
  const [id] = voters;
  return id === undefined ? undefined : { kind, id };
}
