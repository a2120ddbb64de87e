// The register search against rows that a reader can judge, and against trying all orders.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.ts";
import { checkRegister, type RegisterCall } from "./checkers/registers.ts";
import type { Operation } from "./operation.ts";
import { Violation } from "./violation.ts";

const never = Number.POSITIVE_INFINITY;

type Times = readonly [callUs: number, returnUs: number];

function operation(id: number, [callUs, returnUs]: Times): Operation {
  return {
    ...{ id, client: id, action: { kind: "put", key: "k", value: "" }, callUs, floor: 0 },
    ...{ state: returnUs === never ? "unknown" : "done", returnUs, revision: 0 },
    ...{ seen: undefined, swapped: false },
  };
}

let lastId = 0;
function call(times: Times, parts: Pick<RegisterCall, "found" | "wrote">): RegisterCall {
  const [callUs, returnUs] = times;
  return { op: operation(++lastId, times), callUs, returnUs, ...parts };
}
const put = (value: string, ...times: Times) => call(times, { wrote: { value } });
const del = (...times: Times) => call(times, { wrote: { value: undefined } });
const get = (value: string | undefined, ...times: Times) => call(times, { found: { value } });
const swap = (from: string | undefined, to: string, ...times: Times) =>
  call(times, { found: { value: from }, wrote: { value: to } });

function isLinearizable(calls: readonly RegisterCall[]): boolean {
  try {
    checkRegister("k", calls);
    return true;
  } catch (error) {
    assert.ok(error instanceof Violation);
    assert.doesNotMatch(error.message, /undecided/);
    return false;
  }
}

test("histories of one register", () => {
  const rows = [
    { calls: [], want: true, why: "nothing happened" },
    { calls: [get(undefined, 1, 2)], want: true, why: "empty at first" },
    { calls: [put("a", 1, 2), get("a", 3, 4)], want: true, why: "reads what was written" },
    { calls: [put("a", 1, 2), get(undefined, 3, 4)], want: false, why: "a stale read" },
    { calls: [put("a", 1, 5), get(undefined, 2, 3)], want: true, why: "not written yet" },
    { calls: [put("a", 1, 5), get("a", 2, 3)], want: true, why: "written already" },
    {
      calls: [put("a", 1, 9), get("a", 2, 3), get(undefined, 4, 5)],
      want: false,
      why: "seen, then gone",
    },
    { calls: [put("a", 1, 2), del(3, 4), get("a", 5, 6)], want: false, why: "deleted before" },
    { calls: [put("a", 1, 2), del(3, never), get("a", 5, 6)], want: true, why: "not deleted yet" },
    {
      calls: [put("a", 1, 2), del(3, never), get(undefined, 5, 6), get(undefined, 7, 8)],
      want: true,
      why: "an unanswered delete happened",
    },
    {
      calls: [put("a", 1, 2), del(3, never), get(undefined, 5, 6), get("a", 7, 8)],
      want: false,
      why: "an unanswered delete cannot be undone",
    },
    {
      calls: [put("a", 1, never), get("a", 5, 6), put("b", 7, 8), get("a", 9, 10)],
      want: false,
      why: "an unanswered put happens once",
    },
    {
      calls: [put("b", 7, 8), get("a", 9, 10), put("a", 1, never)],
      want: true,
      why: "an unanswered put may happen late",
    },
    { calls: [get("a", 1, 2), put("a", 3, never)], want: false, why: "not before its call" },
    {
      calls: [put("a", 1, 2), swap("a", "b", 3, 9), swap("a", "c", 4, 8)],
      want: false,
      why: "two swaps of one value",
    },
    {
      calls: [put("a", 1, 2), swap("a", "b", 3, 9), swap("b", "c", 4, 8), get("c", 10, 11)],
      want: true,
      why: "one swap after the other",
    },
  ];
  for (const { calls, want, why } of rows) assert.equal(isLinearizable(calls), want, why);
});

test("the search agrees with trying all orders", () => {
  let linearizable = 0;
  for (let seed = 1; seed <= 3000; seed++) {
    const calls = randomCalls(new Prng(seed));
    const want = someOrderFits(calls, new Set(), undefined);
    assert.equal(isLinearizable(calls), want, `seed ${seed}: ${JSON.stringify(calls)}`);
    if (want) linearizable++;
  }
  assert.ok(linearizable > 300 && linearizable < 2700, `${linearizable} of 3000 are linearizable`);
});

function randomCalls(random: Prng): readonly RegisterCall[] {
  const values = [undefined, "v1", "v2", "v3", "v4", "v5"];
  return Array.from({ length: 2 + random.integer(4) }, (_, i) => {
    const callUs = random.integer(20);
    const some = values[random.integer(4)];
    const own = `v${i + 1}`;
    const kind = random.integer(5);
    const isRead = kind === 0;
    const returnUs = !isRead && random.oneIn(4) ? never : callUs + 1 + random.integer(12);
    if (isRead) return get(some, callUs, returnUs);
    if (kind === 1) return del(callUs, returnUs);
    return kind === 2 ? swap(some, own, callUs, returnUs) : put(own, callUs, returnUs);
  });
}

/** Whether the calls that are not in `done` can follow, one after the other, on `value`. */
function someOrderFits(
  calls: readonly RegisterCall[],
  done: ReadonlySet<RegisterCall>,
  value: string | undefined,
): boolean {
  const left = calls.filter((each) => !done.has(each));
  if (left.every(({ returnUs }) => returnUs === never)) return true;
  const returnUsMin = Math.min(...left.map(({ returnUs }) => returnUs));
  return left.some((each) => {
    const fits = each.found === undefined || each.found.value === value;
    if (each.callUs > returnUsMin || !fits) return false;
    return someOrderFits(calls, new Set([...done, each]), each.wrote ? each.wrote.value : value);
  });
}
