// Who is a member: what the state machine has applied, and it alone. Raft's configurations come out of
// the same entries; where the two should differ, the member stops.
import type { Applier } from "../apply/applier.ts";
import type { BatchOrigin } from "../apply/command.ts";
import { type ChangeContext, decodeContext, type MemberAttributes } from "../apply/memberRecord.ts";
import { assert } from "../base/assert.ts";
import type { MemberId } from "../base/brand.ts";
import { everyMember } from "../raft/membership.ts";
import type { RaftNode } from "../raft/node.ts";
import type { Entry, Membership } from "../raft/types.ts";
import type { MemberInfo } from "./service.ts";

/** How a member that introduces itself is to be received. */
export type Standing =
  | "member"
  | "removed"
  /** A member, but its log is not the one that it began with: it has lost what it promised. */
  | "reborn"
  | "stranger";

/** The first log that each peer told of. */
export interface Births {
  get(peer: MemberId): number | undefined;
  /** As durable as what this member promises; on return. */
  set(peer: MemberId, birth: number): void;
}

/** A member that may have to be talked to. */
export type LinkInfo = MemberAttributes & { readonly isLearner: boolean };

const noContext: ChangeContext = { origin: undefined, members: [] };

export class Roster {
  readonly #self: MemberId;
  readonly #raft: RaftNode;
  #applier: Applier;
  /** Until the entry with which the cluster begins was applied: what main says. */
  readonly #given: readonly MemberInfo[];
  readonly #births: Births;
  #isLearner = false;
  /** The list may have changed since `takeNews`. */
  #isNews = true;
  #seenIndex = 0;

  constructor(parts: {
    self: MemberId;
    raft: RaftNode;
    applier: Applier;
    given: readonly MemberInfo[];
    births: Births;
  }) {
    this.#self = parts.self;
    this.#raft = parts.raft;
    this.#applier = parts.applier;
    this.#given = parts.given;
    this.#births = parts.births;
    this.rebind(parts.applier);
  }

  /** The state machine is another one: a snapshot was installed. */
  rebind(applier: Applier): void {
    this.#applier = applier;
    this.#onChanged();
  }

  /** False until the entry with which a cluster begins was applied: nothing may be changed before. */
  get isKnown(): boolean {
    return this.#applier.members.known;
  }

  get isLearner(): boolean {
    return this.#isLearner;
  }

  /** This member was removed: it has no part in anything any more. */
  get isOut(): boolean {
    return this.#applier.members.isRemoved(this.#self);
  }

  list(): readonly MemberInfo[] {
    const { members } = this.#applier;
    if (!members.known) return this.#given;
    const learners = this.#membership()?.learners ?? [];
    // Spelled out: an object with a spread in it has a shape of its own, which is slow.
    return members.all().map(({ id, birth, name, peerUrls, clientUrls }) => {
      const isLearner = learners.includes(id);
      return { id, birth, name, peerUrls, clientUrls, isLearner };
    });
  }

  get(id: MemberId): MemberAttributes | undefined {
    return this.#applier.members.get(id);
  }

  isRemoved(id: MemberId): boolean {
    return this.#applier.members.isRemoved(id);
  }

  /** The latest that were removed, oldest first. */
  removedIds(): readonly MemberId[] {
    return this.#applier.members.removedIds();
  }

  /** The last change that this member asked for and that was applied. */
  lastChange(id: MemberId): BatchOrigin | undefined {
    return this.#applier.members.lastChange(id);
  }

  /** @param birth names its log; 0: it did not say. */
  standingOf(id: MemberId, birth: number): Standing {
    if (this.isRemoved(id)) return "removed";
    const known = this.links().find((member) => member.id === id);
    if (known === undefined) return "stranger";
    return birth === 0 || birth === this.#birthOf(known, birth) ? "member" : "reborn";
  }

  /**
   * With which log a member began. Until it has made that known, the first that it told of counts: it may
   * have voted, and one whose directory was lost since then must not vote again, whoever else was
   * restarted meanwhile.
   */
  #birthOf({ id, birth }: MemberAttributes, told: number): number {
    if (birth !== 0) return birth;
    const first = this.#births.get(id);
    if (first !== undefined) return first;
    this.#births.set(id, told);
    return told;
  }

  /** Applies an entry of kind membership. @returns who had asked for the change. */
  apply(entry: Entry): BatchOrigin | undefined {
    const made = this.#raft.configurationOf(entry.index);
    if (made === undefined) {
      this.#applier.skip(entry);
      return undefined;
    }
    const context = made.context.length === 0 ? noContext : decodeContext(made.context);
    assert(context !== undefined, `entry ${entry.index} says nothing readable about its members`);
    this.#applier.applyMembership(entry, { ...context, membership: made.membership });
    this.#onChanged();
    return context.origin;
  }

  /** Attributes of a member were applied. */
  onPublished(): void {
    this.#onChanged();
  }

  /** @returns true when `links` may give other members than the last time. */
  takeNews(): boolean {
    const index = this.#raft.latestMembershipIndex;
    const isNews = this.#isNews || index !== this.#seenIndex;
    this.#isNews = false;
    this.#seenIndex = index;
    return isNews;
  }

  /**
   * With whom this member may have to talk: all that are applied, and those of a change that is not,
   * since it counts from the moment that it is in the log.
   */
  links(): readonly LinkInfo[] {
    const found = new Map<MemberId, LinkInfo>();
    // Who joins knows the others by hearsay until the log has told it of itself.
    const isJoining = this.#applier.members.get(this.#self) === undefined;
    if (isJoining) for (const member of this.#given) found.set(member.id, { birth: 0, ...member });
    for (const member of this.list()) found.set(member.id, { birth: 0, ...member });
    for (const { context, membership } of this.#raft.unappliedConfigurations()) {
      for (const member of decodeContext(context)?.members ?? []) {
        const isLearner = membership.learners.includes(member.id);
        const { peerUrls } = member;
        found.set(member.id, { ...(found.get(member.id) ?? member), isLearner, peerUrls });
      }
    }
    return [...found.values()];
  }

  #membership(): Membership | undefined {
    return this.#applier.members.configurations.at(-1)?.membership;
  }

  #onChanged(): void {
    this.#isNews = true;
    const membership = this.#membership();
    if (membership === undefined) return;
    this.#isLearner = membership.learners.includes(this.#self);
    const ids = everyMember(membership);
    const { members } = this.#applier;
    assert(
      ids.length === members.count && ids.every((id) => members.get(id) !== undefined),
      "the list of members is not that of the configuration",
    );
  }
}
