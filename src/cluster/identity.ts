// Ids of clusters and members, made as etcd makes them (semantics, section 11).
import { createHash } from "node:crypto";
import { MemberId } from "../base/brand.ts";

export interface MemberSeed {
  readonly name: string;
  readonly id: MemberId;
  readonly peerUrls: readonly string[];
  /** It was added to a cluster that ran already. */
  readonly joined?: boolean;
  /** It is a member no more. */
  readonly removed?: boolean;
}

export interface ClusterSeed {
  readonly clusterId: bigint;
  readonly members: readonly MemberSeed[];
}

/**
 * Members m1, m2, ... of one process. They have no peer port: `inproc://` names the thread.
 *
 * @param token sets this cluster apart from every other one with the same names.
 */
export function seedCluster(memberCount: number, token: string): ClusterSeed {
  const names = Array.from({ length: memberCount }, (_, i) => `m${i + 1}`);
  return seedMembers(
    names.map((name) => ({ name, peerUrls: [`inproc://${name}`] })),
    token,
  );
}

/** Members that are known by name and peer URLs, of any number of processes. */
export function seedMembers(
  members: readonly Omit<MemberSeed, "id">[],
  token: string,
): ClusterSeed {
  const seeds = members.map(({ name, peerUrls }) => ({
    name,
    id: memberId(peerUrls, token),
    peerUrls,
  }));
  return { clusterId: clusterId(seeds.map((seed) => seed.id)), members: seeds };
}

/** The same from what a data directory says. */
export function seedOf(marker: {
  readonly clusterId: bigint;
  readonly members: readonly Omit<MemberSeed, "peerUrls">[];
}): ClusterSeed {
  const members = marker.members.map((member) => ({
    ...member,
    peerUrls: [`inproc://${member.name}`],
  }));
  return { clusterId: marker.clusterId, members };
}

/** False for what the directory of one member says: its other members live elsewhere. */
export function isWhole({ clusterId: id, members }: ClusterSeed): boolean {
  return id === clusterId(members.filter(({ joined }) => !joined).map((member) => member.id));
}

/** First 8 bytes of SHA-1 over the sorted peer URLs and the token. */
export function memberId(peerUrls: readonly string[], token: string): MemberId {
  const hash = createHash("sha1");
  hash.update([...peerUrls].sort().join(""));
  hash.update(token);
  return MemberId(hash.digest().readBigUInt64BE(0));
}

/** First 8 bytes of SHA-1 over the ascending ids, 8 bytes each, big endian. */
export function clusterId(ids: readonly MemberId[]): bigint {
  const hash = createHash("sha1");
  const bytes = Buffer.alloc(8);
  for (const id of [...ids].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))) {
    bytes.writeBigUInt64BE(id);
    hash.update(bytes);
  }
  return hash.digest().readBigUInt64BE(0);
}
