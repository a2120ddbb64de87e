// The places where faults happen: each has a name and is counted, and a member can be told to crash
// at its n-th passage of one, in the middle of whatever it is doing there.
import type { MemberId } from "../../src/base/brand.ts";
import { faultKinds } from "./odds.ts";

/** Steps of a member between which it may die. */
export const crashSites = [
  "link.send",
  "log.save",
  "log.saved",
  "log.done",
  "store.submit",
  "store.submitted",
  "store.done",
  "log.compact",
  "log.compacted",
  "image.add",
  "image.finish",
  "image.finished",
  "image.commit",
  "image.committed",
  "answer",
] as const;
/** Those that only a member passes which takes over a snapshot. */
export const imageSites: readonly CrashSite[] = crashSites.filter((site) =>
  site.startsWith("image."),
);
export type CrashSite = (typeof crashSites)[number];

/** What happens beside crashes and the kinds of odds.ts; each is counted under its name. */
const otherSites = [
  ...["network.cut", "network.double", "network.loss", "network.reorder"],
  ...["disk.stall", "disk.fail", "disk.flip", "disk.lost", "disk.misdirected", "disk.store lost"],
  ...["preVote.on", "splitAtElection"],
  ...["disk.refill", "log.restart", "store.fail", "image.taken", "transfer.done"],
  ...["watch.connect", "watch.past", "watch.future", "watch.stall", "watch.progress"],
  ...["watch.compacted", "watch.cancel", "watch.leave"],
  ...["member.addVoter", "member.addLearner", "member.promote", "member.remove", "member.out"],
  ...["lock.atOnce", "lock.waited", "lock.expired", "lock.refused"],
  ...["lease.grant", "lease.attach", "lease.renew", "lease.revoke", "lease.abandon"],
];

/** Everything that must have happened in a run of many seeds. */
export const allSites: readonly string[] = [
  ...crashSites.map((site) => `crash at ${site}`),
  ...faultKinds,
  ...otherSites,
];

/** Unwinds a member that dies at a site. Members do not catch what they do not know. */
export class CrashSignal extends Error {
  override readonly name = "CrashSignal";
}

interface Armed {
  readonly site: CrashSite;
  passagesLeft: number;
}

export class Sites {
  readonly #counts = new Map<string, number>();
  readonly #armed = new Map<MemberId, Armed>();

  /** How often each fault happened. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  count(fault: string): void {
    this.#counts.set(fault, (this.#counts.get(fault) ?? 0) + 1);
  }

  /** The member will die at its n-th passage of the site, from 1. */
  arm(member: MemberId, site: CrashSite, passages: number): void {
    this.#armed.set(member, { site, passagesLeft: passages });
  }

  disarm(member: MemberId): void {
    this.#armed.delete(member);
  }

  /** @throws {CrashSignal} when the member was to die here. */
  pass(member: MemberId, site: CrashSite): void {
    if (this.#armed.size === 0) return;
    const armed = this.#armed.get(member);
    if (armed?.site !== site) return;
    armed.passagesLeft--;
    if (armed.passagesLeft > 0) return;
    this.#armed.delete(member);
    this.count(`crash at ${site}`);
    throw new CrashSignal(`${member} dies at ${site}`);
  }
}
