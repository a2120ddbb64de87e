// Bugs of consensus: elections, replication, commits, reads.
import { hushed, leased, leasedAndPaused, oldNews, ownTails, reborn, turnedOn } from "./corners.ts";
import type { Mutant } from "./mutant.ts";

const freshReads = "read index on a fresh leader";
const singleNode = "single-node cluster answers before its hard state is durable";
const preVote = "pre-vote deadlock";

const elections: readonly Mutant[] = [
  {
    name: "a vote leaves before it is on disk",
    trap: "own",
    file: "src/raft/election.ts",
    find: `  core.sendAfterPersist({ kind: "voteReply", from: core.id, to: from, term, pre, granted });`,
    replace: `  core.send({ kind: "voteReply", from: core.id, to: from, term, pre, granted });`,
  },
  {
    name: "a member votes twice in a term",
    trap: "own",
    file: "src/raft/election.ts",
    find: `const mayVote = core.vote === from || free ||`,
    replace: `const mayVote = core.vote !== core.id ||`,
  },
  {
    name: "a new term keeps the vote of the old one",
    trap: "own",
    file: "src/raft/core.ts",
    find: `    this.vote = noMember;\n    this.acceptedIndex`,
    replace: `    this.acceptedIndex`,
  },
  {
    name: "a vote for a log that is behind",
    trap: "own",
    file: "src/raft/election.ts",
    find: `mayVote && core.log.isUpToDate({ lastIndex, lastTerm });`,
    replace: `mayVote && (lastIndex >= 0 || core.log.isUpToDate({ lastIndex, lastTerm }));`,
  },
  {
    name: "the longer log wins, whatever its last term",
    trap: "own",
    file: "src/raft/log.ts",
    find: `return end.lastTerm > term || (end.lastTerm === term && end.lastIndex >= this.last);`,
    replace: `return end.lastTerm >= term || end.lastIndex >= this.last;`,
  },
  {
    name: "half of the votes win",
    trap: "own",
    file: "src/raft/quorum.ts",
    find: `if (voters.length === 0 || granted >= majority) return "won";`,
    replace: `if (voters.length === 0 || granted >= majority - 1) return "won";`,
  },
  {
    name: "a candidate counts its vote before it is on disk",
    trap: singleNode,
    file: "src/raft/election.ts",
    find: `  core.votes.clear();\n  requestVotes(core, { pre: false, transfer });`,
    replace: `  core.votes.clear();
  requestVotes(core, { pre: false, transfer });
  core.votes.set(core.id, true);
  decide(core);`,
    focus: { members: 1 },
  },
  {
    name: "a refused pre-vote hides the higher term",
    trap: preVote,
    file: "src/raft/step.ts",
    find: `      refuseStaleVote(core, message);\n      return;`,
    replace: `      return;`,
    focus: { ...turnedOn, members: 2 },
  },
  {
    name: "stale leaders are not told of the term",
    trap: preVote,
    file: "src/raft/step.ts",
    find: `      refuseStaleLeader(core, message.from);\n      return;`,
    replace: `      return;`,
    focus: { ...turnedOn, members: 3 },
  },
  {
    name: "who restarts keeps faith with its leader for ever",
    trap: preVote,
    file: "src/raft/election.ts",
    find: `  if (core.promisedAtBoot && core.now < core.config.electionTicksMin) return true;`,
    replace: `  if (core.promisedAtBoot) return true;`,
    focus: leased,
  },
  {
    name: "an election is never held again",
    trap: preVote,
    file: "src/raft/election.ts",
    find: `  core.electionElapsed = 0;\n  core.drawElectionTicks();\n}`,
    replace: `  core.electionElapsed = Number.NEGATIVE_INFINITY;\n}`,
  },
];

const replication: readonly Mutant[] = [
  {
    name: "entries of earlier terms are committed by counting",
    trap: "own",
    file: "src/raft/leader.ts",
    find: `  if (index <= log.commit || log.term(index) !== core.term) return;`,
    replace: `  if (index <= log.commit) return;`,
  },
  {
    name: "half of the members commit",
    trap: "own",
    file: "src/raft/quorum.ts",
    find: `  const majority = majorityOf(voters);\n  return ascending`,
    replace: `  const majority = Math.max(1, majorityOf(voters) - 1);\n  return ascending`,
  },
  {
    name: "an answer leaves before the entries are on disk",
    trap: "own",
    file: "src/raft/follower.ts",
    find: `  core.sendAfterPersist({
    kind: "appendReply",
    from: core.id,
    to,
    term: core.term,
    rejected: false,`,
    replace: `  core.send({
    kind: "appendReply",
    from: core.id,
    to,
    term: core.term,
    rejected: false,`,
  },
  {
    name: "the leader counts its own entries before they are on disk",
    trap: singleNode,
    file: "src/raft/leader.ts",
    find: `  leadership.acked.set(core.id, core.durability.index);`,
    replace: `  leadership.acked.set(core.id, core.log.last);`,
  },
  {
    name: "a single member commits what it has not synced",
    trap: singleNode,
    file: "src/raft/leader.ts",
    find: `  for (const data of datas) append(core, EntryKind.normal, data);`,
    replace: `  for (const data of datas) append(core, EntryKind.normal, data);
  if (leadership.peers.size === 0) {
    leadership.acked.set(core.id, core.log.last);
    advanceCommit(core, leadership);
  }`,
    focus: { members: 1 },
  },
  {
    name: "committed entries are applied before they are on disk",
    trap: "own",
    file: "src/raft/node.ts",
    find: `    return LogIndex(Math.min(log.commit, durability.index));\n  }\n\n  #takeCommitted`,
    replace: `    return LogIndex(Math.max(log.commit, durability.index * 0));\n  }\n\n  #takeCommitted`,
  },
  {
    name: "a cut end of the log still counts as on disk",
    trap: "own",
    file: "src/raft/follower.ts",
    find: `    core.durability.cut(LogIndex(first.index - 1));\n    core.configurations.cut`,
    replace: `    core.configurations.cut`,
    focus: ownTails,
  },
  {
    name: "the entry before an append is not compared",
    trap: "own",
    file: "src/raft/follower.ts",
    find: `!log.matches({ index: message.prevIndex, term: message.prevTerm })) {`,
    replace: `log.last < message.prevIndex) {`,
    focus: ownTails,
  },
  {
    name: "entries that are there already are not compared",
    trap: "own",
    file: "src/raft/follower.ts",
    find: `if (entry === undefined || !log.matches(entry)) break;`,
    replace: `if (entry === undefined || entry.index > log.last) break;`,
  },
  {
    name: "an append cuts the log behind it although nothing differs",
    trap: "own",
    file: "src/raft/follower.ts",
    find: `if (entry === undefined || !log.matches(entry)) break;`,
    replace: `if (entry === undefined || same >= known) break;`,
  },
  {
    name: "a follower commits beyond what matches",
    trap: "own",
    file: "src/raft/follower.ts",
    find: `log.commitTo(LogIndex(Math.min(message.commit, last)));`,
    replace: `log.commitTo(LogIndex(Math.min(message.commit, log.last)));`,
    // A leader that begins just where logs differ cuts off what does, in any case.
    also: {
      file: "src/raft/progress.ts",
      find: `: Math.min(index, hint + 1);`,
      replace: `: Math.min(index, hint);`,
    },
    focus: ownTails,
  },
  {
    name: "a heartbeat tells a commit that the follower may not have",
    trap: "own",
    file: "src/raft/leader.ts",
    find: `    const commit = LogIndex(Math.min(core.log.commit, peer.match));`,
    replace: `    const { commit } = core.log;`,
    focus: ownTails,
  },
  {
    name: "a rejected append is taken for an accepted one",
    trap: "own",
    file: "src/raft/leader.ts",
    find: `  if (message.rejected) onRejected(`,
    replace: `  if (message.rejected && message.hintTerm === core.term) onRejected(`,
  },
  {
    name: "a lost append is never sent again",
    trap: "own",
    file: "src/raft/leader.ts",
    find: `  if (peer.next > core.log.last || !peer.mayAppend) sendEmpty(core, peer);\n`,
    replace: ``,
    focus: hushed,
  },
];

const reads: readonly Mutant[] = [
  {
    name: "a fresh leader answers reads before its barrier is committed",
    trap: freshReads,
    file: "src/raft/readIndex.ts",
    find: `  if (log.commit < leadership.barrierIndex) return false;\n`,
    replace: ``,
  },
  {
    name: "reads ask nobody",
    trap: freshReads,
    file: "src/raft/readIndex.ts",
    find: `  if (due && leaseHolds(core, leadership)) {`,
    replace: `  if (due) {`,
    focus: oldNews,
  },
  {
    name: "a lease without end answers reads",
    trap: "own",
    file: "src/raft/readIndex.ts",
    find: `  if (core.config.readMode !== "lease" || leaseBroken) return false;
  return timeOf(core) - leaseTick <= core.config.electionTicksMin - 2;`,
    replace: `  return !leaseBroken && leaseTick >= 0;`,
    focus: leased,
  },
  {
    name: "a lease counts the ticks of a thread that stood still",
    trap: "own",
    file: "src/raft/readIndex.ts",
    find: `const timeOf = ({ time, now }: Core): number => time ?? now;`,
    replace: `const timeOf = ({ now }: Core): number => now;`,
    focus: leasedAndPaused,
  },
  {
    name: "an answer to an earlier round confirms a later one",
    trap: freshReads,
    file: "src/raft/readIndex.ts",
    find: `  leadership.readAcked.set(from, readId);`,
    replace: `  leadership.readAcked.set(from, core.rounds.lastId);`,
    focus: oldNews,
  },
  {
    name: "every life asks for reads under the same ids",
    trap: freshReads,
    file: "src/member/reads.ts",
    find: `(options.incarnation % livesApart) * idsPerLife;`,
    replace: `(options.incarnation * 0) % livesApart;`,
    focus: reborn,
  },
  {
    name: "a read is served before its index is applied",
    trap: freshReads,
    file: "src/member/reads.ts",
    find: `    if (state.index <= applied) this.#makeDue(completions);`,
    replace: `    if (state.index <= applied + 3) this.#makeDue(completions);`,
  },
  {
    name: "lost reads are dropped silently",
    trap: freshReads,
    file: "src/member/reads.ts",
    find: `    for (const [requestId, round] of [...this.#rounds]) {
      if`,
    replace: `    for (const [requestId, round] of this.#tick < 0 ? [...this.#rounds] : []) {
      if`,
  },
];

export const raftMutants: readonly Mutant[] = [...elections, ...replication, ...reads];
