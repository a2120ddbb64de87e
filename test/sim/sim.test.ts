// The simulator on a few seeds, that a seed tells the same twice, and that each broken part is found.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { projectRoot } from "../support/paths.ts";
import {
  bribedLink,
  type Doubles,
  forgetfulLog,
  forgingLink,
  hastyLog,
  hastyReader,
  leakyEngine,
  originlessEngine,
  repeatingMember,
} from "./doubles.ts";
import { withFocus } from "./focus.ts";
import { runSeed, type Verdict } from "./runSeed.ts";

const oneSeed = process.env.QUORLET_SEED;
const seedFirst = Number(oneSeed ?? 1);
const seedCount = oneSeed === undefined ? 40 : 1;

test(`${seedCount} seeds keep every promise`, () => {
  for (let seed = seedFirst; seed < seedFirst + seedCount; seed++) {
    const { violation, odds } = runSeed(seed);
    if (violation === undefined) continue;
    const { checker, message, stack } = violation;
    const lines = [`npm run sim -- --seed ${seed} --trace`, ...odds, stack];
    assert.fail(`seed ${seed}: ${checker}: ${message}\n${lines.join("\n")}`);
  }
});

const defragmentSeeds = 10;

test(`${defragmentSeeds} seeds in which stores are built anew all the time`, () => {
  let count = 0;
  for (let seed = seedFirst; seed < seedFirst + defragmentSeeds; seed++) {
    const { violation, odds, faults } = runSeed(seed, {
      odds: (drawn) => withFocus(drawn, { operator: { defragmentUs: 150_000 } }),
    });
    count += faults.get("defragmented") ?? 0;
    if (violation === undefined) continue;
    assert.fail(`seed ${seed}: ${violation.message}\n${[...odds, violation.stack].join("\n")}`);
  }
  assert.ok(count > defragmentSeeds, `${count} times`);
});

function traced(seed: number): { lines: readonly string[]; verdict: Verdict } {
  const lines: string[] = [];
  const verdict = runSeed(seed, { traceSink: (line) => void lines.push(line) });
  return { lines, verdict };
}

test("a seed tells the same twice, in another process, and untold", () => {
  const seed = 2;
  const first = traced(seed);
  assert.ok(first.lines.length > 1000);
  assert.deepEqual(traced(seed), first);
  assert.deepEqual(runSeed(seed), first.verdict, "telling changes nothing");
  const args = ["--import", "tsx", "test/sim/main.ts", "--seed", String(seed), "--trace"];
  const { stdout, status } = spawnSync(process.execPath, args, {
    cwd: projectRoot,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  assert.equal(status, 0, stdout.slice(-2000));
  assert.equal(stdout.slice(0, first.lines.join("\n").length), first.lines.join("\n"));
  assert.match(stdout, /\nno violations\n$/);
});

test("what faults a seed had is counted", () => {
  const { faults, answered, operations, entries } = runSeed(3);
  assert.ok([...faults.values()].some((count) => count > 0));
  assert.ok(answered > 0 && operations >= answered && entries > 0);
});

/** Seeds within which a broken part must be found. */
const seedsMax = 80;

const mutants: readonly {
  readonly name: string;
  readonly make: () => Doubles;
  /** Checkers that may find it first. */
  readonly by: readonly string[];
}[] = [
  {
    name: "a log that acknowledges before it is durable",
    make: () => hastyLog,
    by: ["promises", "committed"],
  },
  { name: "a log that forgets votes", make: () => forgetfulLog, by: ["promises", "oneLeader"] },
  { name: "a link that forges commits", make: () => forgingLink, by: ["committed"] },
  {
    name: "a link that grants every vote",
    make: () => bribedLink,
    by: ["promises", "oneLeader", "logMatching"],
  },
  {
    name: "a store that loses rows",
    make: leakyEngine,
    // The store or the list of members notices the gap and stops its member: "member" in a turn of
    // its own, "simulator" while it starts.
    by: [
      ...["progress", "answers", "history", "equalState", "watches", "leases"],
      ...["member", "simulator"],
    ],
  },
  {
    name: "a store that forgets which batches were applied",
    make: () => originlessEngine,
    by: ["history", "equalState", "writes", "leases", "watches"],
  },
  { name: "a member that proposes twice", make: repeatingMember, by: ["writes", "leases"] },
  {
    name: "a member that reads without asking",
    make: () => hastyReader,
    by: ["answers", "watches"],
  },
];

for (const { name, make, by } of mutants) {
  test(`${name} is found`, () => {
    for (let seed = 1; seed <= seedsMax; seed++) {
      const { violation } = runSeed(seed, { doubles: make() });
      if (violation === undefined) continue;
      assert.ok(by.includes(violation.checker), `${violation.checker}: ${violation.message}`);
      return;
    }
    assert.fail(`not found within ${seedsMax} seeds`);
  });
}
