// Raft's promises under random faults; a failing seed replays byte for byte.
import { test } from "node:test";
import { RandomCluster } from "./randomCluster.ts";

const oneSeed = process.env.QUORLET_SEED;
const seedFirst = Number(oneSeed ?? 1);
const seedCount = oneSeed === undefined ? Number(process.env.QUORLET_SEEDS ?? 400) : 1;
const stepCount = 2500;

test(`${seedCount} random clusters keep Raft's promises and recover`, () => {
  for (let seed = seedFirst; seed < seedFirst + seedCount; seed++) run(seed);
});

function run(seed: number): void {
  const cluster = new RandomCluster(seed);
  try {
    cluster.disturb(stepCount);
    cluster.heal();
  } catch (error) {
    const lines = `QUORLET_SEED=${seed}\n${cluster.trace(40)}`;
    throw new Error(`seed ${seed}: ${String(error)}\n${lines}`, { cause: error });
  }
}
