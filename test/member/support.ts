// Calls to members of a LocalCluster, and what became of them.
import assert from "node:assert/strict";
import { CommandKind } from "../../src/apply/command.ts";
import type { Outcome } from "../../src/apply/outcome.ts";
import { type MemberId, noLease } from "../../src/base/brand.ts";
import type { EtcdError } from "../../src/base/errors.ts";
import type { Member } from "../../src/member/member.ts";
import {
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
} from "../../src/proto/encodeRequests.ts";
import { Writer } from "../../src/proto/writer.ts";
import type { LocalCluster } from "../support/localCluster.ts";

export interface Result {
  outcome: Outcome | undefined;
  error: EtcdError | undefined;
}

export function put(member: Member, key: string, value: string | Uint8Array): Result {
  const request = {
    key: Buffer.from(key),
    value: Buffer.from(value),
    lease: noLease,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  };
  return propose(member, CommandKind.put, encodePutRequest(new Writer(), request));
}

export function compact(member: Member, revision: number): Result {
  const body = encodeCompactionRequest(new Writer(), { revision, physical: false });
  return propose(member, CommandKind.compact, body);
}

export function remove(member: Member, key: string): Result {
  const request = { key: Buffer.from(key), rangeEnd: Buffer.alloc(0), prevKv: false };
  return propose(member, CommandKind.deleteRange, encodeDeleteRangeRequest(new Writer(), request));
}

function propose(member: Member, kind: CommandKind, body: Uint8Array): Result {
  const result: Result = { outcome: undefined, error: undefined };
  member.propose(kind, Buffer.from(body), {
    onOutcome: (outcome) => {
      result.outcome = outcome;
    },
    onRefused: (error) => {
      result.error = error;
    },
  });
  return result;
}

export const kindOf = ({ outcome, error }: Result): string =>
  outcome?.kind ?? error?.message ?? "waiting";

export function hashOf(cluster: LocalCluster, id: MemberId): { hash: number; revision: number } {
  let found: { hash: number; revision: number } | undefined;
  cluster.member(id).hashKv(0, {
    onHash: ({ hash, revision }) => {
      found = { hash, revision };
    },
    onRefused: (error) => assert.fail(error),
  });
  cluster.settle();
  assert.ok(found);
  return found;
}

export function assertEqualStates(cluster: LocalCluster): void {
  const [first, ...others] = cluster.ids.map((id) => hashOf(cluster, id));
  for (const other of others) assert.deepEqual(other, first);
}
