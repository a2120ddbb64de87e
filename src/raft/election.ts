// Who leads: pre-vote, vote, and the leases that keep a live leader in place (thesis 3.4, 6.2, 9.6).
import { noMember, Term } from "../base/brand.ts";
import { termMax } from "./config.ts";
import type { Core } from "./core.ts";
import { becomeLeader } from "./leader.ts";
import { everyVoter } from "./membership.ts";
import type { TimeoutNowMessage, VoteMessage, VoteReplyMessage } from "./message.ts";
import { jointVote } from "./quorum.ts";

/** Patience of a member that does not lead. */
export function tickElection(core: Core): void {
  core.electionElapsed++;
  if (core.electionElapsed < core.electionTicks) return;
  // Who may not campaign stops believing in the leader all the same, or it would hold back others.
  if (mayCampaign(core)) campaign(core);
  else core.setLeader(noMember);
}

/** Starts an election, if this member may. */
export function campaign(core: Core): void {
  if (!mayCampaign(core)) return;
  if (core.config.preVote) beginPreVote(core);
  else beginVote(core, { transfer: false });
}

/** The leader hands over: no pre-vote, and leases of others do not count (thesis 3.10). */
export function onTimeoutNow(core: Core, message: TimeoutNowMessage): void {
  if (core.role !== "follower" || message.from !== core.leader || !mayCampaign(core)) return;
  beginVote(core, { transfer: true });
}

function mayCampaign(core: Core): boolean {
  if (core.role === "leader" || core.diskStalls) return false;
  return core.promotable && core.term < termMax;
}

function beginPreVote(core: Core): void {
  startTimer(core);
  core.role = "preCandidate";
  core.setLeader(noMember);
  core.votes.clear();
  core.votes.set(core.id, true);
  requestVotes(core, { pre: true, transfer: false });
  decide(core);
}

function beginVote(core: Core, { transfer }: { transfer: boolean }): void {
  startTimer(core);
  core.role = "candidate";
  core.enterTerm(Term(core.term + 1));
  core.vote = core.id;
  core.setLeader(noMember);
  core.votes.clear();
  requestVotes(core, { pre: false, transfer });
}

function startTimer(core: Core): void {
  core.electionElapsed = 0;
  core.drawElectionTicks();
}

function requestVotes(core: Core, { pre, transfer }: { pre: boolean; transfer: boolean }): void {
  const term = pre ? Term(core.term + 1) : core.term;
  const end = { lastIndex: core.log.last, lastTerm: core.log.lastTerm };
  for (const to of everyVoter(core.membership)) {
    if (to === core.id) continue;
    const message: VoteMessage = { kind: "vote", from: core.id, to, term, pre, transfer, ...end };
    // A vote asks in the name of a log and a term that a crash must not take back: granted to the
    // log of before, it would elect the shorter one of after.
    if (pre) core.send(message);
    else core.sendAfterPersist(message);
  }
}

/** The disk holds more: a candidate's vote for itself counts once it is there. */
export function countOwnVote(core: Core): void {
  if (core.role !== "candidate" || core.votes.has(core.id)) return;
  if (core.durability.term !== core.term || core.durability.vote !== core.id) return;
  core.votes.set(core.id, true);
  decide(core);
}

function decide(core: Core): void {
  const result = jointVote(core.votes, core.membership);
  if (result === "pending") return;
  if (result === "lost") core.becomeFollower(core.term, noMember);
  else if (core.role === "preCandidate") beginVote(core, { transfer: false });
  else becomeLeader(core);
}

/**
 * Does this member still believe in a leader? Then it ignores whoever asks for votes, even with a
 * higher term: one who cannot hear the leader must not depose it (thesis 4.2.3).
 */
export function holdsLease(core: Core): boolean {
  if (!core.config.checkQuorum) return false;
  if (core.promisedAtBoot && core.now < core.config.electionTicksMin) return true;
  if (core.leader === noMember) return false;
  return core.role === "leader" || core.electionElapsed < core.config.electionTicksMin;
}

/** A vote whose term is at least ours, and for a real vote just ours. */
export function onVote(core: Core, message: VoteMessage): void {
  const { from, pre, lastIndex, lastTerm } = message;
  const free = core.vote === noMember && core.leader === noMember;
  // Whether the candidate is a voter is for its own log to say: it may know more than ours.
  const mayVote = core.vote === from || free || (pre && message.term > core.term);
  // A log that lost its end does not know which candidate is behind it.
  const mayJudge = core.refill === undefined;
  const granted = mayJudge && mayVote && core.log.isUpToDate({ lastIndex, lastTerm });
  if (granted && !pre) {
    core.vote = from;
    core.electionElapsed = 0;
  }
  // A refusal carries our own term, from which a candidate left behind can catch up.
  const term = granted ? message.term : core.term;
  core.sendAfterPersist({ kind: "voteReply", from: core.id, to: from, term, pre, granted });
}

/** A candidate of an older term learns the present one; silence could lock it out for good. */
export function refuseStaleVote(core: Core, { from, pre }: VoteMessage): void {
  core.sendAfterPersist({
    kind: "voteReply",
    from: core.id,
    to: from,
    term: core.term,
    pre,
    granted: false,
  });
}

export function onVoteReply(core: Core, message: VoteReplyMessage): void {
  const asked = message.pre ? "preCandidate" : "candidate";
  if (core.role !== asked || core.votes.has(message.from)) return;
  // A granted pre-vote carries the term of the vote to come.
  if (message.term !== (message.pre && message.granted ? core.term + 1 : core.term)) return;
  core.votes.set(message.from, message.granted);
  decide(core);
}
