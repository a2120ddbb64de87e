// A member that does what a test tells it, and calls that keep what they are answered.
import type { Alarm } from "../../src/apply/alarms.ts";
import type { CommandKind } from "../../src/apply/command.ts";
import { beginRange, type LongRange } from "../../src/apply/longRange.ts";
import type { LongRangeResult, RangeResult, TxnResult } from "../../src/apply/outcome.ts";
import { range } from "../../src/apply/range.ts";
import { readTxn } from "../../src/apply/txn.ts";
import { LogIndex, MemberId, Revision, Term } from "../../src/base/brand.ts";
import type { EtcdError } from "../../src/base/errors.ts";
import type { UnaryCall } from "../../src/grpc/call.ts";
import type { ChangeRequest } from "../../src/member/changeRequest.ts";
import type { LeaseRequests } from "../../src/member/leaseRequests.ts";
import type {
  ChangeCompletion,
  DefragmentCompletion,
  HashCompletion,
  MemberInfo,
  MemberService,
  MemberStatus,
  ProposalCompletion,
  ReadCompletion,
  ReadTimes,
  RequestFacts,
  StateReader,
  TransferCompletion,
} from "../../src/member/service.ts";
import type { SnapshotRequests } from "../../src/member/snapshotRequests.ts";
import type { Watches } from "../../src/member/watches.ts";
import { AnswerBytes } from "../../src/mvcc/answerBytes.ts";
import type { Store } from "../../src/mvcc/store.ts";
import type { RangeRequest, TxnRequest } from "../../src/proto/kv.ts";

export interface Proposed {
  readonly kind: CommandKind;
  readonly body: Buffer;
  readonly completion: ProposalCompletion;
}

/** Collects what is asked of it; the test completes it by hand. */
export class FakeMember implements MemberService {
  readonly clusterId = 0xf000_0000_0000_0001n;
  readonly id = MemberId(0x8000_0000_0000_0002n);
  term = Term(7);
  leader = MemberId(3n);

  readonly proposed: Proposed[] = [];
  readonly reads: ReadCompletion[] = [];
  readonly longReads: ReadCompletion[] = [];
  readonly hashes: { readonly revision: number; readonly completion: HashCompletion }[] = [];
  readonly compactions: (() => void)[] = [];
  readonly defragments: DefragmentCompletion[] = [];
  readonly ranges: RangeRequest[] = [];
  readonly txns: TxnRequest[] = [];
  readonly changes: { readonly request: ChangeRequest; readonly completion: ChangeCompletion }[] =
    [];
  readonly transfers: { readonly to: MemberId; readonly completion: TransferCompletion }[] = [];
  list: readonly MemberInfo[] = [];
  raised: readonly Alarm[] = [];
  isLearner = false;

  /** What the next read gives, or throws. */
  rangeResult: () => RangeResult = () => emptyRange;
  /** Where ranges are read, if a test gives one. */
  store: Store | undefined;
  txnResult: () => TxnResult = () => emptyTxn;
  readonly #state = new FakeState(this);

  /** What the clock says, and what was told of slow reads. */
  clockMs = 0;
  readonly told: (RequestFacts & { readonly tookMs: number })[] = [];
  readonly times: ReadTimes = {
    nowMs: () => this.clockMs,
    slowMs: (sinceMs) => (this.clockMs - sinceMs > 100 ? this.clockMs - sinceMs : undefined),
    tell: (tookMs, facts) => void this.told.push({ tookMs, ...facts() }),
  };

  /** A test that watches gives it a hub. */
  watches: Watches = {
    open: () => {
      throw new Error("this member has no hub");
    },
  };
  /** A test of leases gives it some. */
  leases: LeaseRequests = {
    ttlSecMin: 2,
    pickId: () => noLeases(),
    renew: () => noLeases(),
    timeToLive: () => noLeases(),
    list: () => noLeases(),
  };
  /** A test of snapshots gives it some. */
  snapshots: SnapshotRequests = {
    open: () => {
      throw new Error("this member has no snapshots");
    },
  };
  readonly leaderWaiters = new Set<() => void>();

  onLeaderLost(onLost: () => void): () => void {
    this.leaderWaiters.add(onLost);
    return () => void this.leaderWaiters.delete(onLost);
  }

  get state(): FakeState {
    return this.#state;
  }

  propose(kind: CommandKind, body: Uint8Array, completion: ProposalCompletion): void {
    this.proposed.push({ kind, body: Buffer.from(body), completion });
  }

  readIndex(completion: ReadCompletion): void {
    this.reads.push(completion);
  }

  readOn(completion: ReadCompletion): void {
    this.longReads.push(completion);
  }

  hashKv(revision: number, completion: HashCompletion): void {
    this.hashes.push({ revision, completion });
  }

  defragment(completion: DefragmentCompletion): void {
    this.defragments.push(completion);
  }

  compactionSettled(done: () => void): void {
    this.compactions.push(done);
  }

  status(): MemberStatus {
    return {
      id: this.id,
      role: "follower",
      term: this.term,
      leader: this.leader,
      commit: LogIndex(41),
      applied: LogIndex(40),
      revision: this.state.revision,
      dbSizeBytes: 4096,
      dbSizeInUseBytes: 1024,
      isLearner: this.isLearner,
      isRefilling: false,
    };
  }

  alarms(): readonly Alarm[] {
    return this.raised;
  }

  members(): readonly MemberInfo[] {
    return this.list;
  }

  changeMembership(request: ChangeRequest, completion: ChangeCompletion): void {
    this.changes.push({ request, completion });
  }

  transferLeadership(to: MemberId, completion: TransferCompletion): void {
    this.transfers.push({ to, completion });
  }
}

const noLeases = (): never => {
  throw new Error("this member has no leases");
};

class FakeState implements StateReader {
  revision = Revision(9);
  readonly #member: FakeMember;

  constructor(member: FakeMember) {
    this.#member = member;
  }

  range(request: RangeRequest): RangeResult {
    this.#member.ranges.push(request);
    const { store } = this.#member;
    return store === undefined ? this.#member.rangeResult() : range(store, request);
  }

  beginRange(request: RangeRequest, bytesMax: number): RangeResult | LongRange {
    const { store } = this.#member;
    return store === undefined ? this.range(request) : beginRange(store, request, bytesMax);
  }

  stepRange(long: LongRange): LongRangeResult | undefined {
    const { store } = this.#member;
    if (store === undefined) throw new Error("no range is long here");
    return long.step(store);
  }

  readTxn(request: TxnRequest, bytesMax: number): TxnResult {
    this.#member.txns.push(request);
    const { store } = this.#member;
    if (store !== undefined) return readTxn(store, request, new AnswerBytes(bytesMax));
    return this.#member.txnResult();
  }
}

export const emptyRange: RangeResult = {
  kind: "range",
  revision: Revision(9),
  rows: [],
  more: false,
  count: 0,
};

export const emptyTxn: TxnResult = {
  kind: "txn",
  revision: Revision(9),
  succeeded: true,
  results: [],
};

export class FakeCall implements UnaryCall {
  answerBytesMax = Number.POSITIVE_INFINITY;
  cancelled = false;
  #onCancel: (() => void) | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** Answers and refusals, in order; a method must give exactly one. */
  readonly answers: (Buffer | EtcdError)[] = [];
  /** Of an answer in parts: the longest. */
  partBytesMax = 0;

  constructor(headers: Readonly<Record<string, string>> = {}) {
    this.headers = headers;
  }

  metadata(name: string): string | undefined {
    return this.headers[name];
  }

  onCancel(listener: () => void): void {
    if (!this.cancelled) this.#onCancel = listener;
  }

  cancel(): void {
    this.cancelled = true;
    this.#onCancel?.();
  }

  respond(message: Uint8Array): void {
    this.answers.push(Buffer.from(message));
  }

  respondInParts(parts: readonly Uint8Array[]): void {
    this.partBytesMax = Math.max(...parts.map((part) => part.length));
    this.respond(Buffer.concat(parts));
  }

  fail(error: EtcdError): void {
    this.answers.push(error);
  }
}
