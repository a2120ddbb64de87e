// Everything that one seed decides beforehand: size, network, disks, faults and load.
import type { Prng } from "../../src/base/prng.ts";

/** Parts of 1000 by which clocks may differ where leases answer reads: two ticks of eight allow for more. */
const leaseDriftMax = 10;

/** "Once in so many"; 0 is never. Times in microseconds of virtual time. */
export interface Odds {
  readonly members: number;
  readonly faultsUs: number;
  readonly network: NetworkOdds;
  readonly disk: DiskOdds;
  readonly faults: FaultOdds;
  readonly load: LoadOdds;
  readonly operator: OperatorOdds;
  /** A member's clock is off by at most this, in parts of 1000. */
  readonly driftMax: number;
  /** Written rows that a member keeps in memory; the others it reads from its store. */
  readonly recentBytesMax: number;
  /** Time of a lease after which what is left of it is written to the log. */
  readonly leaseCheckpointSec: number;
  /** Entries after which a log is compacted; 0: as many as users have, never within a run. */
  readonly compactEntries: number;
  /** From the first event of a turn to its end. */
  readonly turnUsMax: number;
  /** Data bytes of one append to a peer. */
  readonly appendBytesMax: number;
  /** 1: leaders answer reads by their lease; clocks then keep pace, and nobody is put to sleep. */
  readonly leaseReads: number;
  /** Until then members campaign without asking first; then each is restarted with pre-vote on. */
  readonly preVoteFromUs: number;
}

export interface NetworkOdds {
  readonly delayUsMin: number;
  readonly delayUsMax: number;
  readonly loss: number;
  readonly double: number;
  /** A frame that may be overtaken by later ones. */
  readonly reorder: number;
}

export interface DiskOdds {
  /** Memory, or segment files synced in this way. */
  readonly log: "memory" | "inline" | "pooled";
  readonly syncUsMax: number;
  readonly storeUsMax: number;
  /** A save whose completion takes a hundred times longer. */
  readonly stall: number;
  /** A save of the log or a batch of the store that fails, and with it the member. */
  readonly fail: number;
  /**
   * A crash after which the log has a flipped bit, lost a sector or holds it elsewhere, or the store is
   * gone. Only what the log can know of (damage.ts), and never so many members at a time that those
   * which hold everything are no majority: with fewer of them nobody may vote, and nobody should.
   */
  readonly harm: number;
}

export interface OperatorOdds {
  /** Mean time between changes of membership that are asked for; 0: none, and no spares. */
  readonly gapUs: number;
  /** Members that may be added, each once. */
  readonly spares: number;
  /** Removals that are asked for, for every five other changes. */
  readonly removes: number;
  /** Whoever leads, or thinks so, is asked rather than anybody. */
  readonly asksLeaders: number;
  /** 1: what could cost the quorum is refused, as in etcd. */
  readonly strict: number;
  /** 1: learners become voters by themselves. */
  readonly promote: number;
  /** Mean time between stores that are to be built anew; 0, as every seed draws it: never. */
  readonly defragmentUs: number;
}

export interface FaultOdds {
  /** Mean time between faults; 0: none. */
  readonly gapUs: number;
  readonly downUsMax: number;
  readonly pauseUsMax: number;
  readonly cutUsMax: number;
  /** An election that splits the network at once, with the new leader on one side. */
  readonly splitAtElection: number;
  /** Shares of each kind. */
  readonly weights: Readonly<Record<FaultKind, number>>;
}

export const faultKinds = [
  "crash",
  "crashLeader",
  "crashAll",
  "crashLoop",
  "crashAtSite",
  "stop",
  "campaign",
  "transfer",
  "pause",
  "split",
  "isolate",
  "isolateLeader",
  "sideline",
  "cutOneWay",
  "slowLink",
  "heal",
  "slowDisk",
  "fullDisk",
  "clock",
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface LoadOdds {
  readonly clients: number;
  readonly keys: number;
  readonly thinkUsMax: number;
  /** A request that its client gives up before the answer. */
  readonly giveUp: number;
  /** A value of kilobytes. */
  readonly large: number;
  readonly serializable: number;
  readonly compact: number;
  readonly leaseClients: number;
  readonly lockClients: number;
  /** Goes on for so long when all heals; 0: what was lost must be sent again though nobody asks. */
  readonly afterUs: number;
  readonly watchClients: number;
  /** Between two looks of a watching client at what came; the first reads this often, the next slower. */
  readonly readUsMax: number;
}

export function drawOdds(random: Prng): Odds {
  return agreed(drawAll(random));
}

/** Without what cannot be had together. */
export function agreed(odds: Odds): Odds {
  const { operator, leaseReads, disk, faults, driftMax } = odds;
  const { weights } = faults;
  return {
    ...odds,
    // Which minority may be harmed is not decided while the members change.
    disk: operator.gapUs === 0 ? disk : { ...disk, harm: 0 },
    // A lease trusts the clocks of all: that they keep pace, and that nobody campaigns before its time.
    ...(leaseReads > 0 && {
      driftMax: Math.min(driftMax, leaseDriftMax),
      faults: { ...faults, weights: { ...weights, campaign: 0 } },
    }),
  };
}

function drawAll(random: Prng): Odds {
  const pick = (...values: readonly number[]): number => values[random.integer(values.length)] ?? 0;
  const weights = drawWeights(random);
  return {
    members: pick(1, 3, 3, 3, 3, 3, 3, 5, 5),
    faultsUs: pick(8, 15, 25) * 1e6,
    network: {
      delayUsMin: pick(20, 200),
      delayUsMax: pick(300, 2_000, 20_000, 80_000),
      loss: pick(0, 0, 50, 10),
      double: pick(0, 100, 10),
      reorder: pick(0, 100, 5),
    },
    disk: {
      log: drawLog(random),
      syncUsMax: pick(50, 1_000, 10_000, 60_000),
      storeUsMax: pick(500, 20_000, 500_000),
      stall: pick(0, 0, 300, 50),
      fail: pick(0, 0, 0, 2_000),
      harm: pick(0, 0, 3, 10),
    },
    faults: {
      gapUs: pick(0, 100_000, 300_000, 1_000_000, 3_000_000),
      downUsMax: pick(5_000, 500_000, 4_000_000),
      pauseUsMax: pick(200_000, 3_000_000),
      cutUsMax: pick(500_000, 3_000_000, 10_000_000),
      splitAtElection: pick(0, 0, 0, 5),
      weights,
    },
    load: {
      clients: pick(1, 3, 5, 8),
      keys: pick(1, 2, 4, 10),
      thinkUsMax: pick(20_000, 100_000, 300_000, 1_000_000),
      giveUp: pick(0, 0, 20),
      large: pick(0, 20),
      serializable: pick(2, 5, 20),
      compact: pick(0, 0, 100, 20),
      leaseClients: pick(0, 0, 1, 4),
      lockClients: pick(0, 0, 0, 3),
      afterUs: pick(2_000_000, 2_000_000, 2_000_000, 0),
      watchClients: pick(0, 1, 2, 3),
      readUsMax: pick(1_000, 50_000, 700_000),
    },
    driftMax: pick(0, 10, 150),
    recentBytesMax: pick(0, 2_000, 16 << 20),
    leaseCheckpointSec: pick(1, 300),
    compactEntries: pick(0, 0, 2, 10, 40),
    turnUsMax: pick(1, 50, 1_000),
    preVoteFromUs: pick(0, 0, 0, 4_000_000),
    appendBytesMax: pick(1 << 20, 1 << 20, 100),
    leaseReads: pick(0, 0, 0, 1),
    operator: {
      gapUs: pick(0, 0, 300_000, 1_500_000),
      spares: pick(1, 3),
      removes: pick(1, 1, 3),
      asksLeaders: pick(0, 2),
      strict: pick(0, 1, 1),
      promote: pick(0, 0, 1),
      defragmentUs: 0,
    },
  };
}

function drawLog(random: Prng): DiskOdds["log"] {
  const kind = random.integer(8);
  if (kind >= 4) return "memory";
  return kind === 0 ? "inline" : "pooled";
}

/** A seed that draws every kind tells less than one that insists on a few. */
function drawWeights(random: Prng): Readonly<Record<FaultKind, number>> {
  const draw = (): number => (random.oneIn(2) ? random.integer(4) : 0);
  return {
    crash: draw(),
    crashLeader: draw(),
    crashAll: random.oneIn(4) ? 1 : 0,
    crashLoop: draw(),
    crashAtSite: 1 + draw(),
    stop: draw(),
    campaign: draw(),
    transfer: draw(),
    pause: draw(),
    split: draw(),
    isolate: draw(),
    isolateLeader: draw(),
    sideline: draw(),
    cutOneWay: draw(),
    slowLink: draw(),
    heal: 1 + draw(),
    slowDisk: draw(),
    fullDisk: random.integer(2),
    clock: random.integer(2),
  };
}

/** One line per group, for a failing seed. */
export function describeOdds(odds: Odds): readonly string[] {
  return Object.entries(odds).map(([name, value]) =>
    typeof value === "number" ? `${name} ${value}` : `${name} ${describeGroup(value)}`,
  );
}

const describeGroup = (group: object): string =>
  Object.entries(group)
    .map(
      ([name, value]) =>
        `${name}=${typeof value === "object" ? `(${describeGroup(value)})` : value}`,
    )
    .join(" ");
