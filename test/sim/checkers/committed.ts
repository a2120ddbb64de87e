// What is committed stays: on a majority of disks at that moment, the same for every member, and in
// the log of every later leader.
import { LogIndex, type MemberId, type Term } from "../../../src/base/brand.ts";
import type { MemberStatus } from "../../../src/member/service.ts";
import { changed, decodeChange } from "../../../src/raft/membership.ts";
import { type Entry, EntryKind, type Membership } from "../../../src/raft/types.ts";
import type { RaftLog } from "../../../src/storage/log.ts";
import type { DurableRecord } from "../durableRecord.ts";
import { check, Violation } from "../violation.ts";
import { isSame } from "./logMatching.ts";

const name = "committed";

export interface MembershipParts {
  /** With which the cluster begins. */
  readonly membership: Membership;
  /** A change is committed. */
  readonly onMembership: (membership: Membership) => void;
}

/** Of one life of a member, as of its last turn. */
interface Life {
  /** Up to there it had committed. */
  seen: number;
  /** Term in which it led; 0 if it did not. */
  led: number;
}

export class Committed {
  readonly #disks: ReadonlyMap<MemberId, DurableRecord>;
  /** Position is index - 1. */
  readonly #entries: Entry[] = [];
  readonly #lives = new Map<MemberId, Life>();
  readonly #onMembership: (membership: Membership) => void;
  /** Changes that some log holds or held, by their data, with the index they had. */
  readonly #changes: Entry[] = [];
  #membership: Membership;

  constructor(
    disks: ReadonlyMap<MemberId, DurableRecord>,
    { membership, onMembership }: MembershipParts,
  ) {
    this.#disks = disks;
    this.#membership = membership;
    this.#onMembership = onMembership;
  }

  /** As of the last entry that is known to be committed. */
  get membership(): Membership {
    return this.#membership;
  }

  get count(): number {
    return this.#entries.length;
  }

  /** A new life may know less than the last one did, but nothing else. */
  onStart(id: MemberId): void {
    this.#lives.set(id, { seen: 0, led: 0 });
  }

  /** Entries on their way to a disk: a change counts from then on. */
  onSave(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.kind !== EntryKind.membership) continue;
      // A later leader may be asked for the same change: it then has another place.
      const isKnown = (known: Entry): boolean =>
        known.index === entry.index && isSame(known, entry);
      if (!this.#changes.some(isKnown)) this.#changes.push(entry);
    }
  }

  // No closures in what every turn passes: they would cost more than what they check.
  afterTurn(status: MemberStatus, log: RaftLog): void {
    const { id, commit, applied, role, term } = status;
    const life = this.#lives.get(id);
    if (life === undefined) throw new Violation(name, `m${id} has a turn before its start`);
    const ledBefore = life.led === term;
    life.led = role === "leader" ? term : 0;
    if (applied > commit)
      throw new Violation(name, `m${id} applied ${applied}, committed ${commit}`);
    this.#checkApplied(id, applied, log.term(applied));
    const { seen } = life;
    if (commit < seen)
      throw new Violation(name, `m${id} went from commit ${seen} back to ${commit}`);
    if (commit > seen && this.#checkCommit(status, log, { seen, ledBefore })) life.seen = commit;
  }

  /** @returns false when the log does not hold what is committed. */
  #checkCommit(
    { id, commit, applied, role, term }: MemberStatus,
    log: RaftLog,
    { seen, ledBefore }: { seen: number; ledBefore: boolean },
  ): boolean {
    // A snapshot is on its way into the log, which may still have an end of its own that reaches as far and
    // is void: what it holds was committed elsewhere.
    const known = this.#entries[commit - 1];
    const isVoid = known !== undefined && applied <= seen && log.term(commit) !== known.term;
    if (commit > log.lastIndex() || isVoid) {
      check(
        commit <= this.#entries.length,
        name,
        () => `m${id} commits ${commit} without an entry`,
      );
      return false;
    }
    // Thesis 3.6.2: entries of earlier terms are committed by one of the leader's own only.
    const isOwn = !ledBefore || role !== "leader" || log.term(commit) === term;
    check(isOwn, name, () => `m${id} commits ${commit}@${log.term(commit)} by counting`);
    // What a snapshot brought, others have committed entry by entry.
    const first = log.firstIndex();
    check(
      first <= this.#entries.length + 1,
      name,
      () => `m${id} begins at ${first}, committed is ${this.#entries.length}`,
    );
    const [from, to] = [LogIndex(Math.max(seen + 1, first)), LogIndex(commit + 1)];
    const entries = log.entries({ from, to, bytesMax: Number.MAX_SAFE_INTEGER });
    for (const entry of entries) this.#onCommitted(id, entry);
    return true;
  }

  /** A store that is ahead of the log on disk could not be gone on from. */
  #checkApplied(id: MemberId, applied: LogIndex, term: Term | undefined): void {
    const isKept = term === undefined || this.#disks.get(id)?.holds(applied, term) === true;
    if (!isKept) {
      throw new Violation(name, `m${id} applied ${applied}@${term} before its disk held it`);
    }
  }

  onLeader({ id, term }: MemberStatus, log: RaftLog): void {
    const last = this.#entries.at(-1);
    if (last === undefined || last.term >= term || last.index <= log.base().index) return;
    const held = log.term(last.index);
    check(
      held === last.term,
      name,
      () => `m${id} leads term ${term} without the committed ${last.index}@${last.term}`,
    );
  }

  #onCommitted(id: MemberId, entry: Entry): void {
    const { index, term } = entry;
    const known = this.#entries[index - 1];
    if (known !== undefined) {
      const agrees = known.term === term && isSame(known, entry);
      check(agrees, name, () => `m${id} commits ${index}@${term}, it was ${index}@${known.term}`);
      return;
    }
    check(this.#entries.length === index - 1, name, () => `commit ${index} leaves a gap`);
    this.#entries.push(entry);
    const before = this.#membership;
    const after = entry.kind === EntryKind.membership ? afterChange(before, entry) : before;
    this.#membership = after;
    const mayCount = [after, ...this.#laterThan(index, after)];
    // The second voter is added by the first alone (raft/leader.ts says why that is safe).
    if (before.voters.length === 1 && after.voters.length === 2) mayCount.push(before);
    const isHeld = mayCount.some((membership) => this.#isOnQuorum(membership, index, term));
    check(
      isHeld,
      name,
      () =>
        `m${id} commits ${index}@${term} that no majority of ${describe(after)} holds on its disks`,
    );
    if (after !== before) this.#onMembership(after);
  }

  /** A leader counts by the last change in its log, also for what is below that. */
  #laterThan(index: LogIndex, membership: Membership): readonly Membership[] {
    return this.#changes
      .filter((change) => change.index > index)
      .map((change) => afterChange(membership, change));
  }

  #isOnQuorum({ voters, outgoing }: Membership, index: LogIndex, term: Term): boolean {
    return [voters, outgoing].every((ids) => {
      const holders = ids.filter((id) => this.#disks.get(id)?.holds(index, term) === true);
      return ids.length === 0 || 2 * holders.length > ids.length;
    });
  }
}

/** What is void leaves it as it was. */
function afterChange(before: Membership, { data }: Entry): Membership {
  const decoded = decodeChange(data);
  if (decoded === undefined) return before;
  const after = changed(before, decoded.change);
  return typeof after === "string" ? before : after;
}

const describe = ({ voters, outgoing }: Membership): string =>
  outgoing.length === 0 ? `${voters}` : `${voters} and ${outgoing}`;
