// Answers about the cluster itself, decoded.

import { readHeader } from "../proto/decodeResponses.ts";
import { type Malformed, Reader } from "../proto/reader.ts";
import { type Header, toHeader } from "./results.ts";

export interface ClusterMember {
  readonly id: bigint;
  /** Empty until the member has started. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

export interface MemberListResult {
  readonly header: Header;
  readonly members: readonly ClusterMember[];
}

/** Of the member that answered. */
export interface StatusResult {
  readonly header: Header;
  readonly version: string;
  /** 0n: unknown. */
  readonly leader: bigint;
  readonly raftIndex: number;
  readonly raftTerm: number;
  readonly raftAppliedIndex: number;
  readonly dbSizeBytes: number;
  readonly dbSizeInUseBytes: number;
  readonly errors: readonly string[];
  readonly isLearner: boolean;
}

const noHeader: Header = { clusterId: 0n, memberId: 0n, revision: 0, term: 0 };

export function decodeMemberList(answer: Uint8Array): MemberListResult | Malformed {
  const reader = new Reader(answer);
  const members: ClusterMember[] = [];
  let header = noHeader;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) header = toHeader(readHeader(reader));
    else if (tag === 0x12) members.push(readMember(reader));
    else reader.skip(tag, 2);
  }
  return reader.fault ?? { header, members };
}

function readMember(reader: Reader): ClusterMember {
  const outer = reader.enter();
  const peerUrls: string[] = [];
  const clientUrls: string[] = [];
  let id = 0n;
  let name = "";
  let isLearner = false;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) id = reader.uint64Exact();
    else if (tag === 0x12) name = reader.string();
    else if (tag === 0x1a) peerUrls.push(reader.string());
    else if (tag === 0x22) clientUrls.push(reader.string());
    else if (tag === 0x28) isLearner = reader.bool();
    else reader.skip(tag, 5);
  }
  reader.leave(outer);
  return { id, name, peerUrls, clientUrls, isLearner };
}

export function decodeStatus(answer: Uint8Array): StatusResult | Malformed {
  const reader = new Reader(answer);
  const errors: string[] = [];
  let header = noHeader;
  let version = "";
  let leader = 0n;
  let isLearner = false;
  // By field number: the sizes and positions, which are all counters.
  const counters = new Map<number, number>();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) header = toHeader(readHeader(reader));
    else if (tag === 0x12) version = reader.string();
    else if (tag === 0x20) leader = reader.uint64Exact();
    else if (tag === 0x42) errors.push(reader.string());
    else if (tag === 0x50) isLearner = reader.bool();
    else if (statusCounters.has(tag)) counters.set(tag >>> 3, reader.uint64());
    else reader.skip(tag, 10);
  }
  const counter = (field: number): number => counters.get(field) ?? 0;
  return (
    reader.fault ?? {
      header,
      version,
      leader,
      raftIndex: counter(5),
      raftTerm: counter(6),
      raftAppliedIndex: counter(7),
      dbSizeBytes: counter(3),
      dbSizeInUseBytes: counter(9),
      errors,
      isLearner,
    }
  );
}

const statusCounters: ReadonlySet<number> = new Set([0x18, 0x28, 0x30, 0x38, 0x48]);
