// What the caller must do after a step. The order is the contract.
import type { LogIndex, MemberId, Term } from "../base/brand.ts";
import type { Message } from "./message.ts";
import type { Entry, HardState, Role, SnapshotMeta } from "./types.ts";

/** A linearizable read of this member may be served once `index` is applied. */
export interface ReadState {
  readonly requestId: number;
  readonly index: LogIndex;
}

/**
 * Names one write: its term and last index at the time, for logs, and a `write` number that alone
 * identifies it; term and index do not, since a log may be cut and grow to the same length again.
 */
export interface PersistMark {
  readonly term: Term;
  readonly index: LogIndex;
  /** Rises with every write that needs a sync; otherwise that of the last completed one. */
  readonly write: number;
}

/**
 * Duties of the caller, in this order:
 * 1. send `messages`; they promise nothing about the local disk, so they may leave before it;
 * 2. hand `snapshot`, `hardState`, `entries` and `refilled` to the log in one write; entries replace
 *    everything at or after the first one's index;
 * 3. when that write and all before it are durable, call `node.persisted(persist)` and only then
 *    send `messagesAfterPersist`; a Ready without a write still waits for the earlier ones;
 * 4. apply `committed` (they are durable here already) and call `node.applied(index)`;
 * 5. call `node.advance()` once 2 was handed over; the next Ready may come before 3 is done.
 */
export interface Ready {
  readonly messages: readonly Message[];
  readonly snapshot: SnapshotMeta | undefined;
  /** Present only when it changed. */
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
  /** The log holds again what was missing: the write takes its refill floor away. */
  readonly refilled: boolean;
  /** False when only `commit` moved: then the write needs no sync. */
  readonly mustSync: boolean;
  /** What to give back to `persisted`. */
  readonly persist: PersistMark;
  readonly messagesAfterPersist: readonly Message[];
  readonly committed: readonly Entry[];
  readonly readStates: readonly ReadState[];
  /** Read ids that will never be answered (leader lost or changed); ask again with a fresh id. */
  readonly readsLost: readonly number[];
}

/** How a proposal fared on its first step; being accepted is no promise of commitment. */
export type ProposeResult = "accepted" | "forwarded" | "noLeader" | "overloaded" | "transferring";

/** How a change of membership fared: "busy" while another is unfinished or the leader is new. */
export type MembershipResult = "accepted" | "notLeader" | "transferring" | "busy" | "invalid";

/** For status calls, logs and tests. */
export interface RaftStatus {
  readonly id: MemberId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: MemberId;
  readonly leader: MemberId;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly lastIndex: LogIndex;
}
