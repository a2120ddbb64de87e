// What befalls a cluster on several hosts, always under load, and every history is judged; the same
// wherever the hosts are.
import assert from "node:assert/strict";
import { Settled } from "../chaos/checkers/settled.ts";
import { type Blow, drawBlows, everyKind, strike } from "./harm.ts";
import { HostCluster } from "./hostCluster.ts";
import { describePhase, underLoad } from "./phase.ts";
import type { Site } from "./site.ts";

const timing = { tickMs: 50, electionMs: 500 };

export interface ScenarioParts {
  readonly site: Site;
  readonly seed: number;
  /** Told as it goes. */
  readonly note: (what: string) => void;
}

/**
 * It grows, is harmed, restarted host by host, loses a disk and shrinks; on five hosts.
 *
 * @param parts.blowCount each kind of harm once in eight; one takes about two seconds.
 */
export async function wholeLife(
  parts: ScenarioParts & { readonly blowCount: number },
): Promise<void> {
  await using cluster = new HostCluster(parts.site, timing);
  const play = player(parts, cluster);
  await cluster.begin([1]);
  await play("from one host to three", async () => {
    for (const host of [2, 3]) await cluster.add(host);
  });
  await play("harm", harm(parts, cluster, { count: parts.blowCount, kinds: everyKind }));
  await play("a rolling restart", async () => {
    for (const host of cluster.inhabited) await cluster.roll(host);
  });
  await play("another disk for one host", async (note) => {
    const host = await cluster.leader();
    note(`h${host} is lost with its disk`);
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
  await play("from five hosts to one", async (note) => {
    while (cluster.inhabited.length > 1) {
      const leader = await cluster.leader();
      const host = cluster.inhabited.length % 2 === 0 ? leader : (cluster.inhabited[0] ?? leader);
      note(`h${host} is removed`);
      await cluster.remove(host);
    }
  });
  assert.deepEqual(
    (await cluster.members()).map(({ host }) => host),
    cluster.inhabited,
  );
}

/** A cluster of three on ways that fail. */
export async function hardTimes(parts: ScenarioParts): Promise<void> {
  await using cluster = new HostCluster(parts.site, timing);
  await cluster.begin([1, 2, 3]);
  const kinds = ["isolate", "deafen"] as const;
  const act = harm(parts, cluster, { count: kinds.length, kinds });
  await player(parts, cluster)("hard times", act);
}

type Act = (note: (what: string) => void) => Promise<void>;
type Play = (name: string, act: Act) => Promise<void>;

function player({ seed, note }: ScenarioParts, cluster: HostCluster): Play {
  const settled = new Settled();
  let phase = 0;
  return async (name, act) => {
    phase++;
    const inner = (what: string): void => note(`  ${what}`);
    const result = await underLoad(
      { cluster, settled, seed: seed * 100 + phase, note: inner },
      act,
    );
    note(`${name}: ${describePhase(result)}`);
  };
}

function harm(
  { site, seed }: ScenarioParts,
  cluster: HostCluster,
  drawn: { readonly count: number; readonly kinds: readonly Blow["kind"][] },
): Act {
  return async (note) => {
    for (const blow of drawBlows(seed, { ...drawn, hosts: cluster.inhabited })) {
      await strike(blow, { site, cluster, note });
    }
  };
}
