// What may be asked of a cluster about its members, and when it is refused, in etcd's order and words.
import { fitsRecord, type MemberAttributes } from "../apply/memberRecord.ts";
import type { MemberId } from "../base/brand.ts";
import {
  type EtcdError,
  errLearnerNotReady,
  errMemberBadUrls,
  errMemberExists,
  errMemberNotFound,
  errMemberNotLearner,
  errNotEnoughStarted,
  errPeerUrlExists,
  errTooManyLearners,
  errUnhealthy,
} from "../base/errors.ts";
import type { MemberInfo } from "./service.ts";

export type ChangeRequest =
  | {
      /** A new member; nobody had its id before. */
      readonly kind: "addVoter" | "addLearner";
      readonly id: MemberId;
      readonly peerUrls: readonly string[];
    }
  | { readonly kind: "update"; readonly id: MemberId; readonly peerUrls: readonly string[] }
  | { readonly kind: "remove"; readonly id: MemberId }
  /** A learner becomes a voter. */
  | { readonly kind: "promote"; readonly id: MemberId };

export interface ChangePolicy {
  /** Refuse what could leave the cluster without a quorum (etcd's strict-reconfig-check). */
  readonly strict: boolean;
  readonly learnersMax: number;
  /** Learners that have caught up become voters without being asked; etcd has nothing like it. */
  readonly promoteLearners: boolean;
}

export const defaultChangePolicy: ChangePolicy = {
  strict: true,
  learnersMax: 1,
  promoteLearners: false,
};

/** A cluster as its leader sees it. */
export interface ClusterView {
  readonly policy: ChangePolicy;
  readonly self: MemberId;
  readonly members: readonly MemberInfo[];
  isRemoved(id: MemberId): boolean;
  /** Heard from within an election timeout. */
  isActive(id: MemberId): boolean;
  /** Holds nearly all that the leader holds. */
  isInSync(id: MemberId): boolean;
}

/** What the log will say about the member concerned. */
export function attributesOf(request: ChangeRequest): MemberAttributes {
  const peerUrls = "peerUrls" in request ? request.peerUrls : [];
  return { id: request.id, birth: 0, name: "", peerUrls, clientUrls: [] };
}

/** Why the leader will not do it now; undefined: it may be proposed. */
export function refusalOf(request: ChangeRequest, view: ClusterView): EtcdError | undefined {
  switch (request.kind) {
    case "addVoter":
    case "addLearner":
      return addRefusal(request, view);
    case "update":
      return updateRefusal(request, view);
    case "remove":
      return removeRefusal(request, view);
    case "promote":
      return promoteRefusal(request, view);
  }
}

/** Judged anywhere, before anything is asked of the leader. */
export function shapeRefusal(request: ChangeRequest): EtcdError | undefined {
  return fitsRecord(attributesOf(request)) ? undefined : errMemberBadUrls;
}

type Adding = Extract<ChangeRequest, { kind: "addVoter" | "addLearner" }>;

function addRefusal(request: Adding, view: ClusterView): EtcdError | undefined {
  const { members, policy } = view;
  const isLearner = request.kind === "addLearner";
  if (policy.strict) {
    if (!isLearner && !mayGrow(votersOf(members))) return errNotEnoughStarted;
    if (!votersOf(members).every(({ id }) => view.isActive(id))) return errUnhealthy;
  }
  if (view.isRemoved(request.id)) return errMemberNotFound;
  if (members.some(({ id }) => id === request.id)) return errMemberExists;
  if (isTaken(request.peerUrls, members)) return errPeerUrlExists;
  const learners = members.filter((member) => member.isLearner).length;
  return isLearner && learners >= policy.learnersMax ? errTooManyLearners : undefined;
}

function updateRefusal(
  { id, peerUrls }: Extract<ChangeRequest, { kind: "update" }>,
  { members }: ClusterView,
): EtcdError | undefined {
  if (!members.some((member) => member.id === id)) return errMemberNotFound;
  const others = members.filter((member) => member.id !== id);
  return isTaken(peerUrls, others) ? errPeerUrlExists : undefined;
}

function removeRefusal(
  { id }: { readonly id: MemberId },
  view: ClusterView,
): EtcdError | undefined {
  const found = view.members.find((member) => member.id === id);
  const voters = votersOf(view.members);
  if (view.policy.strict && found?.isLearner !== true) {
    if (!mayShrink(voters.filter((voter) => voter.id !== id))) return errNotEnoughStarted;
    // One that is down takes nothing from the quorum that works.
    const isDown = id !== view.self && !view.isActive(id);
    const active = voters.filter((voter) => view.isActive(voter.id)).length;
    const quorumBefore = 1 + Math.floor((voters.length - 1) / 2);
    if (!isDown && active - 1 < quorumBefore) return errUnhealthy;
  }
  if (found === undefined) return errMemberNotFound;
  // etcd says so even where the check is off: nobody would be left.
  return voters.every((voter) => voter.id === id) ? errNotEnoughStarted : undefined;
}

function promoteRefusal(
  { id }: { readonly id: MemberId },
  view: ClusterView,
): EtcdError | undefined {
  const found = view.members.find((member) => member.id === id);
  if (found !== undefined && !view.isInSync(id)) return errLearnerNotReady;
  const voters = votersOf(view.members);
  const started = 1 + voters.filter(isStarted).length;
  if (view.policy.strict && started < quorumOf(voters.length + 1)) return errNotEnoughStarted;
  if (found === undefined) return errMemberNotFound;
  return found.isLearner ? undefined : errMemberNotLearner;
}

/** With one more voter that has not started; one that is alone may be joined all the same. */
function mayGrow(voters: readonly MemberInfo[]): boolean {
  const started = voters.filter(isStarted).length;
  if (started === 1 && voters.length === 1) return true;
  return started >= quorumOf(voters.length + 1);
}

function mayShrink(rest: readonly MemberInfo[]): boolean {
  return rest.length > 0 && rest.filter(isStarted).length >= quorumOf(rest.length);
}

const quorumOf = (voterCount: number): number => Math.floor(voterCount / 2) + 1;
const votersOf = (members: readonly MemberInfo[]): readonly MemberInfo[] =>
  members.filter((member) => !member.isLearner);
const isStarted = ({ name }: MemberInfo): boolean => name !== "";
const isTaken = (urls: readonly string[], by: readonly MemberInfo[]): boolean =>
  by.some(({ peerUrls }) => peerUrls.some((url) => urls.includes(url)));
