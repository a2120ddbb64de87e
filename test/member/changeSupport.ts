// Requests to members of a local cluster, and what became of them.
import { CommandKind } from "../../src/apply/command.ts";
import { MemberId, noLease } from "../../src/base/brand.ts";
import type { ChangeRequest } from "../../src/member/changeRequest.ts";
import type { Member } from "../../src/member/member.ts";
import type { MemberInfo } from "../../src/member/service.ts";
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import { Writer } from "../../src/proto/writer.ts";
import { LocalCluster, type LocalOptions } from "../support/localCluster.ts";

/** "waiting", then what it came to: "done" or the text of the refusal. */
export interface Result {
  text: string;
}

export const memberId = (value: number): MemberId => MemberId(BigInt(value));

/** A cluster that has elected its first leader. */
export function started(count: number, seed: number, options?: LocalOptions): LocalCluster {
  const cluster = new LocalCluster(count, seed, options);
  cluster.tick(30);
  return cluster;
}

export function change(member: Member, request: ChangeRequest): Result {
  const result: Result = { text: "waiting" };
  member.changeMembership(request, {
    onChanged: () => {
      result.text = "done";
    },
    onRefused: (error) => {
      result.text = error.message.replace("etcdserver: ", "");
    },
  });
  return result;
}

export function transfer(member: Member, to: MemberId): Result {
  const result: Result = { text: "waiting" };
  member.transferLeadership(to, {
    onMoved: () => {
      result.text = "done";
    },
    onRefused: (error) => {
      result.text = error.message.replace("etcdserver: ", "");
    },
  });
  return result;
}

export function put(member: Member, key: string, value = "v"): Result {
  const result: Result = { text: "waiting" };
  const request = {
    key: Buffer.from(key),
    value: Buffer.from(value),
    lease: noLease,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  };
  member.propose(CommandKind.put, Buffer.from(encodePutRequest(new Writer(), request)), {
    onOutcome: ({ kind }) => {
      result.text = kind === "put" ? "done" : kind;
    },
    onRefused: (error) => {
      result.text = error.message.replace("etcdserver: ", "");
    },
  });
  return result;
}

export const addVoter = (value: number): ChangeRequest => ({
  kind: "addVoter",
  id: memberId(value),
  peerUrls: [`http://m${value}:2380`],
});

export const addLearner = (value: number): ChangeRequest => ({
  kind: "addLearner",
  id: memberId(value),
  peerUrls: [`http://m${value}:2380`],
});

/** "m1 m2 m4*": names by id, a star for learners, "(3)" for one that has not started. */
export function listOf(members: readonly MemberInfo[]): string {
  return members
    .toSorted((a, b) => Number(a.id - b.id))
    .map(({ id, name, isLearner }) => `${name || `(${id})`}${isLearner ? "*" : ""}`)
    .join(" ");
}

export function followerOf(cluster: LocalCluster): Member {
  const leader = cluster.leader();
  for (const member of cluster.members.values()) {
    if (member !== leader && !member.isLearner && !cluster.cut.has(member.id)) return member;
  }
  throw new Error("no follower");
}
