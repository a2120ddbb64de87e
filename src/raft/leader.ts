// A leader's work: append, replicate, commit (thesis 3.5, 3.6).

import { LogIndex, type MemberId, noMember } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import type { Core, Leadership } from "./core.ts";
import { dataBytes, noEntries } from "./log.ts";
import { everyMember, isVoter } from "./membership.ts";
import type { AppendReplyMessage, HeartbeatReplyMessage } from "./message.ts";
import { Progress } from "./progress.ts";
import { jointIndex, jointVote } from "./quorum.ts";
import { confirmReads, openReadRound } from "./readIndex.ts";
import type { ProposeResult } from "./ready.ts";
import { abandonTransferTo, abdicate, continueTransfer } from "./transfer.ts";
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
    peersLeaving: false,
    appendsDue: true,
    heartbeatDue: false,
    transferee: noMember,
    leaseBroken: false,
    leaseTick: Number.NEGATIVE_INFINITY,
  };
  addPeers(core, core.leadership, { next: barrierIndex });
  // Entries of earlier terms are never committed by counting; an own entry takes them along.
  append(core, EntryKind.barrier, emptyBytes);
}

/** Members without a peer get one; it counts as active until it is judged. */
function addPeers(core: Core, leadership: Leadership, { next }: { next: LogIndex }): void {
  for (const id of everyMember(core.membership)) {
    if (id === core.id || leadership.peers.has(id)) continue;
    const peer = new Progress(id, { next, bounds: core.config });
    peer.active = true;
    leadership.peers.set(id, peer);
  }
}

/** Who was removed is told until that is committed, so that it learns of it; then no more. */
export function dropPeers(core: Core, leadership: Leadership): void {
  if (!leadership.peersLeaving || core.log.commit < leadership.membershipIndex) return;
  leadership.peersLeaving = false;
  const members = everyMember(core.membership);
  for (const id of leadership.peers.keys()) {
    if (members.includes(id)) continue;
    leadership.peers.delete(id);
    leadership.acked.delete(id);
    leadership.readAcked.delete(id);
  }
}

function append(core: Core, kind: EntryKind, data: Uint8Array): Entry {
  const entry = { term: core.term, index: LogIndex(core.log.last + 1), kind, data };
  core.log.push(entry);
  return entry;
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

/** An encoded change, in force from here on; the caller checked that it may be made now. */
export function appendChange(core: Core, leadership: Leadership, data: Uint8Array): void {
  const entry = append(core, EntryKind.membership, data);
  leadership.membershipIndex = entry.index;
  core.configurations.append(entry);
  addPeers(core, leadership, { next: entry.index });
  leadership.peersLeaving = true;
  leadership.appendsDue = true;
  abandonTransferTo(leadership, (id) => !core.membership.voters.includes(id));
}

export function tickLeader(core: Core, leadership: Leadership): void {
  core.heartbeatElapsed++;
  core.electionElapsed++;
  // The others have on disk what this one has not: any of them answers sooner. Where all disks are
  // slow, or all are needed, nothing would be won.
  if (core.diskStalls && core.log.commit > core.durability.index) {
    resign(core, leadership);
    return;
  }
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

/** Gives up leadership; whoever holds most of the log need not wait for an election timeout. */
export function resign(core: Core, leadership: Leadership): void {
  const voters = [...leadership.peers.values()].filter(({ id }) => isVoter(core.membership, id));
  const [best] = voters.sort((a, b) => b.match - a.match);
  if (best !== undefined) abdicate(core, leadership, best);
  core.becomeFollower(core.term, noMember);
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
    core.send({ kind: "heartbeat", from: core.id, to: peer.id, term: core.term, commit, readId });
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
  const { next } = peer;
  const bytesMax = config.maxAppendBytes;
  const entries = next < to ? log.entries({ from: next, to, bytesMax }) : noEntries;
  const { commit } = log;
  core.send({
    kind: "append",
    from: core.id,
    to: peer.id,
    term: core.term,
    prevIndex,
    prevTerm,
    commit,
    entries,
  });
  peer.sent({ count: entries.length, bytes: dataBytes(entries), commit });
  return true;
}

/** What the peer lacks is no longer in the log: it needs the state as it is applied now. */
function sendSnapshot(core: Core, peer: Progress): void {
  const { log } = core;
  const index = log.applied;
  const membership = core.configurations.at(index);
  const term = log.term(index);
  // A peer that is silent would only block its lane.
  if (!peer.active || term === undefined || membership === undefined) return;
  const meta = { index, term, membership };
  core.send({ kind: "snapshot", from: core.id, to: peer.id, term: core.term, meta });
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
  peer.heard(core.now);
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
  const repeat = peer.repeatsAfter(core.now);
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
 * A sole voter commits the entry that gives it a second one, and no more, by itself: who added the
 * second may start it only when told so. Every quorum of the two has this leader, and whoever counts
 * by a later configuration holds this entry below it, so no leader to come can lack it.
 */
function secondVoterIndex(core: Core, { acked, membershipIndex }: Leadership): LogIndex {
  const { configurations, log, id } = core;
  const none = LogIndex(0);
  if (log.commit >= membershipIndex || configurations.latestIndex !== membershipIndex) return none;
  const before = configurations.at(log.commit);
  const { voters, outgoing } = configurations.latest;
  const wasSole = before?.voters.length === 1 && before.outgoing.length === 0;
  if (!wasSole || !before.voters.includes(id)) return none;
  if (outgoing.length > 0 || voters.length !== 2 || !voters.includes(id)) return none;
  return LogIndex(Math.min(acked.get(id) ?? none, membershipIndex));
}

/**
 * Commits what a quorum holds, if the last of it is of this term: an older entry on a majority may
 * still be replaced (Raft paper, figure 8).
 */
function advanceCommit(core: Core, leadership: Leadership): void {
  const { log } = core;
  const index = LogIndex(
    Math.max(jointIndex(leadership.acked, core.membership), secondVoterIndex(core, leadership)),
  );
  if (index <= log.commit || log.term(index) !== core.term) return;
  if (log.commitTo(index)) leadership.appendsDue = true;
}
