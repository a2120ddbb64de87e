// What a member offers to api/: propose, read, look. The completions are called in the member's own
// thread, never within the call that registered them unless stated.
import type { Alarm } from "../apply/alarms.ts";
import type { CommandKind } from "../apply/command.ts";
import type { LongRange } from "../apply/longRange.ts";
import type { LongRangeResult, Outcome, RangeResult, TxnResult } from "../apply/outcome.ts";
import type { LogIndex, MemberId, Revision, Term } from "../base/brand.ts";
import type { EtcdError } from "../base/errors.ts";
import type { RangeRequest, TxnRequest } from "../proto/kv.ts";
import type { Role } from "../raft/types.ts";
import type { ChangeRequest } from "./changeRequest.ts";
import type { LeaseRequests } from "./leaseRequests.ts";
import type { SnapshotRequests } from "./snapshotRequests.ts";
import type { Watches } from "./watches.ts";

/** Receives what became of one command; exactly one of the two is called, once. */
export interface ProposalCompletion {
  onOutcome(outcome: Outcome): void;
  /** The command may still be applied later unless the error says otherwise. */
  onRefused(error: EtcdError): void;
}

/** Receives the moment from which local state is fresh enough for a linearizable read. */
export interface ReadCompletion {
  onReady(): void;
  /** After `onReady`: it shall be called again in a later turn, as not everything is read. */
  readonly hasMore?: boolean;
  onRefused(error: EtcdError): void;
}

/** Receives what became of a change of membership; exactly one of the two is called, once. */
export interface ChangeCompletion {
  /** It is applied here. @param members all of them, in no order. */
  onChanged(members: readonly MemberInfo[]): void;
  /** The change may still be made later when the error speaks of time. */
  onRefused(error: EtcdError): void;
}

/** Receives the moment at which the wanted member leads. */
export interface TransferCompletion {
  onMoved(): void;
  onRefused(error: EtcdError): void;
}

/** Receives the hash of the key space. */
export interface HashCompletion {
  onHash(result: HashResult): void;
  onRefused(error: EtcdError): void;
}

/** Receives what became of building the store anew; exactly one of the two is called, once. */
export interface DefragmentCompletion {
  onDone(): void;
  /** The store is as it was. */
  onRefused(error: EtcdError): void;
}

export interface HashResult {
  readonly hash: number;
  readonly revision: Revision;
  readonly hashRevision: Revision;
  /** -1 when never compacted. */
  readonly compactRevision: number;
}

export interface MemberInfo {
  readonly id: MemberId;
  /** Empty until the member has started. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

export interface MemberStatus {
  readonly id: MemberId;
  readonly role: Role;
  readonly term: Term;
  /** 0n: unknown. */
  readonly leader: MemberId;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly revision: Revision;
  readonly dbSizeBytes: number;
  readonly dbSizeInUseBytes: number;
  readonly isLearner: boolean;
  /** The disk lost what was acknowledged: no vote and no service until a leader has refilled it. */
  readonly isRefilling: boolean;
}

/** Local reads of applied state; synchronous. */
export interface StateReader {
  readonly revision: Revision;
  /** For a few small rows: they are read at once. @throws {EtcdError} compacted or future revision. */
  range(request: RangeRequest): RangeResult;
  /**
   * @param bytesMax of the answer's rows; beyond it is refused as soon as so much is read.
   * @returns the answer; or what it is to be read with, in steps.
   * @throws {EtcdError} as range; too large.
   */
  beginRange(request: RangeRequest, bytesMax: number): RangeResult | LongRange;
  /** @returns the answer, in the step that completes it. @throws {EtcdError} too large. */
  stepRange(range: LongRange): LongRangeResult | undefined;
  /** A txn of ranges only, at the current state. @param bytesMax of all. @throws {EtcdError} as range. */
  readTxn(request: TxnRequest, bytesMax: number): TxnResult;
}

/** What is told of a request that took long. */
export interface RequestFacts {
  readonly prefix: string;
  /** As in proto/requestText.ts: without values. */
  readonly request: string;
  readonly response: string;
  readonly error?: string;
}

/** For requests that never enter the log. */
export interface ReadTimes {
  /** Of the member's clock. */
  nowMs(): number;
  /** A request of this moment was answered now: so many milliseconds if they are many, else undefined. */
  slowMs(sinceMs: number): number | undefined;
  /** Says so in the log; once for each, unless there are very many. */
  tell(tookMs: number, facts: () => RequestFacts): void;
}

export interface MemberService {
  readonly clusterId: bigint;
  readonly id: MemberId;
  /** Term now, for answer headers. */
  readonly term: Term;
  /** Receives the log, but has no vote: most calls are refused there. */
  readonly isLearner: boolean;
  readonly state: StateReader;
  readonly times: ReadTimes;
  readonly watches: Watches;
  readonly leases: LeaseRequests;
  readonly snapshots: SnapshotRequests;
  /**
   * Calls back once, within a tick, when no leader was known for three election timeouts.
   * @returns how to withdraw.
   */
  onLeaderLost(onLost: () => void): () => void;
  /**
   * Queues a checked command for this turn's batch; `body` is copied before the call returns.
   * Refuses at once (within the call) when overloaded or stopped.
   */
  propose(kind: CommandKind, body: Uint8Array, completion: ProposalCompletion): void;
  /** Joins this turn's quorum round. */
  readIndex(completion: ReadCompletion): void;
  /** For a read that needs no round and has more to do: it goes on in turns to come. */
  readOn(completion: ReadCompletion): void;
  /** Hash over history up to `revision` (0: now), computed in slices between turns. */
  hashKv(revision: number, completion: HashCompletion): void;
  /** Calls back when physical removal up to the last compaction has been written to the store. */
  compactionSettled(done: () => void): void;
  /** Builds this member's store anew, without free pages; it serves meanwhile. */
  defragment(completion: DefragmentCompletion): void;
  status(): MemberStatus;
  /** Those that are on, as applied here; by kind. */
  alarms(): readonly Alarm[];
  /** As applied here, in no order. */
  members(): readonly MemberInfo[];
  /** Through whichever member, one change after the other. May call back within the call. */
  changeMembership(request: ChangeRequest, completion: ChangeCompletion): void;
  /** Only a leader can hand over. May call back within the call. */
  transferLeadership(to: MemberId, completion: TransferCompletion): void;
}
