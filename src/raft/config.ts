// What a member is told at boot. Every bound of this room has its name here.
import { assert } from "../base/assert.ts";
import { type LogIndex, type MemberId, noMember } from "../base/brand.ts";
import type { Configuration } from "./types.ts";

export interface RaftConfig {
  readonly id: MemberId;
  /** Ticks of silence before a campaign are drawn anew from [min, 2 * min). At least 3. */
  readonly electionTicksMin: number;
  /** Ticks between two heartbeats, from 1, below `electionTicksMin`. */
  readonly heartbeatTicks: number;
  /** Data bytes of one append; a single larger entry still travels, alone. */
  readonly maxAppendBytes: number;
  /** Appends on their way to one peer, not yet answered. */
  readonly inflightMax: number;
  /** Data bytes on their way to one peer; one append may go beyond. */
  readonly inflightBytesMax: number;
  /** Proposed, not yet handed out as committed; beyond it a proposal is "overloaded". */
  readonly uncommittedBytesMax: number;
  /** Data bytes of `committed` in one Ready, never below one entry. Default 4 MiB. */
  readonly committedBytesMax?: number;
  /** Ask before raising the term (thesis 9.6). */
  readonly preVote: boolean;
  /** A leader without a quorum steps down; followers of a live leader ignore votes (thesis 6.2). */
  readonly checkQuorum: boolean;
  /** "lease" trusts the pace of ticks on all members, and needs `checkQuorum`. */
  readonly readMode: "readIndex" | "lease";
  /** Last index that the state machine holds at boot. */
  readonly applied: LogIndex;
  /**
   * The configurations that the state machine has seen, ascending; the last is the one in force at
   * `applied`. Missing or empty: the log's own base and all of its entries say it.
   */
  readonly configurations?: readonly Configuration[];
}

export const committedBytesMaxDefault = 4 * 1024 * 1024;

/** Reads waiting for a round, all members' together; one more is lost at once. */
export const readsPendingMax = 16_384;

/** Reads that a follower has asked its leader for; one more and the oldest is lost. */
export const readsForwardedMax = 1_024;

/** Highest term ever accepted from a peer: leaves room to count on, far beyond any real cluster. */
export const termMax = 2 ** 52;

/** @throws {Mistake} when a value makes no sense. */
export function checkConfig(config: RaftConfig): void {
  assert(config.id !== noMember, "a member has an id");
  assert(config.electionTicksMin >= 3, "electionTicksMin is at least 3");
  assert(config.heartbeatTicks >= 1, "heartbeatTicks is at least 1");
  assert(config.heartbeatTicks < config.electionTicksMin, "heartbeats outpace elections");
  assert(config.maxAppendBytes > 0, "maxAppendBytes is positive");
  assert(config.inflightMax > 0 && config.inflightBytesMax > 0, "the window is positive");
  assert(config.uncommittedBytesMax > 0, "uncommittedBytesMax is positive");
  assert(config.readMode !== "lease" || config.checkQuorum, "lease reads need checkQuorum");
}
