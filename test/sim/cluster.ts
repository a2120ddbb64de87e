// A whole cluster in one thread and in virtual time: members, network, disks, clients, faults, judges.
import { MemberId } from "../../src/base/brand.ts";
import type { Prng } from "../../src/base/prng.ts";
import type { Membership } from "../../src/raft/types.ts";
import { SimDisk } from "./disk.ts";
import type { Doubles } from "./doubles.ts";
import { DurableRecord } from "./durableRecord.ts";
import { EventQueue } from "./eventQueue.ts";
import { Faults } from "./faults.ts";
import { Judges } from "./judges.ts";
import { LeaseClient } from "./leaseClient.ts";
import { Network } from "./network.ts";
import type { Odds } from "./odds.ts";
import { SimMember, type World } from "./simMember.ts";
import { Sites } from "./sites.ts";
import { Trace, type TraceSink } from "./trace.ts";
import { WatchClient } from "./watchClient.ts";
import { Workload } from "./workload.ts";

export interface SimOptions {
  readonly random: Prng;
  readonly odds: Odds;
  readonly doubles: Doubles;
  readonly traceSink: TraceSink | undefined;
}

export class SimCluster {
  readonly queue = new EventQueue();
  readonly sites = new Sites();
  readonly members: readonly SimMember[];
  readonly judges: Judges;
  readonly workload: Workload;
  readonly watchClients: readonly WatchClient[];
  readonly leaseClients: readonly LeaseClient[];
  readonly faults: Faults;
  readonly #network: Network;

  constructor({ random, odds, doubles, traceSink }: SimOptions) {
    const { queue, sites } = this;
    const trace = new Trace(queue, traceSink);
    const world = { queue, random, trace, sites, odds, doubles };
    const ids = Array.from({ length: odds.members }, (_, i) => MemberId(BigInt(i + 1)));
    const durables = new Map(ids.map((id) => [id, new DurableRecord()]));
    this.judges = new Judges(queue, durables, odds);
    this.#network = new Network(
      {
        ...{ queue, random, trace, sites, odds: odds.network },
        onSend: (from, to, bytes) => this.judges.onSend(from, to, bytes),
        deliver: (from, to, bytes) => this.#memberOf(to).receive(from, bytes),
      },
      ids,
    );
    const membership = { voters: ids, outgoing: [], learners: [] };
    this.members = [...durables].map(([id, durable]) =>
      this.#newMember(world, id, { durable, membership }),
    );
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
    this.faults = new Faults(world, this.members, this.#network);
  }

  begin(): void {
    for (const member of this.members) member.start();
    this.faults.begin();
    this.workload.begin();
    for (const client of this.watchClients) client.begin();
    for (const client of this.leaseClients) client.begin();
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
        ...{ id, queue, random, sites, durable, odds: odds.disk },
        later: (delayUs, run) => member.later(delayUs, run),
        onSave: (write, log) => judges.onSave(id, write, log),
        mayHarm: () => this.#mayHarm(id),
        onDurable: () => judges.onDurable(id),
      },
      membership,
    );
    const onCrash = (): void => {
      this.workload.onCrash(id);
      for (const client of this.watchClients) client.onCrash(id);
    };
    const member = new SimMember(world, { id, disk, judges, onCrash, network: this.#network });
    return member;
  }

  /** A minority may be harmed at a time: who gives no vote must not be needed for a quorum. */
  #mayHarm(id: MemberId): boolean {
    const others = this.members.filter((member) => member.id !== id);
    const harmed = 1 + others.filter(({ disk }) => disk.isHarmed).length;
    return 2 * harmed < this.members.length;
  }

  #memberOf(id: MemberId): SimMember {
    const member = this.members[Number(id) - 1];
    if (member === undefined) throw new RangeError(`no member ${id}`);
    return member;
  }
}
