// Proposals that wait for their outcome, a batch per turn. A batch keeps its bytes until it is
// applied, so that it can be proposed again when a leader is lost: the applier skips repeats.
import { BatchBuilder, batchOrigin, type CommandKind, restampBatch } from "../apply/command.ts";
import type { Outcome } from "../apply/outcome.ts";
import type { MemberId } from "../base/brand.ts";
import {
  type EtcdError,
  errTimeout,
  errTimeoutLeaderFail,
  errTooManyRequests,
} from "../base/errors.ts";
import { overlapsAfterMs } from "./overlap.ts";
import type { ProposalCompletion } from "./service.ts";

/** One raft entry holds at most this much, unless a single command is larger. */
export const batchBytesMax = 1 << 20;
/**
 * Batches of this member under way. More callers make a batch larger instead of more batches: an idle
 * member answers at once, a busy one pays for a sync, a frame and a quorum round less often.
 */
export const batchesInFlightMax = 2;
/** While answers take long, as from far members, so many; see overlap.ts. */
export const batchesOverlappingMax = 16;
/** Handed to raft at once, unless a single batch is larger: all of it becomes one message to a leader. */
export const proposalBytesMax = 8 << 20;
/** Unanswered commands above this are refused. */
export const pendingBytesMax = 128 << 20;
export const pendingCommandsMax = 200_000;

interface Batch {
  sequence: number;
  data: Uint8Array;
  readonly completions: readonly ProposalCompletion[];
  /** Of the commands' bodies, for the bound. */
  readonly bodyBytes: number;
  readonly bornTick: number;
  sentTick: number;
  resendTicks: number;
}

/** Where batches go; the result of raft's first step does not matter: what is lost is sent again. */
export type ProposeBatches = (datas: readonly Uint8Array[]) => void;

export class Pending {
  readonly #self: MemberId;
  readonly #incarnation: number;
  readonly #waitTicksMax: number;
  readonly #resendTicksMin: number;
  readonly #builder = new BatchBuilder();
  #collected: ProposalCompletion[] = [];
  /** Sealed in this turn, not yet proposed. */
  #sealed: Batch[] = [];
  /** Proposed, by sequence; iteration order is order of sequence. */
  readonly #waiting = new Map<number, Batch>();
  #sequence = 0;
  #bodyBytes = 0;
  #openBodyBytes = 0;
  /** When the first command of the open batch came. */
  #openTick = 0;
  #commands = 0;
  #tick = 0;
  #electionTick = Number.NEGATIVE_INFINITY;

  #failedCount = 0;
  readonly #onBatch: ((commands: number) => void) | undefined;
  readonly #onOutcome: ((commands: number, waitedTicks: number) => void) | undefined;

  constructor(options: {
    onBatch?: (commands: number) => void;
    /** Commands are about to be answered, so long after the first of them came. */
    onOutcome?: (commands: number, waitedTicks: number) => void;
    self: MemberId;
    incarnation: number;
    waitTicksMax: number;
    resendTicksMin: number;
  }) {
    this.#onBatch = options.onBatch;
    this.#onOutcome = options.onOutcome;
    this.#self = options.self;
    this.#incarnation = options.incarnation;
    this.#waitTicksMax = options.waitTicksMax;
    this.#resendTicksMin = options.resendTicksMin;
  }

  /** Commands that got no outcome in time, in this life. */
  get failedCount(): number {
    return this.#failedCount;
  }

  /** Commands without an outcome yet. */
  get commands(): number {
    return this.#commands;
  }

  /** Adds a command to the batch of this turn; refuses within the call above the bounds. */
  add(kind: CommandKind, body: Uint8Array, completion: ProposalCompletion): void {
    if (this.#bodyBytes + body.length > pendingBytesMax || this.#commands >= pendingCommandsMax) {
      completion.onRefused(errTooManyRequests);
      return;
    }
    if (this.#builder.count > 0 && this.#builder.byteLength + body.length > batchBytesMax)
      this.#seal();
    if (this.#builder.count === 0) this.#openTick = this.#tick;
    this.#builder.add(kind, body);
    this.#collected.push(completion);
    this.#commands++;
    this.#bodyBytes += body.length;
    this.#openBodyBytes += body.length;
  }

  /** Something was not proposed yet. */
  get hasOpen(): boolean {
    return this.#sealed.length > 0 || this.#builder.count > 0;
  }

  /** Of commands that were not proposed yet. */
  get openBytes(): number {
    return this.#openBodyBytes;
  }

  /** Of commands that were proposed and have no outcome. */
  get underWayBytes(): number {
    return this.#bodyBytes - this.#openBodyBytes;
  }

  /**
   * True when `proposeTurn` would propose something now.
   *
   * @param sinceMs the last round began.
   */
  canPropose(sinceMs: number): boolean {
    return this.#sealed.length > 0 || (this.#builder.count > 0 && this.#hasRoom(sinceMs));
  }

  /** Ends the open batch, unless enough are under way, and proposes all that is sealed. */
  proposeTurn(propose: ProposeBatches, sinceMs = 0): void {
    if (this.#builder.count > 0 && this.#hasRoom(sinceMs)) this.#seal();
    if (this.#sealed.length === 0) return;
    const batches = this.#sealed;
    this.#sealed = [];
    for (const batch of batches) this.#waiting.set(batch.sequence, batch);
    proposeInPieces(batches, propose);
  }

  /**
   * The batch of an applied entry if it waits here, else undefined. It waits no longer.
   * `data` may be any member's batch.
   */
  take(data: Uint8Array): readonly ProposalCompletion[] | undefined {
    if (this.#waiting.size === 0) return undefined;
    const batch = this.#find(data);
    if (batch === undefined) return undefined;
    this.#waiting.delete(batch.sequence);
    this.#uncount(batch);
    this.#onOutcome?.(batch.completions.length, this.#tick - batch.bornTick);
    return batch.completions;
  }

  /** True when the outcome of this entry's commands is awaited here. */
  awaits(data: Uint8Array): boolean {
    return this.#waiting.size > 0 && this.#find(data) !== undefined;
  }

  /**
   * The applier skipped this batch although it was never applied (a later one overtook it): it will
   * never be, so it gets a new sequence and is proposed again.
   */
  renew(data: Uint8Array): void {
    const batch = this.#find(data);
    if (batch === undefined) return;
    this.#waiting.delete(batch.sequence);
    this.#sequence++;
    batch.sequence = this.#sequence;
    batch.data = restampBatch(batch.data, batch.sequence);
    batch.sentTick = this.#tick;
    this.#sealed.push(batch);
  }

  /**
   * The state was replaced by one that holds batches of this member up to `sequence`: what became of
   * those, or whether they were skipped, can no longer be told. Later ones go on waiting.
   */
  onStateReplaced(
    last: { readonly incarnation: number; readonly sequence: number } | undefined,
  ): void {
    if (last?.incarnation !== this.#incarnation) return;
    for (const batch of this.#waiting.values()) {
      if (batch.sequence > last.sequence) continue;
      this.#waiting.delete(batch.sequence);
      this.#uncount(batch);
      refuseAll(batch.completions, errTimeoutLeaderFail);
    }
  }

  /** A new leader is known: whatever was proposed may have died with the old one. */
  onLeader(propose: ProposeBatches): void {
    this.#electionTick = this.#tick;
    if (this.#waiting.size > 0) this.#proposeAgain(propose);
  }

  /** One tick passed: late batches are refused, silent ones proposed again, oldest first. */
  tick(propose: ProposeBatches): void {
    this.#tick++;
    let resend = false;
    for (const batch of this.#waiting.values()) {
      if (this.#isLate(batch.bornTick)) {
        this.#waiting.delete(batch.sequence);
        this.#refuseLate(batch);
      } else if (this.#tick - batch.sentTick >= batch.resendTicks) {
        resend = true;
      }
    }
    // Commands that found no room among the batches under way wait no longer than the others.
    if (this.#builder.count > 0 && this.#isLate(this.#openTick))
      this.#refuseLate(this.#closeOpen());
    if (resend) this.#proposeAgain(propose);
  }

  /** Refuses everything with `error`, also what was not proposed yet. */
  refuseAll(error: EtcdError): void {
    if (this.#builder.count > 0) this.#seal();
    const batches = [...this.#waiting.values(), ...this.#sealed];
    this.#waiting.clear();
    this.#sealed = [];
    this.#bodyBytes = 0;
    this.#commands = 0;
    for (const batch of batches) refuseAll(batch.completions, error);
  }

  #hasRoom(sinceMs: number): boolean {
    if (this.#waiting.size < batchesInFlightMax) return true;
    if (this.#waiting.size >= batchesOverlappingMax) return false;
    return sinceMs >= overlapsAfterMs(this.#openBodyBytes, this.underWayBytes);
  }

  #seal(): void {
    this.#sealed.push(this.#closeOpen());
  }

  #closeOpen(): Batch {
    this.#onBatch?.(this.#collected.length);
    this.#sequence++;
    const origin = {
      member: this.#self,
      incarnation: this.#incarnation,
      sequence: this.#sequence,
    };
    const batch = {
      sequence: this.#sequence,
      data: this.#builder.finish(origin),
      completions: this.#collected,
      bodyBytes: this.#openBodyBytes,
      bornTick: this.#openTick,
      sentTick: this.#tick,
      resendTicks: this.#resendTicksMin,
    };
    this.#collected = [];
    this.#openBodyBytes = 0;
    return batch;
  }

  #find(data: Uint8Array): Batch | undefined {
    const origin = batchOrigin(data);
    if (origin.member !== this.#self || origin.incarnation !== this.#incarnation) return undefined;
    return this.#waiting.get(origin.sequence);
  }

  #isLate(bornTick: number): boolean {
    return this.#tick - bornTick >= this.#waitTicksMax;
  }

  #refuseLate(batch: Batch): void {
    this.#failedCount += batch.completions.length;
    this.#uncount(batch);
    refuseAll(batch.completions, this.#timeoutError(batch));
  }

  #uncount(batch: Batch): void {
    this.#commands -= batch.completions.length;
    this.#bodyBytes -= batch.bodyBytes;
  }

  #proposeAgain(propose: ProposeBatches): void {
    const batches = [...this.#waiting.values()];
    for (const batch of batches) {
      batch.sentTick = this.#tick;
      batch.resendTicks *= 2;
    }
    proposeInPieces(batches, propose);
  }

  #timeoutError(batch: Batch): EtcdError {
    return batch.bornTick <= this.#electionTick ? errTimeoutLeaderFail : errTimeout;
  }
}

function proposeInPieces(batches: readonly Batch[], propose: ProposeBatches): void {
  let piece: Uint8Array[] = [];
  let bytes = 0;
  for (const { data } of batches) {
    if (piece.length > 0 && bytes + data.length > proposalBytesMax) {
      propose(piece);
      piece = [];
      bytes = 0;
    }
    piece.push(data);
    bytes += data.length;
  }
  if (piece.length > 0) propose(piece);
}

/** Hands each caller its outcome; positions agree. */
export function answerAll(
  completions: readonly ProposalCompletion[],
  outcomes: readonly Outcome[],
): void {
  for (let i = 0; i < completions.length; i++) {
    const outcome = outcomes[i];
    if (outcome !== undefined) completions[i]?.onOutcome(outcome);
  }
}

function refuseAll(completions: readonly ProposalCompletion[], error: EtcdError): void {
  for (const completion of completions) completion.onRefused(error);
}
