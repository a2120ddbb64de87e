// Messages that no honest member would send: nothing is thrown, nothing committed is lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MemberId } from "../../src/base/brand.ts";
import type { Message } from "../../src/raft/message.ts";
import { Stage } from "./stage.ts";

const ids = [1n, 2n, 3n].map(MemberId);
const [one = MemberId(0n)] = ids;

const someNumber = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 6 }) },
  fc.constantFrom(-1, 0.5, Number.NaN, 2 ** 53, 2 ** 53 - 1, 2 ** 52, Number.POSITIVE_INFINITY),
);
const someId = fc.constantFrom(0n, 1n, 2n, 3n, 77n, 2n ** 64n - 1n);
const someEntry = fc.record({
  index: someNumber,
  term: someNumber,
  kind: fc.constantFrom(0, 1, 2, 3),
  data: fc.uint8Array({ maxLength: 12 }),
});
const someMembership = fc.record({
  voters: fc.array(someId, { maxLength: 3 }),
  outgoing: fc.array(someId, { maxLength: 2 }),
  learners: fc.array(someId, { maxLength: 2 }),
});

/** Every field of every kind, so that each kind finds its own. */
const someMessage = fc.record({
  kind: fc.constantFrom(
    ...["append", "append", "append", "appendReply", "heartbeat", "heartbeatReply", "vote"],
    ...["voteReply", "forward", "readIndex", "readIndexReply", "timeoutNow", "snapshot"],
  ),
  from: someId,
  to: fc.constantFrom(1n, 1n, 1n, 2n),
  term: someNumber,
  prevIndex: someNumber,
  prevTerm: someNumber,
  commit: someNumber,
  entries: fc.array(someEntry, { maxLength: 3 }),
  rejected: fc.boolean(),
  index: someNumber,
  hintIndex: someNumber,
  hintTerm: someNumber,
  readId: someNumber,
  pre: fc.boolean(),
  granted: fc.boolean(),
  lastIndex: someNumber,
  lastTerm: someNumber,
  transfer: fc.boolean(),
  datas: fc.array(fc.uint8Array({ maxLength: 3 }), { maxLength: 3 }),
  requestId: someNumber,
  meta: fc.record({ index: someNumber, term: someNumber, membership: someMembership }),
});

// The door for untyped frames is the transport's; here a forged value poses as a message.
const forged = (value: unknown): Message => value as Message;

for (const role of ["follower", "candidate", "leader"]) {
  test(`a ${role} survives any sequence of forged messages`, () => {
    fc.assert(
      fc.property(fc.array(someMessage, { maxLength: 30 }), (messages) => {
        const stage = stageOf(role);
        const before = stage.applied(one).slice();
        for (const message of messages) {
          stage.act(one, ({ node }) => node.step(forged(message)));
          stage.tick([one], 1);
        }
        const { commit, lastIndex, applied } = stage.member(one).node.status();
        assert.ok(applied <= commit && commit <= lastIndex, `${applied} ${commit} ${lastIndex}`);
        assert.deepEqual(stage.applied(one).slice(0, before.length), before);
      }),
      { numRuns: 300 },
    );
  });
}

function stageOf(role: string): Stage {
  const stage = new Stage({ preVote: false, checkQuorum: false });
  for (const id of ids) stage.add(id, { voters: ids });
  stage.elect(one);
  stage.propose(one, "kept");
  stage.settle();
  if (role === "leader") return stage;
  stage.restart(one);
  if (role === "candidate") stage.act(one, ({ node }) => node.campaign());
  return stage;
}
