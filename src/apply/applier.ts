// Committed entries in, outcomes out. Everything here follows from the log alone, so that members that
// applied the same entries hold the same state. Whole images of the state (image.ts) join here.
import { assert } from "../base/assert.ts";
import { LogIndex, type MemberId, type Revision, Term } from "../base/brand.ts";
import {
  EtcdError,
  errCorrupt,
  errLeaseNotFound,
  errMalformed,
  errMemberNotFound,
  errUnknownAlarm,
} from "../base/errors.ts";
import { Lessor } from "../lease/lessor.ts";
import { AnswerBytes } from "../mvcc/answerBytes.ts";
import type { HashRun } from "../mvcc/hash.ts";
import { Store, type StoreOptions } from "../mvcc/store.ts";
import {
  decodeCompactionRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeTxnRequest,
} from "../proto/decodeRequests.ts";
import type {
  CompactionRequest,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  TxnRequest,
} from "../proto/kv.ts";
import type { LeaseGrantRequest, LeaseIdRequest } from "../proto/lease.ts";
import { decodeLeaseGrantRequest, decodeLeaseIdRequest } from "../proto/leaseCodec.ts";
import { type AlarmRequest, decodeAlarmRequest, isKnownAlarm } from "../proto/maintenanceCodec.ts";
import { PlainPut } from "../proto/plainPut.ts";
import { Malformed, viewOf } from "../proto/reader.ts";
import { sendBytesMax } from "../proto/writer.ts";
import { type Entry, EntryKind, type Membership } from "../raft/types.ts";
import { type Engine, type EngineBatch, Table } from "../storage/engine.ts";
import { Alarms } from "./alarms.ts";
import { ApplyTally } from "./applyTally.ts";
import { type BatchOrigin, batchOrigin, CommandKind, forEachCommand } from "./command.ts";
import { type Command, firstRefusal, type Gate, type Gates, orderedGates } from "./gates.ts";
import { type Checkpoints, decodeCheckpoints, decodeExpiry, type Expiry } from "./leaseDuties.ts";
import { checkpoint, expire, grant, grantRefusal, revoke } from "./leases.ts";
import { beginRange, type LongRange } from "./longRange.ts";
import { type ChangeContext, decodeAttributes } from "./memberRecord.ts";
import { Members, type StageRow } from "./members.ts";
import { Origins } from "./origins.ts";
import type { LongRangeResult, Outcome, RangeResult, TxnResult } from "./outcome.ts";
import { range } from "./range.ts";
import type { ApplyTimes } from "./slowCommand.ts";
import { readTxn, txn } from "./txn.ts";
import { deleteRange, keyRefusal, leaseRefusal, put, putPlain } from "./writes.ts";

export interface ApplierOptions extends StoreOptions {
  readonly gates?: Gates;
  readonly tally?: ApplyTally;
  /** Takes the time of each command but plain puts, which have no way to be slow by themselves. */
  readonly times?: ApplyTimes;
}

export class Applier {
  /** The key space; others read it and listen to its changes, but only the applier writes. */
  readonly store: Store;
  /** Who is a member, and what is known about each. */
  readonly members: Members;
  /** Which leases exist; written by the applier alone. */
  readonly lessor: Lessor;
  readonly alarms: Alarms;
  readonly #origins: Origins;
  readonly #ownGates: Gates;
  /** None most of the time: then nothing is judged. */
  #gates: readonly Gate[];
  readonly #tally: ApplyTally;
  readonly #times: ApplyTimes | undefined;
  readonly #plain = new PlainPut();
  #applied: LogIndex;
  #term: Term;

  readonly #stage: StageRow = (table, key, value) => this.store.stage(table, key, value);

  private constructor(
    store: Store,
    parts: {
      members: Members;
      lessor: Lessor;
      alarms: Alarms;
      origins: Origins;
      gates: Gates;
      tally: ApplyTally;
      times: ApplyTimes | undefined;
    },
  ) {
    const { members, lessor, alarms, origins, gates } = parts;
    this.#tally = parts.tally;
    this.#times = parts.times;
    this.store = store;
    this.members = members;
    this.lessor = lessor;
    this.alarms = alarms;
    this.#origins = origins;
    this.#ownGates = gates;
    this.#gates = orderedGates({ ...gates, ...alarms.gates });
    this.#applied = store.savedApplied.index;
    this.#term = store.savedApplied.term;
  }

  /** Takes up the state as of the engine's last batch. */
  static open(engine: Engine, options: ApplierOptions = {}): Applier {
    // First the leases: the store attaches keys to them.
    const lessor = Lessor.load(engine);
    const store = Store.open(engine, { leases: lessor, ...options });
    const members = Members.load(engine);
    const origins = Origins.load(engine, "origin");
    const alarms = Alarms.load(engine);
    const tally = options.tally ?? new ApplyTally();
    const { times, gates = {} } = options;
    return new Applier(store, { members, lessor, alarms, origins, gates, tally, times });
  }

  /** The last batch of this member that was applied. */
  lastBatchOf(member: MemberId): BatchOrigin | undefined {
    return this.#origins.last(member);
  }

  /** Index of the last entry whose changes are visible. */
  get applied(): LogIndex {
    return this.#applied;
  }

  get appliedTerm(): Term {
    return this.#term;
  }

  get revision(): Revision {
    return this.store.revision;
  }

  /** Applied bytes that the engine does not hold. */
  get unflushedBytes(): number {
    return this.store.pendingBytes;
  }

  /** Rows that the next batch would write or delete. */
  get unflushedRows(): number {
    return this.store.waitingRows;
  }

  /** @throws {EtcdError} compacted or future revision. */
  range(request: RangeRequest): RangeResult {
    return range(this.store, request);
  }

  /** The answer, or what it is to be read with in steps. @throws {EtcdError} as range; more than `bytesMax`. */
  beginRange(request: RangeRequest, bytesMax: number): RangeResult | LongRange {
    return beginRange(this.store, request, bytesMax);
  }

  /** @returns the answer, in the step that completes it. */
  stepRange(range: LongRange): LongRangeResult | undefined {
    return range.step(this.store);
  }

  /** A txn of ranges only. @throws {EtcdError} compacted or future revision; more than `bytesMax`. */
  readTxn(request: TxnRequest, bytesMax = sendBytesMax): TxnResult {
    return readTxn(this.store, request, new AnswerBytes(Math.min(bytesMax, sendBytesMax)));
  }

  /**
   * Applies the next entry. One at or below `applied` is ignored.
   *
   * @returns an outcome per command when they are wanted. Undefined otherwise, and when the batch was
   *          skipped because a newer one of its origin was applied before.
   */
  apply(entry: Entry, wanted: boolean): readonly Outcome[] | undefined {
    if (!this.#advance(entry) || entry.kind !== EntryKind.normal) return undefined;
    if (!this.#origins.advance(batchOrigin(entry.data))) return undefined;
    const outcomes: Outcome[] = [];
    const { data } = entry;
    // Gates judge whole requests.
    const arePlain = this.#gates.length === 0;
    forEachCommand(data, (kind, from, to) => {
      const leaseCount = this.lessor.count;
      const isPlain = arePlain && kind === CommandKind.put && this.#plain.read(data, from, to);
      const outcome = isPlain
        ? putPlain(this.store, this.#plain, wanted)
        : this.#timed(kind, viewOf(data, from, to - from), wanted);
      this.#tally.note(kind, outcome, Math.max(0, leaseCount - this.lessor.count));
      if (outcome !== undefined && wanted) outcomes.push(outcome);
    });
    return wanted ? outcomes : undefined;
  }

  /** Applies the entry with which raft's membership became `membership`. */
  applyMembership(entry: Entry, change: ChangeContext & { readonly membership: Membership }): void {
    if (!this.#advance(entry)) return;
    const { index } = entry;
    this.members.apply({ index, membership: change.membership }, change, this.#stage);
  }

  /** Takes note of an entry that means nothing to the state machine. */
  skip(entry: Entry): void {
    this.#advance(entry);
  }

  /** Everything that changed since the last batch; undefined for nothing. One at a time. */
  takeBatch(): EngineBatch | undefined {
    this.#origins.takeChanged((key, value) => this.store.stage(Table.meta, key, value));
    this.members.takeChanged(this.#stage);
    return this.store.takeBatch({ index: this.#applied, term: this.#term });
  }

  /** The batch taken last is in the engine. */
  batchWritten(): void {
    this.store.flushed();
  }

  /** Hash over history up to `revision` (0: now). @throws {EtcdError} compacted or future revision. */
  hash(revision: number): HashRun {
    return this.store.hash(revision);
  }

  /** A bounded step of removing compacted rows. @returns true when another has something to do now. */
  sweep(unitsMax: number): boolean {
    return this.store.sweep(unitsMax);
  }

  /** True when the rows of the last compaction are gone from the engine. */
  get compactionSettled(): boolean {
    return this.store.compactionSettled;
  }

  #advance(entry: Entry): boolean {
    if (entry.index <= this.#applied) return false;
    assert(entry.index === this.#applied + 1, `entry ${entry.index} after ${this.#applied}`);
    this.#applied = LogIndex(entry.index);
    this.#term = Term(entry.term);
    return true;
  }

  #timed(kind: CommandKind, body: Uint8Array, wanted: boolean): Outcome | undefined {
    const times = this.#times;
    if (times === undefined) return this.#execute(kind, body, wanted);
    const startMs = times.clock.nowMs();
    const outcome = this.#execute(kind, body, wanted);
    const tookMs = times.clock.nowMs() - startMs;
    if (tookMs > times.slowMsMin) times.onSlow({ kind, body, outcome, tookMs });
    return outcome;
  }

  #execute(kind: CommandKind, body: Uint8Array, wanted: boolean): Outcome | undefined {
    switch (kind) {
      case CommandKind.put:
        return this.#put(decodePutRequest(body), wanted);
      case CommandKind.deleteRange:
        return this.#deleteRange(decodeDeleteRangeRequest(body), wanted);
      case CommandKind.txn:
        return this.#txn(decodeTxnRequest(body), wanted);
      case CommandKind.compact:
        return this.#compact(decodeCompactionRequest(body));
      case CommandKind.leaseGrant:
        return this.#grant(decodeLeaseGrantRequest(body));
      case CommandKind.leaseRevoke:
        return this.#revoke(decodeLeaseIdRequest(body));
      case CommandKind.leaseCheckpoint:
        return this.#checkpoint(decodeCheckpoints(body));
      case CommandKind.leaseExpire:
        return this.#expire(decodeExpiry(body));
      case CommandKind.memberPublish:
        return this.#publish(body);
      case CommandKind.alarm:
        return this.#alarm(decodeAlarmRequest(body));
      default:
        return refused(errMalformed(`unknown command ${kind}`));
    }
  }

  #refusal(command: Command): EtcdError | undefined {
    return this.#gates.length === 0 ? undefined : firstRefusal(this.#gates, command);
  }

  #put(request: PutRequest | Malformed, wanted: boolean): Outcome | undefined {
    if (request instanceof Malformed) return refused(errMalformed(request.why));
    const { store } = this;
    const error =
      this.#refusal({ kind: "put", request }) ??
      leaseRefusal(store, request) ??
      keyRefusal(store, request);
    if (error !== undefined) return refused(error);
    store.write.begin();
    const result = put(store, request, wanted);
    store.write.end();
    return result;
  }

  #deleteRange(request: DeleteRangeRequest | Malformed, wanted: boolean): Outcome | undefined {
    if (request instanceof Malformed) return refused(errMalformed(request.why));
    const error = this.#refusal({ kind: "deleteRange", request });
    if (error !== undefined) return refused(error);
    this.store.write.begin();
    const result = deleteRange(this.store, request, wanted);
    this.store.write.end();
    return result;
  }

  #txn(request: TxnRequest | Malformed, wanted: boolean): Outcome | undefined {
    if (request instanceof Malformed) return refused(errMalformed(request.why));
    const error = this.#refusal({ kind: "txn", request });
    return error === undefined ? txn(this.store, request, wanted) : refused(error);
  }

  #grant(request: LeaseGrantRequest | Malformed): Outcome {
    if (request instanceof Malformed) return refused(errMalformed(request.why));
    const error = this.#refusal({ kind: "leaseGrant", request }) ?? grantRefusal(this, request);
    return error === undefined ? grant(this, request) : refused(error);
  }

  #revoke(request: LeaseIdRequest | Malformed): Outcome {
    if (request instanceof Malformed) return refused(errMalformed(request.why));
    const { id } = request;
    const exists = this.lessor.exists(id);
    const keys = this.#gates.length > 0 && exists ? this.lessor.keysOf(id) : [];
    const error = this.#refusal({ kind: "leaseRevoke", id, keys });
    if (error !== undefined) return refused(error);
    return exists ? revoke(this, id) : refused(errLeaseNotFound);
  }

  #checkpoint(checkpoints: Checkpoints | undefined): Outcome {
    if (checkpoints === undefined) return refused(errMalformed("not a checkpoint of leases"));
    return checkpoint(this, checkpoints);
  }

  #expire(expiry: Expiry | undefined): Outcome {
    if (expiry === undefined) return refused(errMalformed("not an expiry of leases"));
    // Its leader tries again: they end when the alarm is over.
    if (this.alarms.isCorrupt) return refused(errCorrupt);
    return expire(this, expiry);
  }

  #publish(body: Uint8Array): Outcome {
    const member = decodeAttributes(body);
    if (member === undefined) return refused(errMalformed("not a member's attributes"));
    const known = this.members.publish(member, this.#stage);
    const { revision } = this;
    return known ? { kind: "memberPublished", revision } : refused(errMemberNotFound);
  }

  #alarm(request: AlarmRequest | Malformed): Outcome {
    if (request instanceof Malformed) return refused(errMalformed(request.why));
    if (!isKnownAlarm(request)) return refused(errUnknownAlarm);
    const alarms = this.alarms.apply(request, this.#stage);
    if (alarms instanceof EtcdError) return refused(alarms);
    this.#gates = orderedGates({ ...this.#ownGates, ...this.alarms.gates });
    return { kind: "alarm", revision: this.revision, alarms };
  }

  #compact(request: CompactionRequest | Malformed): Outcome {
    if (request instanceof Malformed) return refused(errMalformed(request.why));
    const error =
      this.#refusal({ kind: "compact", request }) ?? this.store.compact(request.revision);
    return error === undefined
      ? { kind: "compact", revision: this.store.revision }
      : refused(error);
  }
}

const refused = (error: EtcdError): Outcome => ({ kind: "refused", error });
