// The door for messages: what cannot be true is dropped, then terms are compared, then duties called.
import { type LogIndex, type MemberId, noMember, type Term } from "../base/brand.ts";
import { termMax } from "./config.ts";
import type { Core, Leadership } from "./core.ts";
import { holdsLease, onTimeoutNow, onVote, onVoteReply, refuseStaleVote } from "./election.ts";
import { onAppend, onHeartbeat, onSnapshot, refuseStaleLeader } from "./follower.ts";
import { onAppendReply, onHeartbeatReply, proposeAsLeader } from "./leader.ts";
import { everyMember, membersMax } from "./membership.ts";
import type {
  ForwardMessage,
  Message,
  ReadIndexMessage,
  ReadIndexReplyMessage,
} from "./message.ts";
import type { SnapshotMeta } from "./types.ts";

export function step(core: Core, message: Message): void {
  if (!plausible(core, message)) return;
  if (message.kind === "forward") onForward(core, message);
  else if (message.kind === "readIndex") onReadIndex(core, message);
  else if (message.term < core.term) onStaleTerm(core, message);
  else if (message.term === core.term || adoptTerm(core, message)) dispatch(core, message);
}

/** Numbers are numbers, and the message is for us; whether it is true is judged later. */
function plausible(core: Core, message: Message): boolean {
  const { from, to, term, kind } = message;
  if (to !== core.id || from === core.id || from === noMember) return false;
  if (kind === "forward" || kind === "readIndex") return true;
  return isTerm(term) && term > 0 && term <= termMax && plausibleBody(message);
}

function plausibleBody(message: Message): boolean {
  switch (message.kind) {
    case "append":
      return areIndexes(message.prevIndex, message.commit) && isTerm(message.prevTerm);
    case "appendReply":
      return areIndexes(message.index, message.hintIndex) && isTerm(message.hintTerm);
    case "heartbeat":
      return areIndexes(message.commit) && isCount(message.readId);
    case "heartbeatReply":
      return isCount(message.readId);
    case "vote":
      return areIndexes(message.lastIndex) && isTerm(message.lastTerm);
    case "readIndexReply":
      return areIndexes(message.index) && isCount(message.requestId);
    case "snapshot":
      return plausibleSnapshot(message.meta) && message.meta.term <= message.term;
    default:
      return true;
  }
}

function plausibleSnapshot({ index, term, membership }: SnapshotMeta): boolean {
  const { voters, outgoing, learners } = membership;
  const bounded = voters.length + outgoing.length + learners.length <= 2 * membersMax;
  return areIndexes(index) && index > 0 && isTerm(term) && voters.length > 0 && bounded;
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
const isTerm = (term: Term): boolean => isCount(term);
const areIndexes = (...indexes: readonly LogIndex[]): boolean => indexes.every(isCount);

/**
 * A term above ours.
 * @returns false when the message is to be ignored.
 */
function adoptTerm(core: Core, message: Message): boolean {
  switch (message.kind) {
    case "vote":
      if (!message.transfer && holdsLease(core)) return false;
      // A pre-vote only asks; nobody's term changes.
      if (!message.pre) core.becomeFollower(message.term, noMember);
      return true;
    case "voteReply":
      if (!isMember(core, message.from)) return false;
      // Granted, it repeats the term that the pre-candidate asked about.
      if (!(message.pre && message.granted)) core.becomeFollower(message.term, noMember);
      return true;
    case "append":
    case "heartbeat":
    case "snapshot":
      core.becomeFollower(message.term, message.from);
      return true;
    default:
      // We never asked a stranger anything; an answer of its must not depose a leader.
      if (!isMember(core, message.from)) return false;
      core.becomeFollower(message.term, noMember);
      return true;
  }
}

const isMember = (core: Core, id: MemberId): boolean => everyMember(core.membership).includes(id);

/** A term below ours: who asks or leads there must learn of ours, the rest is history. */
function onStaleTerm(core: Core, message: Message): void {
  switch (message.kind) {
    case "vote":
      refuseStaleVote(core, message);
      return;
    case "append":
    case "heartbeat":
    case "snapshot":
      refuseStaleLeader(core, message.from);
      return;
    default:
      return;
  }
}

function dispatch(core: Core, message: Message): void {
  switch (message.kind) {
    case "append":
      onAppend(core, message);
      return;
    case "heartbeat":
      onHeartbeat(core, message);
      return;
    case "snapshot":
      onSnapshot(core, message);
      return;
    case "vote":
      onVote(core, message);
      return;
    case "voteReply":
      onVoteReply(core, message);
      return;
    case "timeoutNow":
      onTimeoutNow(core, message);
      return;
    case "readIndexReply":
      onReadIndexReply(core, message);
      return;
    default:
      if (core.leadership) dispatchToLeader(core, core.leadership, message);
  }
}

function dispatchToLeader(core: Core, leadership: Leadership, message: Message): void {
  if (message.kind === "appendReply") onAppendReply(core, leadership, message);
  else if (message.kind === "heartbeatReply") onHeartbeatReply(core, leadership, message);
}

/** A refusal is silent: the proposer's own deadline speaks for it. */
function onForward(core: Core, { from, datas }: ForwardMessage): void {
  if (core.leadership?.peers.has(from)) proposeAsLeader(core, core.leadership, datas);
}

function onReadIndex(core: Core, { from, requestId }: ReadIndexMessage): void {
  if (!isCount(requestId) || !core.leadership?.peers.has(from)) return;
  core.rounds.gather({ from, requestId });
}

function onReadIndexReply(core: Core, { requestId, index }: ReadIndexReplyMessage): void {
  if (core.forwarded.answered(requestId)) core.outbox.readStates.push({ requestId, index });
}
