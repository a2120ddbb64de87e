// Headers of answers: who answered, at which revision, in which term.

import type { MemberService } from "../member/service.ts";
import { encodeHeaderIds } from "../proto/encodeResponses.ts";
import type { AnswerHeader } from "../proto/responses.ts";

export class Headers {
  readonly #member: MemberService;
  readonly #ids: Uint8Array;

  constructor(member: MemberService) {
    this.#member = member;
    this.#ids = encodeHeaderIds(member.clusterId, member.id);
  }

  /** With the term that the member knows now. */
  at(revision: number): AnswerHeader {
    return { ids: this.#ids, revision, raftTerm: this.#member.term };
  }

  /** At the current revision of the store. */
  current(): AnswerHeader {
    return this.at(this.#member.state.revision);
  }

  /** As the Cluster service answers: its revision stays 0. */
  withoutRevision(): AnswerHeader {
    return this.at(0);
  }
}
