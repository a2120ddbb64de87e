// What befalls the hosts of a site, drawn from a seed before anything happens.
import { setTimeout as wait } from "node:timers/promises";
import { Prng } from "../../src/base/prng.ts";
import type { HostCluster } from "./hostCluster.ts";
import type { Site } from "./site.ts";

export interface Blow {
  readonly kind: "kill" | "pause" | "cut" | "mute" | "deafen" | "isolate" | "lose" | "delay";
  /** Whoever leads when its time comes, or a host by its number. */
  readonly target: number | "leader";
  /** The other end, where there is one. */
  readonly peer: number;
  /** How long it lasts. */
  readonly ms: number;
  readonly percent: number;
}

const msMin = 200;
const msSpread = 800;
const percentMax = 30;
const pairs = ["cut", "mute", "deafen"] as const;
/** Every kind once in so many blows: an order of them all, drawn anew when it is used up. */
export const everyKind = ["kill", "pause", "isolate", ...pairs, "lose", "delay"] as const;

export function drawBlows(
  seed: number,
  {
    count,
    kinds,
    hosts,
  }: { count: number; kinds: readonly Blow["kind"][]; hosts: readonly number[] },
): readonly Blow[] {
  const random = new Prng(seed);
  const blows: Blow[] = [];
  let left: Blow["kind"][] = [];
  while (blows.length < count) {
    if (left.length === 0) left = [...kinds];
    const [kind = "kill"] = left.splice(random.integer(left.length), 1);
    const target = hosts[random.integer(hosts.length)] ?? 1;
    const others = hosts.filter((host) => host !== target);
    blows.push({
      ...{ kind, target: random.oneIn(2) ? "leader" : target },
      peer: others[random.integer(others.length)] ?? 1,
      ms: msMin + random.integer(msSpread),
      percent: 1 + random.integer(percentMax),
    });
  }
  return blows;
}

/** Carries out one blow and heals it; resolves when the host that was hit runs again. */
export async function strike(
  blow: Blow,
  { site, cluster, note }: { site: Site; cluster: HostCluster; note: (what: string) => void },
): Promise<void> {
  const leader = blow.target === "leader" ? await cluster.leader() : 0;
  const hosts = cluster.inhabited;
  const target = blow.target === "leader" ? leader || (hosts[0] ?? 1) : blow.target;
  const others = hosts.filter((host) => host !== target);
  const peer = blow.peer === target ? (others[0] ?? 1) : blow.peer;
  note(`${blow.kind} h${target}${target === leader ? ", the leader," : ""} for ${blow.ms} ms`);
  switch (blow.kind) {
    case "kill":
      await cluster.kill(target);
      await wait(blow.ms);
      await cluster.restart(target);
      return;
    case "pause":
      cluster.pause(target);
      await wait(blow.ms);
      cluster.resume(target);
      return;
    case "isolate":
      for (const other of others) await both(site, target, other);
      break;
    case "cut":
      await both(site, target, peer);
      break;
    case "mute":
      for (const other of others) await site.cut(target, other);
      break;
    case "deafen":
      for (const other of others) await site.cut(other, target);
      break;
    case "lose":
      for (const host of hosts) await site.lose(host, blow.percent);
      break;
    case "delay":
      if (!(await site.delay(target, blow.percent))) note("no delay: this kernel has no netem");
      break;
  }
  await wait(blow.ms);
  await site.mend();
}

async function both(site: Site, a: number, b: number): Promise<void> {
  await site.cut(a, b);
  await site.cut(b, a);
}
