// A leader's work: append, replicate, commit (thesis 3.5, 3.6).

import { LogIndex, type MemberId, noMember } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import type { Core, Leadership } from "./core.ts";
import { dataBytes, noEntries } from "./log.ts";
import { everyMember } from "./membership.ts";
import type { AppendReplyMessage, HeartbeatReplyMessage } from "./message.ts";
import { Progress } from "./progress.ts";
import { jointIndex, jointVote } from "./quorum.ts";
import { confirmReads, openReadRound } from "./readIndex.ts";
import type { ProposeResult } from "./ready.ts";
import { continueTransfer } from "./transfer.ts";
import { type Entry, EntryKind } from "./types.ts";

export function becomeLeader(core: Core): void {
  const { log } = core;
  core.role = "leader";
  core.setLeader(core.id);
  core.electionElapsed = 0;
  core.heartbeatElapsed = 0;
  const barrierIndex = LogIndex(log.last + 1);
  core.leadership = {
    peers: new Map(),
    acked: new Map([[core.id, core.durability.index]]),
    readAcked: new Map(),
    barrierIndex,
    // The tail inherited from earlier leaders may hold a change; the barrier ends behind it.
    membershipIndex: barrierIndex,
    uncommittedBytes: 0,
    appendsDue: true,
    heartbeatDue: false,
    transferee: noMember,
    leaseBroken: false,
    leaseTick: Number.NEGATIVE_INFINITY,
  };
  syncPeers(core, core.leadership, { next: barrierIndex });
  // Entries of earlier terms are never committed by counting; an own entry takes them along.
  append(core, EntryKind.barrier, emptyBytes);
}

/** Makes the list of peers that of the membership; a newcomer is active until it is judged. */
export function syncPeers(core: Core, leadership: Leadership, { next }: { next: LogIndex }): void {
  const members = everyMember(core.membership);
  for (const id of leadership.peers.keys()) {
    if (members.includes(id)) continue;
    leadership.peers.delete(id);
    leadership.acked.delete(id);
    leadership.readAcked.delete(id);
  }
  for (const id of members) {
    if (id === core.id || leadership.peers.has(id)) continue;
    const peer = new Progress(id, { next, bounds: core.config });
    peer.active = true;
    leadership.peers.set(id, peer);
  }
  leadership.appendsDue = true;
}

function append(core: Core, kind: EntryKind, data: Uint8Array): LogIndex {
  const index = LogIndex(core.log.last + 1);
  core.log.push({ term: core.term, index, kind, data });
  return index;
}

/** One entry each; all or none. */
export function proposeAsLeader(
  core: Core,
  leadership: Leadership,
  datas: readonly Uint8Array[],
): ProposeResult {
  if (leadership.transferee !== noMember) return "transferring";
  let bytes = leadership.uncommittedBytes;
  for (const data of datas) bytes += data.length;
  // An empty pipeline takes a batch of any size, or a large one could never be proposed.
  if (bytes > core.config.uncommittedBytesMax && leadership.uncommittedBytes > 0)
    return "overloaded";
  leadership.uncommittedBytes = bytes;
  for (const data of datas) append(core, EntryKind.normal, data);
  leadership.appendsDue = true;
  return "accepted";
}

/** Committed entries make room for new proposals. */
export function releaseUncommitted(leadership: Leadership, committed: readonly Entry[]): void {
  if (leadership.uncommittedBytes === 0) return;
  const bytes = leadership.uncommittedBytes - dataBytes(committed);
  // Entries of earlier leaders were never counted here.
  leadership.uncommittedBytes = Math.max(0, bytes);
}

/** An encoded change of membership; the caller checked that it may be proposed now. */
export function appendChange(core: Core, leadership: Leadership, data: Uint8Array): void {
  leadership.membershipIndex = append(core, EntryKind.membership, data);
  leadership.appendsDue = true;
}

export function tickLeader(core: Core, leadership: Leadership): void {
  core.heartbeatElapsed++;
  core.electionElapsed++;
  if (core.electionElapsed >= core.config.electionTicksMin) {
    core.electionElapsed = 0;
    if (!judgePeers(core, leadership)) return;
    // A transfer that did not happen within an election timeout is given up (thesis 3.10).
    leadership.transferee = noMember;
  }
  if (core.heartbeatElapsed >= core.config.heartbeatTicks) {
    core.heartbeatElapsed = 0;
    leadership.heartbeatDue = true;
    for (const peer of leadership.peers.values()) peer.beat();
  }
}

/**
 * Once per election timeout: which peers were heard from?
 * @returns false when they are no quorum and leadership was given up (thesis 6.2).
 */
function judgePeers(core: Core, { peers }: Leadership): boolean {
  const heard = new Map<MemberId, boolean>([[core.id, true]]);
  for (const peer of peers.values()) {
    heard.set(peer.id, peer.active);
    // A snapshot may have been lost on the way; probing finds out and asks for another.
    if (peer.state === "snapshot" && peer.active) peer.snapshotEnded({ ok: false });
    peer.active = false;
  }
  if (!core.config.checkQuorum || jointVote(heard, core.membership) === "won") return true;
  core.becomeFollower(core.term, noMember);
  return false;
}

/** Sends what this turn has made due: one heartbeat for all reads, then appends. */
export function flushLeader(core: Core, leadership: Leadership): void {
  const opened = openReadRound(core, leadership);
  if (opened || leadership.heartbeatDue) broadcastHeartbeat(core, leadership);
  if (!leadership.appendsDue) return;
  leadership.appendsDue = false;
  for (const peer of leadership.peers.values()) replicate(core, peer);
}

function broadcastHeartbeat(core: Core, leadership: Leadership): void {
  leadership.heartbeatDue = false;
  const readId = core.rounds.waiting ? core.rounds.lastId : 0;
  for (const peer of leadership.peers.values()) {
    const commit = LogIndex(Math.min(core.log.commit, peer.match));
    core.send({ kind: "heartbeat", ...core.replyTo(peer.id), commit, readId });
    peer.told(commit);
  }
}

/** Streams to one peer as far as its window allows; else tells it a commit index that moved. */
function replicate(core: Core, peer: Progress): void {
  const { log } = core;
  let sent = false;
  while (peer.next <= log.last && peer.mayAppend) {
    if (!sendAppend(core, peer, { to: LogIndex(log.last + 1) })) return;
    sent = true;
  }
  if (!sent && peer.state === "replicate" && peer.commitSent < log.commit) sendEmpty(core, peer);
}

/** An append without entries: tells `commit`, and finds out whether what streamed has arrived. */
function sendEmpty(core: Core, peer: Progress): void {
  sendAppend(core, peer, { to: peer.next });
}

/** @returns false when the peer needs a snapshot instead. */
function sendAppend(core: Core, peer: Progress, { to }: { to: LogIndex }): boolean {
  const { log, config } = core;
  const prevIndex = LogIndex(peer.next - 1);
  const prevTerm = log.term(prevIndex);
  if (prevTerm === undefined) {
    sendSnapshot(core, peer);
    return false;
  }
  const from = peer.next;
  const entries =
    from < to ? log.entries({ from, to, bytesMax: config.maxAppendBytes }) : noEntries;
  const { commit } = log;
  core.send({ kind: "append", ...core.replyTo(peer.id), prevIndex, prevTerm, commit, entries });
  peer.sent({ count: entries.length, bytes: dataBytes(entries), commit });
  return true;
}

/** What the peer lacks is no longer in the log: it needs the state as it is applied now. */
function sendSnapshot(core: Core, peer: Progress): void {
  const { log, membership } = core;
  const index = log.applied;
  const term = log.term(index);
  // A peer that is silent would only block its lane.
  if (!peer.active || term === undefined) return;
  core.send({ kind: "snapshot", ...core.replyTo(peer.id), meta: { index, term, membership } });
  peer.snapshotSent(index);
}

export function onAppendReply(
  core: Core,
  leadership: Leadership,
  message: AppendReplyMessage,
): void {
  const peer = leadership.peers.get(message.from);
  // Nobody can hold more than our log: such an answer is not meant for this leadership.
  if (peer === undefined || message.index > core.log.last) return;
  peer.active = true;
  if (message.rejected) onRejected(core, leadership, peer, message);
  else onAccepted(core, leadership, peer, message.index);
}

function onAccepted(core: Core, leadership: Leadership, peer: Progress, index: LogIndex): void {
  const { log } = core;
  const news = peer.accepted(index, log.first);
  if (news) {
    leadership.acked.set(peer.id, index);
    if (index > log.commit) advanceCommit(core, leadership);
    continueTransfer(core, leadership, peer);
  }
  if (peer.next <= log.last || peer.commitSent < log.commit) leadership.appendsDue = true;
}

function onRejected(
  core: Core,
  leadership: Leadership,
  peer: Progress,
  { index, hintIndex, hintTerm }: AppendReplyMessage,
): void {
  const at = { index: LogIndex(Math.min(hintIndex, index)), term: hintTerm };
  const hint = hintTerm > 0 ? core.log.lastAtOrBelow(at).index : at.index;
  if (!peer.rejected({ index, hint })) return;
  leadership.acked.set(peer.id, peer.match);
  leadership.appendsDue = true;
}

export function onHeartbeatReply(
  core: Core,
  leadership: Leadership,
  { from, readId }: HeartbeatReplyMessage,
): void {
  const peer = leadership.peers.get(from);
  if (peer === undefined) return;
  const repeat = peer.heard();
  confirmReads(core, leadership, { from, readId });
  // Appends may have been lost, and with them the answers that keep the stream going.
  if (!repeat || peer.match >= core.log.last || peer.state === "snapshot") return;
  if (peer.next > core.log.last || !peer.mayAppend) sendEmpty(core, peer);
  leadership.appendsDue = true;
}

/** The local disk holds more. */
export function onOwnPersisted(core: Core, leadership: Leadership): void {
  leadership.acked.set(core.id, core.durability.index);
  advanceCommit(core, leadership);
}

/**
 * Commits what a quorum holds, if the last of it is of this term: an older entry on a majority may
 * still be replaced (Raft paper, figure 8).
 */
export function advanceCommit(core: Core, leadership: Leadership): void {
  const { log } = core;
  const index = jointIndex(leadership.acked, core.membership);
  if (index <= log.commit || log.term(index) !== core.term) return;
  if (log.commitTo(index)) leadership.appendsDue = true;
}
