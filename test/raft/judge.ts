// Judges a cluster by Raft's promises (Raft paper, figure 3), from outside and after every turn.
import assert from "node:assert/strict";
import { LogIndex, type MemberId, type Term } from "../../src/base/brand.ts";
import { changed, decodeChange } from "../../src/raft/membership.ts";
import type { Ready } from "../../src/raft/ready.ts";
import { type Entry, EntryKind, type Membership } from "../../src/raft/types.ts";
import type { TestMember } from "./testMember.ts";

interface Committed {
  readonly entry: Entry;
  /** In force once this entry is applied. */
  readonly membership: Membership;
}

export class Judge {
  readonly #members: ReadonlyMap<MemberId, TestMember>;
  readonly #leaders = new Map<Term, MemberId>();
  /** What any member ever applied; position is index - 1. */
  readonly #committed: Committed[] = [];
  readonly #applied = new Map<MemberId, number>();
  /** Index that each read has to reach. */
  readonly #reads = new Map<number, number>();
  #highestCommit = 0;

  constructor(members: ReadonlyMap<MemberId, TestMember>) {
    this.#members = members;
  }

  onReady(member: TestMember, ready: Ready): void {
    if (ready.snapshot) this.#onSnapshot(member, ready.snapshot.index, ready.snapshot.term);
    for (const entry of ready.committed) this.#onCommitted(member, entry);
    for (const { requestId, index } of ready.readStates) {
      const least = this.#reads.get(requestId) ?? 0;
      assert.ok(index >= least, `read ${requestId} at ${index} misses commit ${least}`);
    }
  }

  afterTurn(member: TestMember): void {
    const { id, role, term, commit } = member.node.status();
    this.#highestCommit = Math.max(this.#highestCommit, commit);
    if (role !== "leader") return;
    const known = this.#leaders.get(term);
    assert.ok(known === undefined || known === id, `${known} and ${id} lead term ${term}`);
    if (known !== undefined) return;
    this.#leaders.set(term, id);
    this.#checkCompleteness(member, term);
    this.#checkLogMatching();
  }

  onRestart({ id, log }: TestMember): void {
    this.#applied.set(id, log.firstIndex() - 1);
  }

  readBegins(requestId: number): void {
    this.#reads.set(requestId, this.#highestCommit);
  }

  membershipAt(index: LogIndex): Membership | undefined {
    return this.#committed[index - 1]?.membership;
  }

  /** One leader, and each of its members has applied all, `lastProposal` included or lost. */
  converged(lastProposal: number): boolean {
    const leaders = [...this.#members.values()].filter(({ node }) => node.role === "leader");
    const top = leaders.sort((a, b) => b.node.term - a.node.term)[0]?.node;
    if (!top || top.membership.outgoing.length > 0) return false;
    const { commit, lastIndex } = top.status();
    if (commit !== lastIndex || !this.#holds(lastProposal)) return false;
    const everyone = [...top.membership.voters, ...top.membership.learners];
    return everyone.every((id) => this.#members.get(id)?.node.status().applied === commit);
  }

  /** Some recent proposal must have been committed since healing began. */
  #holds(lastProposal: number): boolean {
    return this.#committed.some(
      ({ entry }) => Number(Buffer.from(entry.data).toString()) > lastProposal - 4,
    );
  }

  /** State machine safety: nothing else is ever applied at an index. */
  #onCommitted(member: TestMember, entry: Entry): void {
    const { id, log } = member;
    const before = this.#applied.get(id) ?? 0;
    assert.equal(entry.index, before + 1, `${id} applies out of order`);
    this.#applied.set(id, entry.index);
    assert.equal(log.durableTerm(entry.index), entry.term, `${id} applies what its disk lacks`);
    const known = this.#committed[entry.index - 1];
    if (known) {
      assert.equal(entry.term, known.entry.term, `${id} applies another ${entry.index}`);
      assert.deepEqual(entry.data, known.entry.data, `${id} applies another ${entry.index}`);
      return;
    }
    assert.equal(this.#committed.length, entry.index - 1, "commits have no gaps");
    this.#committed.push({ entry, membership: this.#membershipAfter(entry, member) });
  }

  #membershipAfter(entry: Entry, member: TestMember): Membership {
    const before = this.#committed.at(-1)?.membership ?? member.log.initialState().membership;
    if (entry.kind !== EntryKind.membership) return before;
    const decoded = decodeChange(entry.data);
    assert.ok(decoded, "a change can be read");
    const after = changed(before, decoded.change);
    return typeof after === "string" ? before : after;
  }

  #onSnapshot({ id }: TestMember, index: LogIndex, term: Term): void {
    assert.equal(this.#committed[index - 1]?.entry.term, term, `${id} takes a false snapshot`);
    this.#applied.set(id, index);
  }

  /** Leader completeness: whoever wins an election holds all that was ever committed. */
  #checkCompleteness({ id, log }: TestMember, term: Term): void {
    for (const { entry } of this.#committed) {
      if (entry.index < log.firstIndex() || entry.term >= term) continue;
      const held = log.term(entry.index) === entry.term;
      assert.ok(held, `${id} leads term ${term} without ${entry.index}@${entry.term}`);
    }
  }

  /** Log matching: two logs that agree at one place agree at all places before it. */
  #checkLogMatching(): void {
    const seen = new Map<string, string>();
    for (const { log } of this.#members.values()) {
      for (const entry of log.all()) {
        const before = log.term(LogIndex(entry.index - 1));
        if (before === undefined) continue;
        const place = `${entry.index}@${entry.term}`;
        const found = `after @${before}: ${Buffer.from(entry.data).toString("hex")}`;
        const known = seen.get(place) ?? found;
        assert.equal(found, known, `logs differ at ${place}`);
        seen.set(place, found);
      }
    }
  }
}
