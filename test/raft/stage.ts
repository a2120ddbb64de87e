// Members on a stage: every message waits until it is delivered by hand, and all that happens is told.
import assert from "node:assert/strict";
import { LogIndex, type MemberId, noMember, Term } from "../../src/base/brand.ts";
import type { RaftConfig } from "../../src/raft/config.ts";
import { describeEntries, describeMessage, describeSnapshot } from "../../src/raft/describe.ts";
import type { Message } from "../../src/raft/message.ts";
import type { ProposeResult, Ready } from "../../src/raft/ready.ts";
import type { Entry, Membership } from "../../src/raft/types.ts";
import { MemoryLog } from "./memoryLog.ts";
import { TestMember } from "./testMember.ts";

/** How a member starts: terms of its entries, then its hard state. */
export interface Start {
  readonly terms?: readonly number[];
  readonly term?: number;
  readonly vote?: MemberId;
  readonly commit?: number;
  /** Entries up to here are in a snapshot. */
  readonly snapshot?: number;
}

export class Stage {
  readonly #members = new Map<MemberId, TestMember>();
  readonly #config: Partial<RaftConfig>;
  /** Members whose writes wait for `persist`. */
  readonly #held = new Set<MemberId>();
  readonly #cut = new Set<MemberId>();
  readonly #states = new Map<MemberId, string>();
  readonly #applied = new Map<MemberId, string[]>();
  #network: Message[] = [];
  #told: string[] = [];

  constructor(config: Partial<RaftConfig> = {}) {
    this.#config = config;
  }

  add(
    id: MemberId,
    { voters, learners = [] }: { voters: readonly MemberId[]; learners?: readonly MemberId[] },
    start: Start = {},
  ): void {
    const log = new MemoryLog(voters, learners);
    preload(log, start, { voters, outgoing: [], learners });
    const hooks = {
      send: (message: Message) => this.#send(message),
      onReady: (ready: Ready) => this.#onReady(id, ready),
    };
    // Patience grows with the id, so that the lowest times out first.
    const random = { integer: (below: number) => Number(id - 1n) % below };
    this.#members.set(id, new TestMember({ id, log, random, hooks }, this.#config));
    this.#states.set(id, this.#stateOf(id));
  }

  get ids(): readonly MemberId[] {
    return [...this.#members.keys()];
  }

  get network(): readonly Message[] {
    return this.#network;
  }

  member(id: MemberId): TestMember {
    const member = this.#members.get(id);
    assert.ok(member, `no member ${id}`);
    return member;
  }

  /** Texts of normal entries a member applied, barriers left out. */
  applied(id: MemberId): readonly string[] {
    return this.#applied.get(id) ?? [];
  }

  terms(id: MemberId): readonly number[] {
    return this.member(id)
      .log.all()
      .map(({ term }) => term);
  }

  /** Does something to a member and carries out what follows from it. */
  act(id: MemberId, what: (member: TestMember) => void): void {
    const member = this.member(id);
    what(member);
    this.#turn(member);
    const state = this.#stateOf(id);
    if (state === this.#states.get(id)) return;
    this.#states.set(id, state);
    this.#told.unshift(state);
  }

  /** @returns what happened since the last call. */
  tell(): readonly string[] {
    const told = this.#told;
    this.#told = [];
    return told;
  }

  hold(id: MemberId): void {
    this.#held.add(id);
  }

  release(id: MemberId): void {
    this.#held.delete(id);
  }

  cut(ids: readonly MemberId[]): void {
    for (const id of ids) this.#cut.add(id);
  }

  heal(): void {
    this.#cut.clear();
  }

  /** Takes the messages that `which` picks off the network. */
  take(which: (message: Message) => boolean): readonly Message[] {
    const taken = this.#network.filter(which);
    this.#network = this.#network.filter((message) => !which(message));
    return taken;
  }

  /** Delivers messages, in order, all of one member in one turn; @returns how many. */
  deliver(which: (message: Message) => boolean = () => true): number {
    const messages = this.take(which);
    for (const id of this.#members.keys()) {
      const mine = messages.filter(({ to }) => to === id);
      if (mine.length === 0) continue;
      const before = this.#told;
      this.#told = [];
      this.act(id, ({ node }) => {
        for (const message of mine) node.step(message);
      });
      this.#told = [...before, ...this.#told];
    }
    return messages.length;
  }

  settle(): void {
    for (let round = 0; round < 100; round++) if (this.deliver() === 0) return;
    assert.fail("messages without end");
  }

  tick(ids: readonly MemberId[], count: number): void {
    for (let i = 0; i < count; i++) {
      for (const id of ids) this.act(id, ({ node }) => node.tick());
    }
  }

  /** Lets `id` win an election, everything delivered. */
  elect(id: MemberId): void {
    this.act(id, ({ node }) => node.campaign());
    this.settle();
    assert.equal(this.member(id).node.role, "leader", `${id} was not elected`);
    this.tell();
  }

  propose(id: MemberId, ...texts: readonly string[]): ProposeResult {
    let result: ProposeResult = "noLeader";
    this.act(id, ({ node }) => {
      result = node.propose(texts.map((text) => Buffer.from(text)));
    });
    return result;
  }

  restart(id: MemberId, config: Partial<RaftConfig> = {}, survivors = 0): void {
    this.#applied.delete(id);
    const merged = { ...this.#config, ...config };
    this.act(id, (member) => member.restart({ survivors, config: merged }));
  }

  /** The member comes back with an earlier log of these terms. */
  damage(id: MemberId, terms: readonly number[]): void {
    this.#applied.delete(id);
    this.act(id, (member) => member.damage(terms, this.#config));
  }

  /** The member comes back under its id with nothing but the list of members. */
  wipe(id: MemberId): void {
    const { voters, learners } = this.member(id).node.membership;
    this.#applied.delete(id);
    this.add(id, { voters, learners });
  }

  #turn(member: TestMember): void {
    member.pump();
    while (member.unsavedCount > 0 && !this.#held.has(member.id)) {
      member.persist();
      member.pump();
    }
  }

  #send(message: Message): void {
    this.#told.push(describeMessage(message));
    if (this.#cut.has(message.from) === this.#cut.has(message.to)) this.#network.push(message);
    else this.#told.push(`${this.#told.pop()} (lost)`);
  }

  #onReady(id: MemberId, { committed, snapshot, readStates, readsLost }: Ready): void {
    if (snapshot) this.#told.push(`${id} installs ${describeSnapshot(snapshot)}`);
    if (committed.length > 0) this.#told.push(`${id} applies ${describeEntries(committed)}`);
    for (const { requestId, index } of readStates) {
      this.#told.push(`${id} read ${requestId} at ${index}`);
    }
    for (const requestId of readsLost) this.#told.push(`${id} read ${requestId} lost`);
    const texts = this.#applied.get(id) ?? [];
    for (const { data, kind } of committed)
      if (kind === 0) texts.push(Buffer.from(data).toString());
    this.#applied.set(id, texts);
  }

  #stateOf(id: MemberId): string {
    const { node } = this.member(id);
    const { role, term, vote, leader } = node.status();
    const refilling = node.isRefilling ? " refilling" : "";
    const leading = leader === noMember || leader === id ? "" : ` leader=${leader}`;
    return `${id} ${role} term=${term} vote=${vote === noMember ? "none" : vote}${leading}${refilling}`;
  }
}

const preloadedData = Buffer.from("..");

function preload(log: MemoryLog, start: Start, membership: Membership): void {
  const { terms = [], commit = 0, vote = noMember, snapshot = 0 } = start;
  const term = Term(start.term ?? terms.at(-1) ?? 0);
  const entries: readonly Entry[] = terms.map((entryTerm, i) => ({
    term: Term(entryTerm),
    index: LogIndex(i + 1),
    kind: 0,
    data: preloadedData,
  }));
  const hardState = { term, vote, commit: LogIndex(Math.max(commit, snapshot)) };
  log.preload({ hardState, entries, snapshot: undefined });
  if (snapshot > 0) log.compact(LogIndex(snapshot), membership);
}
