// Shapes of consensus that other rooms may know. See the Raft thesis (Ongaro, 2014).
import type { LogIndex, MemberId, Term } from "../base/brand.ts";

/** What an entry carries. The numbers are on disk and on the wire: never reuse one. */
export const EntryKind = {
  /** Opaque bytes for the state machine (a batch of commands). */
  normal: 0,
  /** Empty entry with which a new leader commits what came before (thesis 6.4). */
  barrier: 1,
  /** A change of membership, encoded by raft/membership.ts. */
  membership: 2,
} as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/** One entry of the log. `data` is never written to after the entry was made. */
export interface Entry {
  readonly term: Term;
  readonly index: LogIndex;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}

/** What must survive a crash beside the entries. */
export interface HardState {
  readonly term: Term;
  /** 0n: no vote in this term. */
  readonly vote: MemberId;
  readonly commit: LogIndex;
}

/** Voters and learners; `outgoing` is non-empty only within a joint change (thesis 4.3). */
export interface Membership {
  readonly voters: readonly MemberId[];
  readonly outgoing: readonly MemberId[];
  readonly learners: readonly MemberId[];
}

/** A membership and the entry since which it is in force; 0 for the one that a cluster began with. */
export interface Configuration {
  readonly index: LogIndex;
  readonly membership: Membership;
}

/** The state that a snapshot stands for: everything up to and including `index`. */
export interface SnapshotMeta {
  readonly index: LogIndex;
  readonly term: Term;
  readonly membership: Membership;
}

/**
 * The end of what a member may have acknowledged before its disk lost a part of it: until it holds
 * everything committed up to there again, it is no voter (see refill.ts).
 */
export interface RefillFloor {
  readonly index: LogIndex;
  readonly term: Term;
}

export type Role = "follower" | "preCandidate" | "candidate" | "leader";

export interface InitialState {
  readonly hardState: HardState;
  readonly membership: Membership;
  /** Present while something is missing that this member acknowledged. */
  readonly refill?: RefillFloor | undefined;
}

/**
 * Reads of the log that raft needs; all synchronous. The storage behind it may still be writing:
 * what was handed to it by a Ready is readable at once, durable only when `persisted` came back.
 */
export interface LogReader {
  /** State on disk at boot. */
  initialState(): InitialState;
  /** Lowest index that `entries` can give; snapshot index + 1. */
  firstIndex(): LogIndex;
  /** Highest index; firstIndex - 1 when empty. */
  lastIndex(): LogIndex;
  /** Term of the entry at `index`, also for firstIndex - 1; undefined outside of that. */
  term(index: LogIndex): Term | undefined;
  /**
   * Entries in [from, to), cut after `bytesMax` of data but never below one entry.
   * Throws a Mistake outside of [firstIndex, lastIndex + 1].
   */
  entries(range: { from: LogIndex; to: LogIndex; bytesMax: number }): readonly Entry[];
}
