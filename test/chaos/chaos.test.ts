// Real threads and files under seeded harm: as many rounds as fit into the time that a test may take.
import assert from "node:assert/strict";
import { test } from "node:test";
import { builtMutant, chaosMutants } from "./mutants.ts";
import { describeFailure, describeRound } from "./report.ts";
import type { RoundReport } from "./round.ts";
import { describeResult, runSideBySide } from "./run.ts";
import { describeStep, drawSchedule } from "./schedule.ts";

const from = Number(process.env.QUORLET_SEED ?? 1);
const roundsWanted = Number(process.env.QUORLET_CHAOS_ROUNDS ?? 50);
/** Each in a process of its own. */
const clusters = 2;
/** Under three seconds a round are usual; on a slow machine fewer rounds run, and the test says how many. */
const msMax = 145_000;
/** With fewer the machine is too slow for this to mean anything. */
const roundsMin = 2;
/** In every other one stores are built anew; a slow machine may not get that far in some of them. */
const copiesFromRounds = 20;

test(`${roundsWanted} rounds of harm from seed ${from} keep every promise`, async (t) => {
  const lines: string[] = [];
  const isBound = process.env.QUORLET_CHAOS_ROUNDS === undefined;
  const options = {
    from,
    rounds: roundsWanted,
    msMax: isBound ? msMax : Number.POSITIVE_INFINITY,
    onRound: (report: RoundReport) => void lines.push(describeRound(report)),
  };
  const result = await runSideBySide(options, clusters);
  t.diagnostic(`seeds from ${from}: ${describeResult(result)}`);
  const { failed, rounds } = result;
  assert.ok(failed === undefined, failed && [...lines, describeFailure(failed)].join("\n"));
  if (rounds >= copiesFromRounds) assert.ok(result.copies > 0, "no store was built anew");
  assert.ok(rounds >= Math.min(roundsMin, roundsWanted), `only ${rounds} rounds in the time`);
});

test("each bug that rounds must find still has its place in the build", async () => {
  for (const mutant of chaosMutants) await builtMutant(mutant);
});

test("a seed draws the same harm every time, another seed another", () => {
  const told = (seed: number): string =>
    drawSchedule(seed)
      .map((step) => `${step.atMs}: ${describeStep(step)}`)
      .join("\n");
  const all = Array.from({ length: 200 }, (_, seed) => told(seed));
  assert.equal(new Set(all).size, 200, "seeds differ");
  for (const [seed, text] of all.entries()) assert.equal(told(seed), text, `seed ${seed}`);
  for (const harm of [
    "kill -9",
    "kill leader",
    "pause m",
    "cut leader",
    "is lost",
    "restart",
    "voter",
    "learner",
  ]) {
    assert.ok(
      all.some((text) => text.includes(harm)),
      `${harm} happens`,
    );
  }
});
