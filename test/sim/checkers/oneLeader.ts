// Election safety: at most one leader per term, one vote per member and term, its own included, which is
// durable before it counts; and terms that only rise.
import { type MemberId, noMember, type Term } from "../../../src/base/brand.ts";
import type { MemberStatus } from "../../../src/member/service.ts";
import type { HardState } from "../../../src/raft/types.ts";
import { check, Violation } from "../violation.ts";

const name = "oneLeader";

export class OneLeader {
  readonly #leaders = new Map<Term, MemberId>();
  /** By member: the vote that its disk acknowledged in each term. */
  readonly #votes = new Map<MemberId, { readonly term: Term; readonly vote: MemberId }>();

  /** @returns true when this is a leader that was not known. */
  afterTurn({ id, role, term }: MemberStatus): boolean {
    if (role !== "leader") return false;
    const kept = this.#votes.get(id);
    if (kept === undefined || kept.term < term || (kept.term === term && kept.vote !== id)) {
      throw new Violation(name, `m${id} leads term ${term}, its own vote is not durable`);
    }
    const known = this.#leaders.get(term);
    if (known === id) return false;
    check(known === undefined, name, () => `m${known} and m${id} lead term ${term}`);
    this.#leaders.set(term, id);
    return true;
  }

  /** What the member's disk holds now, as the member was told or as it found it. */
  onDurable(id: MemberId, { term, vote }: HardState): void {
    const last = this.#votes.get(id);
    // Nearly every save repeats both.
    if (last?.term === term && last.vote === vote) return;
    if (last !== undefined) {
      check(term >= last.term, name, () => `m${id} went from term ${last.term} back to ${term}`);
      const keeps = term > last.term || last.vote === noMember || vote === last.vote;
      check(keeps, name, () => `m${id} votes for m${last.vote} and m${vote} in term ${term}`);
    }
    this.#votes.set(id, { term, vote });
  }
}
