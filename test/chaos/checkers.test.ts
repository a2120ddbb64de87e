// The judges of the rounds, each on a history that is right and on lies about it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Violation } from "../sim/violation.ts";
import { type Call, type CallAction, keySpace, type SeenPair } from "./call.ts";
import { Members } from "./checkers/members.ts";
import { checkRevisions } from "./checkers/revisions.ts";
import { Settled } from "./checkers/settled.ts";
import { checkWatch } from "./checkers/watches.ts";
import { judgeGone } from "./leases.ts";
import type { Past } from "./probe.ts";
import type { WatchedEvent } from "./watcher.ts";

const space = keySpace(7, 2);
const [a = "", b = ""] = space.keys;

const pair = (value: string, [created, modified, version]: [number, number, number]): SeenPair => ({
  value,
  created,
  modified,
  version,
});
const state = (pairs: Record<string, SeenPair>): ReadonlyMap<string, SeenPair> =>
  new Map(Object.entries(pairs));

const first = pair("v1", [11, 11, 1]);
const second = pair("v2", [11, 12, 2]);
const both = pair("v3", [13, 13, 1]);
/** 11 puts a, 12 puts it again, 13 puts a and b, 14 deletes b. */
const past: Past = {
  from: 10,
  states: [
    state({}),
    state({ [a]: first }),
    state({ [a]: second }),
    state({ [a]: pair("v3", [11, 13, 3]), [b]: both }),
    state({ [a]: pair("v3", [11, 13, 3]) }),
  ],
};

let lastId = 0;
const calls: readonly Call[] = [
  call({ kind: "put", key: a, value: "v1" }, { revision: 11, floor: 10 }),
  call({ kind: "put", key: a, value: "v2" }, { revision: 12, floor: 11 }),
  call({ kind: "pair", keys: [a, b], value: "v3" }, { state: "unknown", revision: 0 }),
  call({ kind: "delete", key: b }, { revision: 14, floor: 12, deleted: 1 }),
  call(
    { kind: "get", key: a, serializable: false },
    { revision: 12, floor: 12, pairs: state({ [a]: second }) },
  ),
];

function call(action: CallAction, known: Partial<Call>): Call {
  return {
    ...{ id: ++lastId, client: 1, member: "m1", action, floor: 10, callUs: 0, returnUs: 1 },
    ...{ state: "done", revision: 0, seen: undefined, pairs: undefined, deleted: 0 },
    ...{ swapped: false },
    ...known,
  };
}

test("revisions: a history that is right, and lies about it", () => {
  checkRevisions(calls, space, past);
  const get = { kind: "get", key: a, serializable: false } as const;
  const swap = { kind: "swap", key: a, value: "v9" } as const;
  const rows: readonly { lie: readonly Call[]; past?: Past; want: RegExp }[] = [
    { lie: [call(get, { revision: 11, floor: 12, pairs: state({ [a]: first }) })], want: /past/ },
    { lie: [call(get, { revision: 12, pairs: state({ [a]: first }) })], want: /sees k7\/0 as v1/ },
    { lie: [call(get, { revision: 12 })], want: /sees k7\/0 as nothing/ },
    { lie: [call(get, { revision: 15 })], want: /which is lost/ },
    {
      lie: [call({ kind: "put", key: a, value: "v4" }, { revision: 14 })],
      want: /acknowledged at 14, where/,
    },
    {
      lie: [call({ ...swap, guard: { kind: "absent" } }, { revision: 12, swapped: true })],
      want: /guard decides wrongly/,
    },
    {
      lie: [
        call(
          { ...swap, guard: { kind: "mod", revision: 12, value: "v2" } },
          { revision: 12, pairs: state({ [a]: second }) },
        ),
      ],
      want: /guard decides wrongly/,
    },
    { lie: [call({ kind: "delete", key: a }, { revision: 12 })], want: /leaves v2/ },
    { lie: [], past: again(past), want: /happens at 12 and at 15/ },
    { lie: [], past: { ...past, from: 9 }, want: /acknowledged at 11|which is lost/ },
  ];
  for (const { lie, past: told = past, want } of rows) {
    assert.throws(
      () => checkRevisions([...calls, ...lie], space, told),
      (error: unknown) => error instanceof Violation && want.test(error.message),
      `${want}`,
    );
  }
  const without = (i: number): readonly Call[] => calls.filter((_, at) => at !== i);
  assert.throws(() => checkRevisions(without(2), space, past), /nobody asked for v3/);
  assert.throws(() => checkRevisions(without(3), space, past), /nobody deleted k7\/1/);
});

/** The second put happens once more. */
function again({ from, states }: Past): Past {
  const last = states.at(-1) ?? new Map();
  return { from, states: [...states, new Map([...last, [a, pair("v2", [11, 15, 4])]])] };
}

test("settled: what was left stays, unless a request without an answer happens late", () => {
  const settled = new Settled();
  const late = call({ kind: "put", key: b, value: "v8" }, { state: "unknown" });
  const lateDelete = call({ kind: "delete", key: b }, { state: "unknown" });
  settled.add(space, state({ [a]: second, [b]: both }), [late, lateDelete]);
  settled.check(state({ [a]: second, [b]: both }));
  settled.check(state({ [a]: second, [b]: pair("v8", [13, 20, 2]) }));
  settled.check(state({ [a]: second }));
  assert.throws(() => settled.check(state({ [b]: both })), /k7\/0 was left as v2 .* is nothing/);
  assert.throws(() => settled.check(state({ [a]: first, [b]: both })), /k7\/0 was left as v2/);
});

test("leases: gone after the promise, not before it", () => {
  const lease = { id: "7", key: "l7", untilUs: 2_000 };
  judgeGone(lease, 2_000, "Range");
  assert.throws(() => judgeGone(lease, 1_999, "Range"), /lease 7 is gone: it lives until 2000/);
});

test("members: all say the same, and in the end what they said in the beginning", () => {
  const members = new Members();
  members.settled([
    ["2", "1", "3"],
    ["1", "2", "3"],
  ]);
  members.agree([
    ["1", "2", "3", "4"],
    ["4", "1", "2", "3"],
  ]);
  assert.throws(
    () =>
      members.agree([
        ["1", "2"],
        ["1", "2", "3"],
      ]),
    /members differ/,
  );
  members.settled([["1", "2", "3"]]);
  assert.throws(() => members.settled([["1", "2", "3", "4"]]), /1 2 3 4 where 1 2 3 should be/);
  assert.throws(() => members.settled([["1", "2"]]), /1 2 where 1 2 3 should be/);
});

test("watches: what was told, and lies, gaps and repeats of it", () => {
  const event = (revision: number, key: string, now?: SeenPair, previous?: SeenPair) => ({
    ...{ revision, key, pair: now, previous },
  });
  const third = pair("v3", [11, 13, 3]);
  const told: readonly WatchedEvent[] = [
    event(11, a, first),
    event(12, a, second, first),
    event(13, b, both),
    event(13, a, third, second),
    event(14, b, undefined, both),
  ];
  const range = { from: space.from, to: space.to, prevKv: true };
  const parts = { keys: space.keys, past };
  checkWatch(told, range, parts);
  checkWatch([...told, event(15, a, first, third)], range, parts);
  checkWatch([event(13, b, both), event(14, b)], { from: b, to: undefined, prevKv: false }, parts);
  const [e1, e2, e3, e4, e5] = told;
  assert.ok(e1 && e2 && e3 && e4 && e5, "there are five");
  const rows: readonly (readonly [string, readonly WatchedEvent[]])[] = [
    ["the first is lost", [e2, e3, e4, e5]],
    ["half a revision is lost", [e1, e2, e3, e5]],
    ["the last is lost", [e1, e2, e3, e4]],
    ["one comes twice", [e1, e2, e2, e3, e4, e5]],
    ["two in wrong order", [e2, e1, e3, e4, e5]],
    ["another value", [event(11, a, second), e2, e3, e4, e5]],
    ["another previous pair", [e1, event(12, a, second, second), e3, e4, e5]],
    ["a put for a deletion", [e1, e2, e3, e4, event(14, b, both, both)]],
  ];
  for (const [why, lie] of rows) {
    assert.throws(() => checkWatch(lie, range, parts), /^Violation: k7\/ to k70, event \d/, why);
  }
});
