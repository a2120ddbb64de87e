// Pure arithmetic over voters; knows neither messages nor time.
import { unreachable } from "../base/assert.ts";
import { LogIndex, type MemberId } from "../base/brand.ts";
import type { Membership } from "./types.ts";

/**
 * Highest log index that a majority of `voters` has stored.
 *
 * @param acked  last index each member reported; a silent member counts as 0.
 * @param voters members of one configuration, without repeats, any order.
 * @returns an index, 0 if no majority reported; the largest safe integer for no voters,
 *          so that an empty half of a joint configuration never holds back the other.
 * @see Raft thesis, section 3.5 (commit rule) and 4.3 (joint consensus).
 */
export function majorityIndex(
  acked: ReadonlyMap<MemberId, LogIndex>,
  voters: readonly MemberId[],
): LogIndex {
  return LogIndex(majorityNumber(acked, voters));
}

/** Highest index stored by a majority of both halves (thesis 4.3). */
export function jointIndex(
  acked: ReadonlyMap<MemberId, LogIndex>,
  { voters, outgoing }: Membership,
): LogIndex {
  return LogIndex(jointNumber(acked, { voters, outgoing }));
}

/** The same rule for any counter that members acknowledge, such as read rounds. */
export function jointNumber(
  acked: ReadonlyMap<MemberId, number>,
  { voters, outgoing }: Pick<Membership, "voters" | "outgoing">,
): number {
  const incoming = majorityNumber(acked, voters);
  return outgoing.length === 0 ? incoming : Math.min(incoming, majorityNumber(acked, outgoing));
}

export type VoteResult = "won" | "lost" | "pending";

/**
 * Outcome of an election among `voters`.
 *
 * @param votes answers so far; those of strangers do not count.
 * @returns "won" for no voters, as an empty half decides nothing.
 */
export function voteResult(
  votes: ReadonlyMap<MemberId, boolean>,
  voters: readonly MemberId[],
): VoteResult {
  let granted = 0;
  let refused = 0;
  for (const id of voters) {
    const vote = votes.get(id);
    if (vote === true) granted++;
    if (vote === false) refused++;
  }
  const majority = majorityOf(voters);
  if (voters.length === 0 || granted >= majority) return "won";
  return voters.length - refused < majority ? "lost" : "pending";
}

/** An election is won in both halves or not at all (thesis 4.3). */
export function jointVote(
  votes: ReadonlyMap<MemberId, boolean>,
  { voters, outgoing }: Membership,
): VoteResult {
  const incoming = voteResult(votes, voters);
  const leaving = voteResult(votes, outgoing);
  if (incoming === "lost" || leaving === "lost") return "lost";
  return incoming === "won" && leaving === "won" ? "won" : "pending";
}

const majorityOf = (voters: readonly MemberId[]): number => Math.floor(voters.length / 2) + 1;

function majorityNumber(acked: ReadonlyMap<MemberId, number>, voters: readonly MemberId[]): number {
  if (voters.length === 0) return Number.MAX_SAFE_INTEGER;
  // By hand: they are few, and every answer of a peer asks for this.
  const ascending: number[] = [];
  for (const id of voters) {
    const number = acked.get(id) ?? 0;
    let at = ascending.length;
    for (let below = ascending[at - 1]; below !== undefined && below > number; ) {
      ascending[at--] = below;
      below = ascending[at - 1];
    }
    ascending[at] = number;
  }
  const majority = majorityOf(voters);
  return ascending[voters.length - majority] ?? unreachable("a majority exceeds the voters");
}
