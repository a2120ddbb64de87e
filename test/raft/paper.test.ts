// Each rule of the papers, by section. "Paper" is the Raft paper (extended), "thesis" Ongaro's of 2014.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LogIndex, MemberId, noMember, Term } from "../../src/base/brand.ts";
import type { RaftConfig } from "../../src/raft/config.ts";
import type { Message } from "../../src/raft/message.ts";
import type { Entry } from "../../src/raft/types.ts";
import { Stage, type Start } from "./stage.ts";

const one = MemberId(1n);
const two = MemberId(2n);
const three = MemberId(3n);

function stageOf(
  count: number,
  starts: readonly Start[] = [],
  config: Partial<RaftConfig> = {},
): Stage {
  const stage = new Stage(config);
  const voters = Array.from({ length: count }, (_, i) => MemberId(BigInt(i + 1)));
  voters.forEach((id, i) => {
    stage.add(id, { voters }, starts[i]);
  });
  return stage;
}

const step = (stage: Stage, message: Message): void =>
  stage.act(message.to, ({ node }) => node.step(message));

/** Reads answered since the stage was last asked. */
const readsOf = (stage: Stage): readonly string[] =>
  stage.tell().filter((line) => /read \d+ at/.test(line));

const status = (stage: Stage, id: MemberId) => stage.member(id).node.status();

const entry = (index: number, term: number): Entry => ({
  index: LogIndex(index),
  term: Term(term),
  kind: 0,
  data: Buffer.from("."),
});

function append(fields: {
  readonly term: number;
  readonly prev?: readonly [index: number, term: number];
  readonly commit?: number;
  readonly entries?: readonly Entry[];
}): Message {
  const [index, term] = fields.prev ?? [0, 0];
  return {
    kind: "append",
    from: two,
    to: one,
    term: Term(fields.term),
    prevIndex: LogIndex(index),
    prevTerm: Term(term),
    commit: LogIndex(fields.commit ?? 0),
    entries: fields.entries ?? [],
  };
}

function vote(fields: {
  term: number;
  from?: MemberId;
  last?: readonly [number, number];
}): Message {
  const [lastIndex, lastTerm] = fields.last ?? [0, 0];
  return {
    kind: "vote",
    from: fields.from ?? two,
    to: one,
    term: Term(fields.term),
    pre: false,
    transfer: false,
    lastIndex: LogIndex(lastIndex),
    lastTerm: Term(lastTerm),
  };
}

test("paper 5.1: a higher term makes anybody a follower of that term", () => {
  for (const role of ["follower", "candidate", "leader"]) {
    const stage = stageOf(3);
    if (role === "candidate") stage.act(one, ({ node }) => node.campaign());
    if (role === "leader") stage.elect(one);
    step(stage, append({ term: 9 }));
    const { role: now, term, leader } = status(stage, one);
    assert.deepEqual([now, term, leader], ["follower", 9, two], role);
  }
});

test("paper 5.1: a stale term is refused, and the sender learns the present one", () => {
  const stage = stageOf(3, [{ term: 5 }]);
  step(stage, append({ term: 4, entries: [entry(1, 4)] }));
  step(stage, vote({ term: 4 }));
  assert.equal(status(stage, one).lastIndex, 0);
  assert.deepEqual(
    stage.network.map(({ kind, term }) => [kind, term]),
    [
      ["appendReply", 5],
      ["voteReply", 5],
    ],
  );
});

test("paper 5.2: every member begins as a follower", () => {
  const stage = stageOf(3);
  for (const id of stage.ids) assert.equal(status(stage, id).role, "follower");
});

test("paper 5.2: a leader sends heartbeats to all others every heartbeat interval", () => {
  const stage = stageOf(3, [], { heartbeatTicks: 3 });
  stage.elect(one);
  stage.tick([one], 2);
  assert.equal(stage.network.length, 0);
  stage.tick([one], 1);
  assert.deepEqual(
    stage.network.map(({ kind, to }) => [kind, to]),
    [
      ["heartbeat", two],
      ["heartbeat", three],
    ],
  );
});

test("paper 5.2: a silent election timeout starts an election: own vote, next term, all asked", () => {
  const stage = stageOf(3, [{ term: 1 }]);
  stage.tick([one], 10);
  const { role, term, vote: voted } = status(stage, one);
  assert.deepEqual([role, term, voted], ["candidate", 2, one]);
  assert.deepEqual(
    stage.network.map(({ to }) => to),
    [two, three],
  );
});

test("paper 5.2: a majority of votes wins, and only that", () => {
  const rows = [
    { members: 1, granted: 0, want: "leader", why: "its own vote is a majority" },
    { members: 3, granted: 1, want: "leader", why: "two of three" },
    { members: 3, granted: 0, want: "candidate", why: "one of three" },
    { members: 5, granted: 2, want: "leader", why: "three of five" },
    { members: 5, granted: 1, want: "candidate", why: "two of five" },
  ];
  for (const { members, granted, want, why } of rows) {
    const stage = stageOf(members);
    stage.act(one, ({ node }) => node.campaign());
    for (const id of stage.ids.slice(1, 1 + granted)) stage.deliver(({ to }) => to === id);
    stage.deliver(({ to }) => to === one);
    assert.equal(status(stage, one).role, want, why);
  }
});

test("paper 5.2: a majority of refusals ends the candidacy, two answers of one do not", () => {
  const refuse = (stage: Stage, from: MemberId): void =>
    step(stage, {
      kind: "voteReply",
      from,
      to: one,
      term: status(stage, one).term,
      pre: false,
      granted: false,
    });
  const stage = stageOf(3);
  stage.act(one, ({ node }) => node.campaign());
  refuse(stage, two);
  refuse(stage, two);
  assert.equal(status(stage, one).role, "candidate");
  refuse(stage, three);
  assert.equal(status(stage, one).role, "follower");
});

test("paper 5.2: one vote per term, first come first served", () => {
  const stage = stageOf(3);
  step(stage, vote({ term: 1, from: two }));
  step(stage, vote({ term: 1, from: three }));
  step(stage, vote({ term: 1, from: two }));
  const granted = stage.network.map((m) => (m.kind === "voteReply" ? [m.to, m.granted] : []));
  assert.deepEqual(granted, [
    [two, true],
    [three, false],
    [two, true],
  ]);
});

test("paper 5.2: a candidate that hears the leader of its term follows it", () => {
  const stage = stageOf(3);
  stage.act(one, ({ node }) => node.campaign());
  step(stage, append({ term: 1 }));
  assert.deepEqual([status(stage, one).role, status(stage, one).leader], ["follower", two]);
});

test("paper 5.2: patience is drawn anew for each election, within [min, 2 * min)", () => {
  const drawn = new Set<number>();
  for (let id = 1; id <= 10; id++) {
    const stage = new Stage();
    const self = MemberId(BigInt(id));
    stage.add(self, { voters: [self, MemberId(99n)] });
    let ticks = 0;
    for (; status(stage, self).role === "follower"; ticks++) stage.tick([self], 1);
    drawn.add(ticks);
  }
  assert.deepEqual([...drawn], [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
});

test("thesis 3.4: only a granted vote or a leader's word renews a follower's patience", () => {
  const stage = stageOf(3, [{ terms: [1, 1] }]);
  stage.tick([one], 9);
  step(stage, vote({ term: 2, last: [1, 1] }));
  stage.tick([one], 1);
  assert.equal(status(stage, one).role, "candidate", "a refused vote renews nothing");
  const other = stageOf(3, [{ terms: [1, 1] }]);
  other.tick([one], 9);
  step(other, vote({ term: 2, last: [2, 1] }));
  other.tick([one], 9);
  assert.equal(status(other, one).role, "follower", "a granted one does");
});

test("paper 5.3: a leader appends and replicates; an entry on a majority is committed", () => {
  const stage = stageOf(3);
  stage.elect(one);
  stage.propose(one, "a", "b");
  assert.equal(status(stage, one).commit, 1);
  stage.settle();
  for (const id of stage.ids) assert.deepEqual(stage.applied(id), ["a", "b"]);
});

test("paper 5.3: committing an entry commits all before it, of earlier leaders too", () => {
  for (const terms of [[], [1], [1, 2], [2, 2, 3]]) {
    const stage = stageOf(3, [{ terms, term: 3 }, { term: 3 }, { terms, term: 3 }]);
    stage.elect(one);
    stage.propose(one, "x");
    stage.settle();
    for (const id of stage.ids) assert.equal(status(stage, id).commit, terms.length + 2);
  }
});

test("paper 5.3: a follower refuses what does not follow on its log", () => {
  const rows = [
    { prev: [3, 2] as const, want: true, hint: [2, 2], why: "beyond the end" },
    { prev: [2, 1] as const, want: true, hint: [1, 1], why: "another term there" },
    { prev: [2, 2] as const, want: false, hint: [0, 0], why: "it matches" },
    { prev: [0, 0] as const, want: false, hint: [0, 0], why: "from the very start" },
  ];
  for (const { prev, want, hint, why } of rows) {
    const stage = stageOf(3, [{ terms: [1, 2] }]);
    step(stage, append({ term: 3, prev }));
    const [reply] = stage.network;
    assert.ok(reply?.kind === "appendReply", why);
    assert.equal(reply.rejected, want, why);
    assert.deepEqual([reply.hintIndex, reply.hintTerm], hint, why);
  }
});

test("paper 5.3: a conflicting entry goes, with all after it; a matching one stays", () => {
  const rows = [
    { entries: [entry(2, 3)], want: [1, 3], why: "a conflict at 2 cuts 3" },
    { entries: [entry(2, 2)], want: [1, 2, 2], why: "an old message cuts nothing" },
    { entries: [entry(2, 2), entry(3, 3)], want: [1, 2, 3], why: "a conflict at 3" },
    { entries: [], want: [1, 2, 2], why: "a heartbeat cuts nothing" },
    { entries: [entry(2, 2), entry(3, 2), entry(4, 3)], want: [1, 2, 2, 3], why: "longer" },
  ];
  for (const { entries, want, why } of rows) {
    const stage = stageOf(3, [{ terms: [1, 2, 2], term: 3 }]);
    step(stage, append({ term: 3, prev: [1, 1], entries }));
    assert.deepEqual(stage.terms(one), want, why);
  }
});

test("paper 5.3: a follower's commit is the leader's, but not past the last new entry", () => {
  const rows = [
    { entries: [entry(2, 1)], commit: 1, want: 1, why: "the leader's" },
    { entries: [entry(2, 1)], commit: 9, want: 2, why: "last new entry" },
    { entries: [], commit: 9, want: 1, why: "what follows prev is not known to match" },
  ];
  for (const { entries, commit, want, why } of rows) {
    const stage = stageOf(3, [{ terms: [1, 1, 1] }]);
    step(stage, append({ term: 1, prev: [1, 1], entries, commit }));
    assert.equal(status(stage, one).commit, want, why);
  }
});

test("paper 5.4.1: a vote goes only to a log at least as new", () => {
  const rows = [
    { own: [1], last: [1, 1] as const, want: true, why: "equal" },
    { own: [1], last: [1, 2] as const, want: true, why: "newer term" },
    { own: [1, 1], last: [1, 2] as const, want: true, why: "newer term though shorter" },
    { own: [1], last: [2, 1] as const, want: true, why: "longer" },
    { own: [1, 1], last: [1, 1] as const, want: false, why: "shorter" },
    { own: [2], last: [1, 1] as const, want: false, why: "older term" },
    { own: [2], last: [9, 1] as const, want: false, why: "older term though longer" },
    { own: [], last: [0, 0] as const, want: true, why: "both empty" },
  ];
  for (const { own, last, want, why } of rows) {
    const stage = stageOf(3, [{ terms: own }]);
    step(stage, vote({ term: 9, last }));
    const [reply] = stage.network;
    assert.ok(reply?.kind === "voteReply", why);
    assert.equal(reply.granted, want, why);
    assert.equal(status(stage, one).vote, want ? two : noMember, why);
  }
});

test("paper 5.4.2: only entries of the present term are committed by counting", () => {
  const rows = [
    { index: 1, want: 0, why: "term 1 on a majority" },
    { index: 2, want: 0, why: "term 2 on a majority" },
    { index: 3, want: 3, why: "the barrier of term 3 takes them along" },
  ];
  for (const { index, want, why } of rows) {
    const stage = stageOf(3, [{ terms: [1, 2] }, { term: 2 }, { term: 2 }]);
    stage.act(one, ({ node }) => node.campaign());
    stage.deliver();
    stage.deliver(({ to }) => to === one);
    step(stage, {
      kind: "appendReply",
      from: two,
      to: one,
      term: Term(3),
      rejected: false,
      index: LogIndex(index),
      hintIndex: LogIndex(0),
      hintTerm: Term(0),
    });
    assert.equal(status(stage, one).commit, want, why);
  }
});

test("paper 5.5: repeated requests do no harm", () => {
  const stage = stageOf(3);
  for (let i = 0; i < 2; i++) step(stage, append({ term: 1, entries: [entry(1, 1)], commit: 1 }));
  assert.deepEqual(stage.terms(one), [1]);
  assert.equal(stage.applied(one).length, 1);
});

test("thesis 3.8: term, vote and log survive a crash, and nothing else is needed", () => {
  const stage = stageOf(3);
  stage.elect(one);
  stage.propose(one, "a");
  stage.settle();
  for (const id of stage.ids) stage.restart(id);
  assert.deepEqual([status(stage, two).term, status(stage, two).vote], [1, one]);
  stage.elect(two);
  for (const id of stage.ids) assert.deepEqual(stage.applied(id), ["a"]);
});

test("thesis 6.2: with checkQuorum a cut-off leader steps down, with a quorum it stays", () => {
  for (const { cut, want } of [
    { cut: [one], want: "follower" },
    { cut: [three], want: "leader" },
  ]) {
    const stage = stageOf(3, [], { checkQuorum: true });
    stage.elect(one);
    stage.cut(cut);
    for (let i = 0; i < 20; i++) {
      stage.tick([one], 1);
      stage.settle();
    }
    assert.equal(status(stage, one).role, want);
  }
});

test("thesis 6.4.1: a lease answers reads without a round, and ends with silence", () => {
  const stage = stageOf(3, [], { checkQuorum: true, readMode: "lease" });
  stage.elect(one);
  stage.tick([one], 1);
  stage.settle();
  stage.tell();
  stage.act(one, ({ node }) => node.readIndex(1));
  assert.deepEqual(stage.tell(), ["1 read 1 at 1"]);
  stage.cut([one]);
  // Sent at tick 1, trusted for min - 2 = 8 more.
  stage.tick([one], 8);
  stage.tell();
  stage.act(one, ({ node }) => node.readIndex(2));
  assert.deepEqual(stage.tell(), ["1 read 2 at 1"]);
  stage.tick([one], 1);
  stage.tell();
  stage.act(one, ({ node }) => node.readIndex(3));
  assert.deepEqual(readsOf(stage), [], "nine ticks are too many");
});

test("thesis 6.4.1: a lease ends by the clock, although its thread stood still and counted no ticks", () => {
  const stage = stageOf(3, [], { checkQuorum: true, readMode: "lease" });
  stage.act(one, ({ node }) => node.timeIs(100));
  stage.elect(one);
  stage.tick([one], 1);
  stage.settle();
  stage.tell();
  stage.cut([one]);
  stage.act(one, ({ node }) => {
    node.timeIs(108);
    node.readIndex(1);
  });
  assert.deepEqual(stage.tell(), ["1 read 1 at 1"], "eight of ten ticks are over");
  stage.act(one, ({ node }) => {
    node.timeIs(108.5);
    node.readIndex(2);
  });
  assert.deepEqual(readsOf(stage), [], "others may have been elected meanwhile");
});

test("thesis 6.4.1: a restarted follower keeps the promise that its leader's lease rests on", () => {
  const lease = { checkQuorum: true, readMode: "lease" as const };
  const stage = stageOf(3, [], lease);
  stage.elect(one);
  stage.tick([one], 1);
  stage.settle();
  stage.cut([one]);
  stage.restart(two);
  stage.restart(three);
  stage.act(two, ({ node }) => node.campaign());
  stage.settle();
  assert.equal(status(stage, two).role, "candidate", "one is still trusted by its own lease");
  stage.tick([three], 10);
  stage.act(two, ({ node }) => node.campaign());
  stage.settle();
  assert.equal(status(stage, two).role, "leader");
});

test("thesis 3.10: a lease is worth nothing once a successor was told to campaign", () => {
  const stage = stageOf(3, [], { checkQuorum: true, readMode: "lease" });
  stage.elect(one);
  stage.tick([one], 1);
  stage.settle();
  stage.act(one, ({ node }) => node.transferLeadership(two));
  stage.tell();
  stage.act(one, ({ node }) => node.readIndex(1));
  assert.deepEqual(readsOf(stage), [], "a round has to confirm it");
});
