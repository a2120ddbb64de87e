// Obeying a leader: appends, heartbeats, snapshots (thesis 3.5, 5).
import { LogIndex, type MemberId, noMember, Term } from "../base/brand.ts";
import type { Core } from "./core.ts";
import type { AppendMessage, HeartbeatMessage, SnapshotMessage } from "./message.ts";
import { heedCommit } from "./refill.ts";
import { type Entry, EntryKind } from "./types.ts";

/**
 * Somebody leads in our term.
 * @returns false for a second leader of one term, which cannot be.
 */
export function followLeader(core: Core, leader: MemberId): boolean {
  if (core.role === "leader") return false;
  const followsAnother = core.leader !== noMember && core.leader !== leader;
  if (core.role === "follower" && followsAnother) return false;
  if (core.role !== "follower" || core.leader !== leader) core.becomeFollower(core.term, leader);
  core.electionElapsed = 0;
  return true;
}

export function onAppend(core: Core, message: AppendMessage): void {
  if (!wellFormed(message) || !followLeader(core, message.from)) return;
  const { log } = core;
  // What is committed agrees with every leader to come, so only the rest is compared.
  const known = Math.max(0, Math.min(log.commit - message.prevIndex, message.entries.length));
  if (message.prevIndex + known < log.commit) {
    accept(core, message.from, log.commit);
    return;
  }
  if (known === 0 && !log.matches({ index: message.prevIndex, term: message.prevTerm })) {
    reject(core, message);
    return;
  }
  merge(core, message.entries, known);
  const last = LogIndex(message.prevIndex + message.entries.length);
  const moved = log.commitTo(LogIndex(Math.min(message.commit, last)));
  // An append that told a commit needs no answer, if ours is on its way. Should that be lost, the
  // leader asks again after a heartbeat, with the same commit, and is answered.
  if (moved && message.entries.length === 0 && last <= core.acceptedIndex) return;
  accept(core, message.from, last);
}

/** Contiguous, terms in order and not from the future; the sender may be anybody. */
function wellFormed({ entries, prevIndex, prevTerm, term }: AppendMessage): boolean {
  if (prevTerm > term) return false;
  let before = prevTerm;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i];
    if (entry === undefined || entry.index !== prevIndex + 1 + i) return false;
    if (!(entry.term >= before && entry.term <= term && entry.term > 0)) return false;
    if (!(entry.kind >= EntryKind.normal && entry.kind <= EntryKind.membership)) return false;
    before = entry.term;
  }
  return true;
}

/** Puts entries after the first `known` into the log, from the first that is new or different. */
function merge(core: Core, entries: readonly Entry[], known: number): void {
  const { log } = core;
  let same = known;
  for (; same < entries.length; same++) {
    const entry = entries[same];
    if (entry === undefined || !log.matches(entry)) break;
  }
  const first = entries[same];
  if (first === undefined) return;
  const fresh = same === 0 ? entries : entries.slice(same);
  if (first.index <= log.last) {
    core.durability.cut(LogIndex(first.index - 1));
    core.configurations.cut(LogIndex(first.index - 1));
  }
  log.replaceFrom(fresh);
  for (const entry of fresh) core.configurations.append(entry);
}

/** Several accepts of one turn become one: the last says it all. */
function accept(core: Core, to: MemberId, index: LogIndex): void {
  core.acceptedIndex = LogIndex(Math.max(core.acceptedIndex, index));
  const waiting = core.outbox.afterPersist;
  const last = waiting.at(-1);
  if (last?.kind === "appendReply" && !last.rejected && last.to === to && last.term === core.term) {
    if (last.index >= index) return;
    waiting.pop();
  }
  core.sendAfterPersist({
    kind: "appendReply",
    from: core.id,
    to,
    term: core.term,
    rejected: false,
    index,
    hintIndex: LogIndex(0),
    hintTerm: Term(0),
  });
}

/**
 * Skips our whole run of terms above the leader's: in none of them can the logs agree. With the
 * term found there the leader skips its own in turn, so a probe costs one round per term at most.
 */
function reject(core: Core, { from, prevIndex, prevTerm }: AppendMessage): void {
  const hint = core.log.lastAtOrBelow({ index: prevIndex, term: prevTerm });
  core.sendAfterPersist({
    kind: "appendReply",
    from: core.id,
    to: from,
    term: core.term,
    rejected: true,
    index: prevIndex,
    hintIndex: hint.index,
    hintTerm: hint.term,
  });
}

export function onHeartbeat(core: Core, { from, commit, readId }: HeartbeatMessage): void {
  if (!followLeader(core, from)) return;
  // The leader names no more than we acknowledged; one that names more is wrong about this log.
  if (core.refill !== undefined) heedCommit(core, from, commit);
  else if (commit <= core.log.last) core.log.commitTo(commit);
  core.send({ kind: "heartbeatReply", from: core.id, to: from, term: core.term, readId });
}

/**
 * The chunks of `meta` are here, complete: the log begins anew behind it. Told twice, or told what
 * the log has already, it changes nothing.
 */
export function onSnapshot(core: Core, { from, meta }: SnapshotMessage): void {
  if (!followLeader(core, from)) return;
  const { log } = core;
  if (meta.index > log.commit && log.matches(meta)) log.commitTo(meta.index);
  if (meta.index > log.commit) {
    core.durability.cut(log.commit);
    log.restore(meta);
    core.configurations.restore(meta);
  }
  accept(core, from, log.commit);
}

/** A leader of the past learns that its term is over; without it, it might never be heard again. */
export function refuseStaleLeader(core: Core, from: MemberId): void {
  core.sendAfterPersist({
    kind: "appendReply",
    from: core.id,
    to: from,
    term: core.term,
    rejected: true,
    index: LogIndex(0),
    hintIndex: LogIndex(0),
    hintTerm: Term(0),
  });
}
