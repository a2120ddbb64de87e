// What the leases need to know of raft and the state machine, always as of now.
import type { Applier } from "../apply/applier.ts";
import type { LogIndex, MemberId, Revision, Term } from "../base/brand.ts";
import type { Lessor } from "../lease/lessor.ts";
import type { RaftNode } from "../raft/node.ts";

export class LeaseView {
  readonly #raft: RaftNode;
  readonly #state: () => Applier;

  /** @param state the state machine in use: another one after a snapshot. */
  constructor(raft: RaftNode, state: () => Applier) {
    this.#raft = raft;
    this.#state = state;
  }

  get lessor(): Lessor {
    return this.#state().lessor;
  }

  get revision(): Revision {
    return this.#state().revision;
  }

  get leader(): MemberId {
    return this.#raft.leader;
  }

  get term(): Term {
    return this.#raft.term;
  }

  /**
   * The term that this member leads, once an entry of it is applied: then it knows all that its
   * predecessors decided. Undefined otherwise.
   */
  get ledTerm(): Term | undefined {
    const { role, term } = this.#raft;
    return role === "leader" && this.#state().appliedTerm === term ? term : undefined;
  }

  get applied(): LogIndex {
    return this.#state().applied;
  }

  get isRefilling(): boolean {
    return this.#raft.isRefilling;
  }
}
