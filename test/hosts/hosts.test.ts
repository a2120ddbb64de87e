// One cluster on five hosts, each in a network of its own: it grows, is harmed, restarted host by host,
// loses a disk and shrinks, always under load, and every history is judged. QUORLET_SEED chooses the harm,
// QUORLET_HOSTS_BLOWS how much of it.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Settled } from "../chaos/checkers/settled.ts";
import { drawBlows, strike } from "./harm.ts";
import { HostCluster } from "./hostCluster.ts";
import { Lab, noLabReason } from "./lab.ts";
import { describePhase, type PhaseResult, underLoad } from "./phase.ts";

const seed = Number(process.env.QUORLET_SEED ?? 1);
/** Each kind of harm once; one takes about two seconds. */
const blowCount = Number(process.env.QUORLET_HOSTS_BLOWS ?? 8);
const timing = { tickMs: 50, electionMs: 500 };

suite("hosts that are networks apart", { skip: noLabReason() }, () => {
  test(`keep every promise (seed ${seed})`, async (t) => {
    await using lab = await Lab.start(5);
    await using cluster = new HostCluster(lab, timing);
    const settled = new Settled();
    let phase = 0;
    const note = (what: string): void => t.diagnostic(`  ${what}`);
    const play = async (
      name: string,
      act: (note: (what: string) => void) => Promise<void>,
    ): Promise<PhaseResult> => {
      phase++;
      const result = await underLoad({ cluster, settled, seed: seed * 100 + phase, note }, act);
      t.diagnostic(`${name}: ${describePhase(result)}`);
      return result;
    };
    await cluster.begin([1]);
    await play("from one host to three", async () => {
      for (const host of [2, 3]) await cluster.add(host);
    });
    await play("harm", async (noteIt) => {
      for (const blow of drawBlows(seed, blowCount, cluster.inhabited)) {
        await strike(blow, { lab, cluster, note: noteIt });
      }
    });
    await play("a rolling restart", async () => {
      for (const host of cluster.inhabited) await cluster.roll(host);
    });
    await play("another disk for one host", async (noteIt) => {
      const host = await cluster.leader();
      noteIt(`h${host} is lost with its disk`);
      await cluster.kill(host);
      await cluster.remove(host);
      await cluster.add(host);
    });
    await play("from three hosts to five", async () => {
      for (const host of [4, 5]) await cluster.add(host);
    });
    for (const host of [4, 5]) {
      assert.match(
        cluster.outputOf(host),
        /took over a snapshot/,
        "it joined by snapshot, under load",
      );
    }
    await play("from five hosts to one", async (noteIt) => {
      while (cluster.inhabited.length > 1) {
        const leader = await cluster.leader();
        const host = cluster.inhabited.length % 2 === 0 ? leader : (cluster.inhabited[0] ?? leader);
        noteIt(`h${host} is removed`);
        await cluster.remove(host);
      }
    });
    assert.deepEqual(
      (await cluster.members()).map(({ host }) => host),
      cluster.inhabited,
    );
  });
});
