// What goes wrong and when: crashes at any step, pauses, drifting clocks, partitions, slow disks.
import type { MemberId } from "../../src/base/brand.ts";
import type { Network } from "./network.ts";
import { type FaultKind, faultKinds } from "./odds.ts";
import type { SimMember, World } from "./simMember.ts";
import { crashSites, imageSites } from "./sites.ts";

/** A member told to crash at a site does so within this many passages. */
const passagesMax = 30;
const slownessMax = 400;
/** Longer than an election: what arrives is news of another time. */
const slowLinkUsMax = 4_000_000;
/** A link that gets slower and slower does so in steps. */
const slowerByUs = 200_000;
const slowerEachUs = 250_000;
/** Time for the others to write more than their logs keep. */
const lagUs = 1_000_000;
/** A member in a crash loop lives about this long, this many times. */
const loopLifeUsMax = 400_000;
const loopCrashesMax = 6;

export class Faults {
  readonly #world: World;
  readonly #members: readonly SimMember[];
  readonly #network: Network;
  readonly #lots: readonly FaultKind[];
  readonly #acts: Readonly<Record<FaultKind, (member: SimMember) => void>> = {
    crash: (member) => this.#crash(member),
    crashLeader: (member) => this.#crash(this.#leader() ?? member),
    crashAll: () => {
      for (const member of this.#members) this.#crash(member);
    },
    crashLoop: (member) => this.#crashAgain(member, 1 + this.#world.random.integer(loopCrashesMax)),
    crashAtSite: (member) => this.#armSite(member),
    stop: (member) => this.#stop(member),
    campaign: (member) => member.handle({ kind: "campaign" }),
    transfer: (member) => this.#transfer(member),
    pause: (member) => member.pause(this.#upTo(this.#world.odds.faults.pauseUsMax)),
    split: (member) => this.#split((each) => each !== member && this.#world.random.oneIn(2)),
    isolate: (member) => this.#split((each) => each === member),
    isolateLeader: (member) => {
      const leader = this.#leader() ?? member;
      this.#split((each) => each === leader);
    },
    sideline: (member) => this.#sideline(this.#leader() ?? member),
    cutOneWay: (member) => this.#cutOneWay(member),
    slowLink: (member) => this.#slowLink(member),
    heal: () => this.#network.mend(),
    slowDisk: (member) => this.#slowDown(member),
    fullDisk: (member) => member.disk.fill(),
    clock: (member) => this.#skew(member),
  };
  #running = true;
  #hasLeader = false;

  constructor(world: World, members: readonly SimMember[], network: Network) {
    this.#world = world;
    this.#members = members;
    this.#network = network;
    const { weights } = world.odds.faults;
    this.#lots = faultKinds.flatMap((kind) => Array.from({ length: weights[kind] }, () => kind));
  }

  begin(): void {
    for (const member of this.#members) this.#skew(member);
    const { queue, odds } = this.#world;
    if (odds.faults.gapUs > 0) this.#next();
    const { preVoteFromUs } = odds;
    if (preVoteFromUs === 0) return;
    queue.after(preVoteFromUs, () => {
      this.#world.sites.count("preVote.on");
      for (const member of this.#members) this.#crash(member);
    });
  }

  /** Somebody was elected, whom hardly anybody has heard yet. */
  onLeader(id: MemberId): void {
    const { random, odds, sites } = this.#world;
    const isFirst = !this.#hasLeader;
    this.#hasLeader = true;
    if (!this.#running || isFirst || !random.oneIn(odds.faults.splitAtElection)) return;
    sites.count("splitAtElection");
    // Who led before may be cut off from all: it finds others now, or stays alone.
    this.#network.mend();
    this.#split((each) => each.id !== id && random.oneIn(2));
  }

  /** Everything heals, everybody is up. */
  end(): void {
    this.#running = false;
    const { trace, sites } = this.#world;
    if (trace.on) trace.line("heal");
    this.#network.heal();
    for (const member of this.#members) {
      sites.disarm(member.id);
      member.disk.heal();
      member.wake();
      member.start();
    }
  }

  #next(): void {
    const { queue, random, odds } = this.#world;
    const { gapUs } = odds.faults;
    queue.after(1 + random.integer(2 * gapUs), () => {
      if (!this.#running) return;
      const kind = this.#lots[random.integer(this.#lots.length)];
      if (kind !== undefined) this.#happen(kind);
      this.#next();
    });
  }

  #happen(kind: FaultKind): void {
    const { trace, sites } = this.#world;
    const member = this.#anyMember();
    if (trace.on) trace.line(`fault ${kind} (m${member.id})`);
    sites.count(kind);
    this.#acts[kind](member);
  }

  #anyMember(): SimMember {
    const member = this.#members[this.#world.random.integer(this.#members.length)];
    if (member === undefined) throw new RangeError("a cluster has members");
    return member;
  }

  #leader(): SimMember | undefined {
    return this.#members.find(({ member }) => member?.status().role === "leader");
  }

  #upTo(usMax: number): number {
    return 1 + this.#world.random.integer(usMax);
  }

  #crash(member: SimMember): void {
    if (!member.isUp) return;
    member.crash("fault");
    member.restartLater(this.#upTo(this.#world.odds.faults.downUsMax));
  }

  #crashAgain(member: SimMember, crashesLeft: number): void {
    if (crashesLeft === 0 || !this.#running) return;
    member.crash("loop");
    member.restartLater(1_000);
    this.#world.queue.after(this.#upTo(loopLifeUsMax), () =>
      this.#crashAgain(member, crashesLeft - 1),
    );
  }

  #stop(member: SimMember): void {
    member.handle({ kind: "stop" });
    this.#crash(member);
  }

  #armSite(member: SimMember): void {
    const { random, sites, odds } = this.#world;
    // Nothing is cut and no snapshot needed where logs are kept whole.
    const kinds = odds.compactEntries === 0 ? 1 : 2;
    const armed = random.integer(kinds) === 0 ? crashSites : imageSites;
    const site = armed[random.integer(armed.length)];
    if (site === undefined || !member.isUp) return;
    if (armed === imageSites) {
      // It passes there only when it has missed so much that it needs a snapshot.
      member.crash("lags behind");
      member.restartLater(lagUs + this.#upTo(this.#world.odds.faults.downUsMax));
    }
    // Logs are cut behind batches of the store, a few times in a life.
    const isRare = armed === imageSites || site.startsWith("log.compact");
    sites.arm(member.id, site, this.#upTo(isRare ? 1 : passagesMax));
  }

  /** The operator wants another leader; whatever comes of it. */
  #transfer(to: SimMember): void {
    const { sites } = this.#world;
    const completion = {
      onMoved: () => sites.count("transfer.done"),
      onRefused: () => sites.count("transfer.refused"),
    };
    this.#leader()?.visit((service) => service.transferLeadership(to.id, completion));
  }

  /** Two sides that do not hear one another, for a while. */
  #split(isApart: (member: SimMember) => boolean): void {
    const apart = new Set(this.#members.filter(isApart));
    for (const a of this.#members) {
      for (const b of this.#members) {
        if (apart.has(a) !== apart.has(b)) this.#network.cut(a.id, b.id);
      }
    }
    this.#mendLater();
  }

  /** A member that hears but is not heard, or the other way round, by all or by one. */
  #cutOneWay(member: SimMember): void {
    const { random } = this.#world;
    const [outwards, one] = [random.oneIn(2), random.oneIn(2) ? this.#anyMember() : undefined];
    for (const other of this.#members) {
      if (other === member || (one !== undefined && other !== one)) continue;
      if (outwards) this.#network.cut(member.id, other.id);
      else this.#network.cut(other.id, member.id);
    }
    this.#mendLater();
  }

  /** Nobody hears it, and it hears old news for a while: it does not know that it is alone. */
  #sideline(member: SimMember): void {
    const slowUsMax = this.#upTo(slowLinkUsMax);
    const others = this.#members.filter((each) => each !== member);
    // Step by step, or a silence would tell.
    const slowDown = (us: number): void => {
      if (!this.#running) return;
      if (us < slowUsMax) {
        for (const { id } of others) this.#network.slow(id, member.id, us);
        this.#world.queue.after(slowerEachUs, () => slowDown(us + slowerByUs));
        return;
      }
      for (const { id } of others) this.#network.cut(member.id, id);
      this.#mendLater();
    };
    slowDown(slowerByUs);
  }

  /** What a member hears, or what others hear of it, comes seconds late, from all or from one. */
  #slowLink(member: SimMember): void {
    const { random } = this.#world;
    const [outwards, one] = [random.oneIn(3), random.oneIn(2) ? this.#anyMember() : undefined];
    const us = this.#upTo(slowLinkUsMax);
    for (const other of this.#members) {
      if (other === member || (one !== undefined && other !== one)) continue;
      if (outwards) this.#network.slow(member.id, other.id, us);
      else this.#network.slow(other.id, member.id, us);
    }
    this.#mendLater();
  }

  #mendLater(): void {
    const us = this.#upTo(this.#world.odds.faults.cutUsMax);
    this.#world.queue.after(us, () => this.#network.mend());
  }

  #slowDown({ disk }: SimMember): void {
    disk.slowness = this.#upTo(slownessMax);
    this.#world.queue.after(this.#upTo(this.#world.odds.faults.pauseUsMax), () => {
      disk.slowness = 1;
    });
  }

  #skew({ clock }: SimMember): void {
    const { random, odds } = this.#world;
    clock.setRate(1 + (random.integer(2 * odds.driftMax + 1) - odds.driftMax) / 1000);
  }
}
