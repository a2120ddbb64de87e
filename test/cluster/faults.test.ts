// Harm on request: what a killed, paused or cut off member does, and that it ends when it is told to.
import assert from "node:assert/strict";
import test from "node:test";
import { Cluster } from "../../src/quorlet.ts";
import { KvClient } from "../support/kvClient.ts";
import { untilAnswered } from "../support/turns.ts";

/** Short elections, so that a member that hears nobody notices soon. */
const timing = { tickMs: 20, electionTicks: 10, heartbeatTicks: 1 };
/** Longer than any test: only `mend` ends it. */
const foreverMs = 60_000;

interface Cast {
  readonly cluster: Cluster;
  readonly leader: string;
  readonly followers: readonly [string, string];
  readonly at: (name: string) => KvClient;
}

async function play(scene: (cast: Cast) => Promise<void>): Promise<void> {
  await using cluster = await Cluster.start({ members: 3, timing });
  const clients = new Map(cluster.members.map((m) => [m.name, new KvClient(m.endpoint)]));
  const leader = leaderOf(cluster);
  const [first, second] = cluster.members.map((m) => m.name).filter((name) => name !== leader);
  assert.ok(leader && first && second, "one member of three leads");
  const at = (name: string) => clients.get(name) ?? assert.fail(`${name} is a member`);
  try {
    await scene({ cluster, leader, followers: [first, second], at });
  } finally {
    for (const client of clients.values()) client.close();
  }
}

const leaderOf = (cluster: Cluster, except?: string): string | undefined =>
  cluster.members.find(({ name, role }) => role === "leader" && name !== except)?.name;

const handleOf = (cluster: Cluster, wanted: string) =>
  cluster.members.find(({ name }) => name === wanted) ?? assert.fail(`${wanted} is a member`);

/** A member refuses while it knows no leader. */
const soon = <T>(ask: () => Promise<T> | T): Promise<T> => untilAnswered(ask, "it is answered");

test("a leader that stands still is replaced, answers nobody, and obeys when it goes on", () =>
  play(async ({ cluster, leader, followers, at }) => {
    await at(leader).put("k", "before");
    cluster.faults.pause(leader, foreverMs);
    await soon(() => assert.ok(leaderOf(cluster, leader), "another member leads"));
    let answered = false;
    const read = soon(() => at(leader).get("k")).finally(() => {
      answered = true;
    });
    for (let i = 0; i < 20; i++) await soon(() => at(followers[0]).put("k", `${i}`));
    assert.equal(answered, false, "a thread that stands still answers nothing");
    cluster.faults.mend();
    assert.equal((await read)?.value, "19");
  }));

test("a pause ends by itself", () =>
  play(async ({ cluster, leader, at }) => {
    cluster.faults.pause(leader, 1);
    // Only one that really stood still loses its office; where elections are slow, not the first time.
    let pauses = 0;
    for (; leaderOf(cluster, leader) === undefined; pauses++) {
      cluster.faults.pause(leader, 600);
      await soon(() => at(leader).put("k", "v"));
    }
    assert.ok(pauses > 0 && pauses < 50, `${pauses} pauses`);
    await soon(() => at(leader).put("k", "v"));
    assert.equal(cluster.members.filter(({ role }) => role === "leader").length, 1);
  }));

test("a paused member can be killed, and comes back", () =>
  play(async ({ cluster, followers: [victim], at }) => {
    cluster.faults.pause(victim, foreverMs);
    await cluster.faults.kill(victim);
    assert.equal(handleOf(cluster, victim).state, "down");
    await handleOf(cluster, victim).restart();
    await soon(() => at(victim).put("k", "v"));
  }));

test("a leader that is cut off is replaced; healed, it has what the others wrote", () =>
  play(async ({ cluster, leader, followers, at }) => {
    await at(leader).put("k", "before");
    for (const peer of followers) cluster.faults.cut(leader, peer);
    const lost = assert.rejects(at(leader).put("k", "lost"), "no quorum hears of it");
    for (let i = 0; i < 20; i++) await soon(() => at(followers[1]).put("k", `${i}`));
    await lost;
    cluster.faults.mend();
    assert.equal((await soon(() => at(leader).get("k")))?.value, "19");
  }));

test("a cut in one direction lets the other one through, and outlives restarts", () =>
  play(async ({ cluster, leader, followers: [mute, other], at }) => {
    cluster.faults.cut(mute, leader, "oneWay");
    cluster.faults.cut(mute, other, "oneWay");
    await cluster.faults.kill(mute);
    await handleOf(cluster, mute).restart();
    // It hears the leader, which alone can have told it who leads.
    const { id } = handleOf(cluster, leader);
    await soon(async () => assert.equal(await at(mute).leader(), id));
    await soon(() => at(leader).put("k", "v"));
    // It is not heard: with the third one gone the leader has no majority.
    await cluster.faults.kill(other);
    await assert.rejects(at(leader).put("k", "w"), "one of three is no majority");
    cluster.faults.mend();
    await soon(() => at(leader).put("k", "x"));
  }));

test("names and durations that make no sense are refused", () =>
  play(async ({ cluster: { faults }, leader, followers: [peer], at }) => {
    assert.throws(() => faults.pause("m9", 10), /^RangeError: there is no member m9$/);
    assert.throws(() => faults.cut(leader, "m9"), /^RangeError: there is no member m9$/);
    assert.throws(() => faults.cut(leader, leader), /^RangeError: \w+ has no link to itself$/);
    await assert.rejects(faults.kill("m9"), /^RangeError: there is no member m9$/);
    for (const ms of [0, -1, Number.NaN, 60_001, Number.POSITIVE_INFINITY]) {
      assert.throws(() => faults.pause(peer, ms), /^RangeError: a pause takes 1 to 60000 ms/);
    }
    await at(peer).put("k", "unharmed");
  }));
