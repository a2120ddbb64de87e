// A whole cluster in one thread and in virtual time: members, network, disks, clients, faults, judges.
import { MemberId } from "../../src/base/brand.ts";
import type { Prng } from "../../src/base/prng.ts";
import type { MemberInfo } from "../../src/member/service.ts";
import { everyMember } from "../../src/raft/membership.ts";
import type { Membership } from "../../src/raft/types.ts";
import { SimDisk } from "./disk.ts";
import type { Doubles } from "./doubles.ts";
import { DurableRecord } from "./durableRecord.ts";
import { EventQueue } from "./eventQueue.ts";
import { Faults } from "./faults.ts";
import { Judges } from "./judges.ts";
import { LeaseClient } from "./leaseClient.ts";
import { LockClient } from "./lockClient.ts";
import { Network } from "./network.ts";
import type { Odds } from "./odds.ts";
import { Operator, peerUrlOf } from "./operator.ts";
import { SimMember, type World } from "./simMember.ts";
import { Sites } from "./sites.ts";
import { Trace, type TraceSink } from "./trace.ts";
import { check } from "./violation.ts";
import { WatchClient } from "./watchClient.ts";
import { Workload } from "./workload.ts";

/** From a change to what the operator does about it by hand. */
const handworkUsMax = 2_000_000;

export interface SimOptions {
  readonly random: Prng;
  readonly odds: Odds;
  readonly doubles: Doubles;
  readonly traceSink: TraceSink | undefined;
}

export class SimCluster {
  readonly queue = new EventQueue();
  readonly sites = new Sites();
  /** Those that are members now, as committed, also where they are not started yet. */
  readonly members: SimMember[];
  readonly judges: Judges;
  readonly workload: Workload;
  readonly watchClients: readonly WatchClient[];
  readonly leaseClients: readonly LeaseClient[];
  readonly lockClients: readonly LockClient[];
  readonly faults: Faults;
  readonly operator: Operator;
  readonly odds: Odds;
  readonly #world: World;
  readonly #network: Network;
  /** Those that were or may become members too. */
  readonly #all: ReadonlyMap<MemberId, SimMember>;
  /** Were members at some time. */
  readonly #known: Set<MemberId>;
  /** In the log of some member, committed or not. */
  readonly #named = new Set<MemberId>();
  #healed = false;

  constructor({ random, odds, doubles, traceSink }: SimOptions) {
    const { queue, sites } = this;
    const trace = new Trace(queue, traceSink);
    const world = { queue, random, trace, sites, odds, doubles };
    this.odds = odds;
    this.#world = world;
    const spares = odds.operator.gapUs === 0 ? 0 : odds.operator.spares;
    const ids = Array.from({ length: odds.members + spares }, (_, i) => MemberId(BigInt(i + 1)));
    const voters = ids.slice(0, odds.members);
    const membership = { voters, outgoing: [], learners: [] };
    this.#known = new Set(voters);
    const durables = new Map(ids.map((id) => [id, new DurableRecord()]));
    this.judges = new Judges(queue, durables, {
      ...{ driftMax: odds.driftMax, membership },
      onMembership: (changed) => this.#onMembership(changed),
      onLeader: (id) => this.faults.onLeader(id),
    });
    this.#network = new Network(
      {
        queue,
        random,
        trace,
        sites,
        odds: odds.network,
        onSend: (from, to, bytes) => this.judges.onSend(from, to, bytes),
        deliver: (from, to, bytes) => this.#memberOf(to).receive(from, bytes),
      },
      ids,
    );
    // Who joins has an empty log: it learns from that with whom the cluster began.
    const none = { voters: [], outgoing: [], learners: [] };
    this.#all = new Map(
      [...durables].map(([id, durable]) => {
        const given = voters.includes(id) ? membership : none;
        return [id, this.#newMember(world, id, { durable, membership: given })];
      }),
    );
    this.members = voters.map((id) => this.#memberOf(id));
    this.workload = new Workload(world, this.judges, this.members);
    const { members, workload, judges } = this;
    this.watchClients = Array.from({ length: odds.load.watchClients }, (_, id) => {
      const readUsMax = odds.load.readUsMax * (id + 1);
      const parts = { id, judge: judges.watches, members, keys: workload.keys, readUsMax };
      return new WatchClient(world, parts);
    });
    this.leaseClients = Array.from(
      { length: odds.load.leaseClients },
      (_, id) => new LeaseClient(world, { id, members, judge: judges.leases }),
    );
    this.lockClients = Array.from({ length: odds.load.lockClients }, (_, id) => {
      const latest = (): number => judges.history.latest;
      return new LockClient(world, { id, members, judge: judges.locks, latest });
    });
    this.faults = new Faults(world, this.members, this.#network);
    this.operator = new Operator(world, {
      members,
      membership: () => judges.membership,
      spares: () => ids.filter((id) => !this.#known.has(id)),
      removed: () => [...this.#known].filter((id) => !members.includes(this.#memberOf(id))),
    });
  }

  begin(): void {
    for (const member of this.members) member.start();
    this.faults.begin();
    this.operator.begin();
    this.workload.begin();
    for (const client of this.watchClients) client.begin();
    for (const client of this.leaseClients) client.begin();
    for (const client of this.lockClients) client.begin();
  }

  /**
   * No more faults. Also the disks of those that are still to come are good, and the operator starts whom
   * a member names that could not commit it: a sole voter may need the second one to lead again.
   */
  heal(): void {
    this.operator.end();
    this.faults.end();
    this.#healed = true;
    for (const member of this.#all.values()) member.disk.heal();
    for (const id of this.#named) this.#startNamed(id);
  }

  run(us: number): void {
    this.queue.runUntil(this.queue.nowUs + us);
  }

  #newMember(
    world: World,
    id: MemberId,
    { durable, membership }: { durable: DurableRecord; membership: Membership },
  ): SimMember {
    const { queue, random, sites, odds } = world;
    const { judges } = this;
    const disk = new SimDisk(
      {
        id,
        queue,
        random,
        sites,
        durable,
        odds: odds.disk,
        later: (delayUs, run) => member.later(delayUs, run),
        onSave: (write, log) => judges.onSave(id, write, log),
        mayHarm: () => this.#mayHarm(id),
        onDurable: () => judges.onDurable(id),
      },
      membership,
    );
    const onCrash = (): void => {
      this.workload.onCrash(id);
      this.operator.onCrash(id);
      for (const client of this.watchClients) client.onCrash(id);
      for (const client of this.lockClients) client.onCrash(id);
    };
    const given = (): readonly MemberInfo[] => this.#infosFor(membership);
    const onNamed = (named: MemberId): void => {
      this.#named.add(named);
      if (this.#healed) this.#startNamed(named);
    };
    const parts = { id, disk, judges, onCrash, onNamed, given, network: this.#network };
    const member = new SimMember(world, parts);
    return member;
  }

  /** What main would say: the members of the beginning, or for one that joins those of now. */
  #infosFor(beginning: Membership): readonly MemberInfo[] {
    if (this.#world.odds.operator.gapUs === 0) return [];
    const membership = beginning.voters.length > 0 ? beginning : this.judges.membership;
    return everyMember(membership).map((id) => ({
      ...{ id, name: `m${id}`, peerUrls: [peerUrlOf(id)], clientUrls: [] },
      isLearner: membership.learners.includes(id),
    }));
  }

  /** The operator starts who was added, and later takes down who was removed and does not know. */
  #onMembership(membership: Membership): void {
    const { queue, random, trace } = this.#world;
    const ids = everyMember(membership);
    if (trace.on) {
      const { voters, outgoing, learners } = membership;
      trace.line(`committed: voters ${voters}; outgoing ${outgoing}; learners ${learners}`);
    }
    for (const id of ids) {
      const member = this.#memberOf(id);
      if (this.members.includes(member)) continue;
      check(!this.#known.has(id), "membership", () => `m${id} was removed and is a member again`);
      this.#known.add(id);
      this.members.push(member);
      queue.after(random.integer(handworkUsMax), () => member.start());
    }
    for (const member of this.members.filter(({ id }) => !ids.includes(id))) {
      this.members.splice(this.members.indexOf(member), 1);
      queue.after(random.integer(handworkUsMax), () => member.retire());
    }
  }

  /** Nobody who was a member once: those are started, or must stay down. */
  #startNamed(id: MemberId): void {
    if (this.#known.has(id)) return;
    const { queue, random } = this.#world;
    queue.after(random.integer(handworkUsMax), () => this.#memberOf(id).start());
  }

  /** A minority may be harmed at a time: who gives no vote must not be needed for a quorum. */
  #mayHarm(id: MemberId): boolean {
    const others = this.members.filter((member) => member.id !== id);
    const harmed = 1 + others.filter(({ disk }) => disk.isHarmed).length;
    return 2 * harmed < this.members.length;
  }

  #memberOf(id: MemberId): SimMember {
    const member = this.#all.get(id);
    if (member === undefined) throw new RangeError(`no member ${id}`);
    return member;
  }
}
