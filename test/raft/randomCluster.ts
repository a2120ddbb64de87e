// Up to five members under one seed: a network that loses, doubles and reorders, disks that forget.
import assert from "node:assert/strict";
import { LogIndex, MemberId } from "../../src/base/brand.ts";
import { Prng } from "../../src/base/prng.ts";
import type { RaftConfig } from "../../src/raft/config.ts";
import { describeMessage } from "../../src/raft/describe.ts";
import type { MembershipChange } from "../../src/raft/membership.ts";
import type { Message } from "../../src/raft/message.ts";
import type { Ready } from "../../src/raft/ready.ts";
import { Judge } from "./judge.ts";
import { MemoryLog } from "./memoryLog.ts";
import { TestMember } from "./testMember.ts";

const networkMax = 300;

/** How often one thing happens: once in so many steps. */
interface Odds {
  readonly loss: number;
  readonly double: number;
  readonly crash: number;
  readonly partition: number;
  readonly change: number;
  readonly compact: number;
}

export class RandomCluster {
  readonly #random: Prng;
  readonly #odds: Odds;
  readonly #config: Partial<RaftConfig>;
  readonly #members = new Map<MemberId, TestMember>();
  readonly #judge: Judge;
  readonly #cut = new Set<MemberId>();
  #network: Message[] = [];
  #trace: string[] = [];
  #lastRequest = 0;
  #lastProposal = 0;
  #faults = true;

  constructor(seed: number) {
    const random = new Prng(seed);
    this.#random = random;
    const pick = (...odds: readonly number[]): number => odds[random.integer(odds.length)] ?? 0;
    this.#odds = {
      loss: pick(0, 10, 30),
      double: pick(0, 10, 30),
      crash: pick(0, 60, 300),
      partition: pick(0, 100, 400),
      change: pick(0, 0, 60, 200),
      compact: pick(0, 60, 200),
    };
    const lease = random.oneIn(4);
    this.#config = {
      preVote: random.oneIn(2),
      checkQuorum: lease || random.oneIn(2),
      readMode: lease ? "lease" : "readIndex",
      inflightMax: pick(1, 2, 8),
      maxAppendBytes: pick(8, 64, 1024),
      committedBytesMax: pick(8, 1024),
    };
    const ids = [1n, 2n, 3n, 4n, 5n].map(MemberId);
    const voters = ids.slice(0, pick(1, 2, 3, 3, 3, 5));
    this.#judge = new Judge(this.#members);
    for (const id of ids) this.#members.set(id, this.#newMember(id, voters));
  }

  #newMember(id: MemberId, voters: readonly MemberId[]): TestMember {
    const hooks = {
      send: (message: Message) => this.#send(message),
      onReady: (ready: Ready) => this.#onReady(id, ready),
    };
    const log = new MemoryLog(voters);
    return new TestMember({ id, log, random: this.#random, hooks }, this.#config);
  }

  /** Phase one: anything may fail, and only safety is judged. */
  disturb(steps: number): void {
    for (let i = 0; i < steps; i++) this.#step();
  }

  /** Phase two: everything heals, and the members must agree and go on. */
  heal(): void {
    this.#faults = false;
    this.#cut.clear();
    this.#trace.push("heal");
    for (let round = 0; round < 400; round++) {
      this.#tickAll();
      this.#settle();
      if (round > 60 && this.#judge.converged(this.#lastProposal)) return;
      if (round % 10 === 0) this.#proposeSomewhere();
    }
    assert.fail("no progress after healing");
  }

  trace(lines: number): string {
    return this.#trace.slice(-lines).join("\n");
  }

  #step(): void {
    const { loss, double, crash, partition, change, compact } = this.#odds;
    const random = this.#random;
    const kind = random.integer(100);
    if (kind < 55) this.#deliverOne({ loss, double });
    else if (kind < 70) this.#tick();
    else if (kind < 85) this.#persistOne();
    else if (kind < 90) this.#proposeSomewhere();
    else if (kind < 94) this.#readSomewhere();
    else if (random.oneIn(8)) this.#transferSomewhere();
    if (random.oneIn(crash)) this.#crashOne();
    if (random.oneIn(partition)) this.#repartition();
    if (random.oneIn(change)) this.#changeMembership();
    if (random.oneIn(compact)) this.#compactOne();
  }

  #anyMember(): TestMember {
    const members = [...this.#members.values()];
    const member = members[this.#random.integer(members.length)];
    assert.ok(member);
    return member;
  }

  #send(message: Message): void {
    if (this.#cut.has(message.from) !== this.#cut.has(message.to)) return;
    if (this.#network.length < networkMax) this.#network.push(message);
  }

  #onReady(id: MemberId, ready: Ready): void {
    const member = this.#members.get(id);
    if (member) this.#judge.onReady(member, ready);
  }

  #deliverOne({ loss, double }: { loss: number; double: number }): void {
    if (this.#network.length === 0) return;
    // Mostly in order; now and then something overtakes.
    const at = this.#random.oneIn(4) ? this.#random.integer(this.#network.length) : 0;
    const [message] = this.#random.oneIn(double)
      ? this.#network.slice(at, at + 1)
      : this.#network.splice(at, 1);
    if (!message || this.#random.oneIn(loss)) return;
    this.#deliver(message);
  }

  #deliver(message: Message): void {
    const member = this.#members.get(message.to);
    if (!member) return;
    this.#trace.push(describeMessage(message));
    member.node.step(message);
    this.#pump(member);
  }

  /** Turns of the event loop end at random moments. */
  #pump(member: TestMember): void {
    if (this.#faults && this.#random.oneIn(3)) return;
    member.pump();
    this.#judge.afterTurn(member);
  }

  #tick(): void {
    // Leases trust that time passes alike everywhere.
    if (this.#config.readMode === "lease") this.#tickAll();
    else this.#tickOne(this.#anyMember());
  }

  #tickAll(): void {
    for (const member of this.#members.values()) this.#tickOne(member);
  }

  #tickOne(member: TestMember): void {
    member.node.tick();
    this.#pump(member);
  }

  #persistOne(): void {
    const member = this.#anyMember();
    if (member.unsavedCount === 0) return;
    this.#trace.push(`${member.id} persists`);
    member.persist();
    this.#pump(member);
  }

  #proposeSomewhere(): void {
    const member = this.#anyMember();
    const data = Buffer.from(String(++this.#lastProposal));
    const result = member.node.propose([data]);
    this.#trace.push(`${member.id} proposes ${this.#lastProposal}: ${result}`);
    this.#pump(member);
  }

  #readSomewhere(): void {
    const member = this.#anyMember();
    const requestId = ++this.#lastRequest;
    this.#trace.push(`${member.id} reads ${requestId}`);
    this.#judge.readBegins(requestId);
    member.node.readIndex(requestId);
    this.#pump(member);
  }

  #transferSomewhere(): void {
    const from = this.#anyMember();
    const to = this.#anyMember();
    // A follower that is told to campaign outruns leases, which stop for the rest of the term.
    if (from.node.transferLeadership(to.id)) this.#trace.push(`${from.id} transfers to ${to.id}`);
    this.#pump(from);
  }

  #crashOne(): void {
    const member = this.#anyMember();
    const survivors = this.#random.integer(member.log.pendingCount + 1);
    this.#trace.push(`${member.id} crashes, ${survivors} writes survive`);
    const config = { ...this.#config, preVote: this.#random.oneIn(2) };
    member.restart({ survivors, config });
    this.#judge.onRestart(member);
  }

  #repartition(): void {
    this.#cut.clear();
    if (this.#random.oneIn(2)) return;
    for (const id of this.#members.keys()) if (this.#random.oneIn(2)) this.#cut.add(id);
    this.#network = this.#network.filter(
      ({ from, to }) => this.#cut.has(from) === this.#cut.has(to),
    );
    this.#trace.push(`cut ${[...this.#cut].join(",")}`);
  }

  #changeMembership(): void {
    const member = this.#anyMember();
    const { id } = this.#anyMember();
    const some = [...this.#members.keys()].filter(() => this.#random.oneIn(2));
    const changes: readonly MembershipChange[] = [
      { kind: "addVoter", id },
      { kind: "addLearner", id },
      { kind: "promote", id },
      { kind: "remove", id },
      { kind: "joint", voters: some, learners: some.includes(id) ? [] : [id] },
    ];
    const change = changes[this.#random.integer(changes.length)];
    if (!change) return;
    const result = member.node.proposeMembership(change);
    this.#trace.push(`${member.id} changes ${change.kind} ${id} (${some.join(",")}): ${result}`);
    this.#pump(member);
  }

  #compactOne(): void {
    const member = this.#anyMember();
    const { applied } = member.node.status();
    // Only what the disk holds as applied may go; and raft must not be in the middle of a turn.
    const index = LogIndex(Math.min(applied, member.log.durableLast()));
    if (index < member.log.firstIndex() || member.log.pendingCount > 0) return;
    const membership = this.#judge.membershipAt(index);
    if (membership) member.log.compact(index, membership);
  }

  /** Delivers and persists until nothing moves. */
  #settle(): void {
    for (let turn = 0; turn < 1000; turn++) {
      const messages = this.#network;
      this.#network = [];
      for (const message of messages) this.#deliver(message);
      let moved = messages.length > 0;
      for (const member of this.#members.values()) {
        member.pump();
        this.#judge.afterTurn(member);
        while (member.unsavedCount > 0) {
          member.persist();
          member.pump();
          moved = true;
        }
      }
      if (!moved) return;
    }
    assert.fail("messages without end");
  }
}
