// What a member says without being asked: a leader writes into the log with which members the cluster
// began; every member makes its name, its client URLs and its log known once it is a member.
import { CommandKind } from "../apply/command.ts";
import { encodeAttributes, encodeContext, type MemberAttributes } from "../apply/memberRecord.ts";
import { type MemberId, noMember } from "../base/brand.ts";
import type { RaftNode } from "../raft/node.ts";
import type { Roster } from "./roster.ts";
import type { MemberInfo, ProposalCompletion } from "./service.ts";

export interface IntroductionParts {
  readonly self: MemberId;
  readonly raft: RaftNode;
  readonly roster: Roster;
  /** What main says about the members that the cluster begins with. */
  readonly given: readonly MemberInfo[];
  /** Undefined: this member has nothing to say about itself. */
  readonly told: Omit<MemberAttributes, "id" | "peerUrls"> | undefined;
  readonly propose: (kind: CommandKind, body: Uint8Array, completion: ProposalCompletion) => void;
}

export class Introduction implements ProposalCompletion {
  readonly #parts: IntroductionParts;
  #isPublishing = false;
  #mayPublish = true;

  constructor(parts: IntroductionParts) {
    this.#parts = parts;
  }

  turn(): void {
    const { roster, raft } = this.#parts;
    if (roster.isKnown) this.#publish();
    else if (raft.mayChangeMembership) this.#begin();
  }

  tick(): void {
    this.#mayPublish = true;
  }

  onOutcome(): void {
    this.#isPublishing = false;
    this.#mayPublish = false;
    this.#parts.roster.onPublished();
  }

  onRefused(): void {
    this.#isPublishing = false;
    this.#mayPublish = false;
  }

  /** Who joins with an empty log learns from this entry with whom the cluster began. */
  #begin(): void {
    const { raft, given } = this.#parts;
    const { voters, learners } = raft.latestMembership;
    const members = given.map((member) => ({ birth: 0, ...member }));
    const context = encodeContext({ origin: undefined, members });
    raft.proposeMembership({ kind: "initial", voters, learners }, context);
  }

  #publish(): void {
    const { self, roster, raft, told, propose } = this.#parts;
    if (told === undefined || this.#isPublishing || !this.#mayPublish) return;
    const known = roster.get(self);
    if (known === undefined || raft.leader === noMember || isSame(known, told)) return;
    this.#isPublishing = true;
    const body = encodeAttributes({ ...told, id: self, peerUrls: [] });
    propose(CommandKind.memberPublish, body, this);
  }
}

function isSame(known: MemberAttributes, told: Omit<MemberAttributes, "id" | "peerUrls">): boolean {
  const { birth, name, clientUrls } = told;
  return (
    known.birth === birth &&
    known.name === name &&
    known.clientUrls.length === clientUrls.length &&
    known.clientUrls.every((url, i) => url === clientUrls[i])
  );
}
