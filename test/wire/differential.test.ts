// Quorlet and a real etcd get the same random KV requests; every field of every answer is compared.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runDifferential } from "../support/differential.ts";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { Server } from "../support/server.ts";
import type { WireAnswer } from "../support/wireClient.ts";

const binary = findEtcd();
const skip = binary ? false : noEtcdReason;
const seed = Number(process.env.QUORLET_SEED ?? Date.now() % 1_000_000);
const requestCount = Number(process.env.QUORLET_DIFF_REQUESTS ?? 5000);
/** The oracle need not survive a power cut. */
const flags = ["--unsafe-no-fsync"];

test("random KV requests get the answers of a real etcd", { skip }, async (t) => {
  assert.ok(binary);
  await using oracle = await Etcd.start({ binary, flags });
  await using subject = await Server.start({ members: 3 });
  t.diagnostic(`seed ${seed}`);
  const { counts, revision } = await runDifferential({ seed, requestCount, oracle, subject });
  t.diagnostic(`${requestCount} requests up to revision ${revision}: ${show(counts)}`);
});

test("two real etcds do not differ, and a changed answer is found", { skip }, async (t) => {
  assert.ok(binary);
  await using oracle = await Etcd.start({ binary, flags });
  await using subject = await Etcd.start({ binary, flags });
  t.diagnostic(`seed ${seed}`);
  const changedAt = 400;
  let reached = 0;
  const tamper = (_: unknown, answer: WireAnswer, number: number): WireAnswer => {
    reached = number;
    if (number < changedAt) return answer;
    return answer.kind === "ok" ? changed(answer.message) : { ...answer, text: `${answer.text}.` };
  };
  const run = runDifferential({ seed, requestCount: changedAt, oracle, subject, tamper });
  await assert.rejects(run, new RegExp(`seed ${seed}, request ${changedAt} of`));
  assert.equal(reached, changedAt, "the answers before the changed one agree");
});

/** The same answer with its header revision set to 1,000,000 by a later copy of the field. */
function changed(message: Buffer): WireAnswer {
  const header = Buffer.from("0a0418c0843d", "hex");
  return { kind: "ok", message: Buffer.concat([message, header]) };
}

function show(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .map(([label, count]) => `${label} ${count}`)
    .sort()
    .join(", ");
}
