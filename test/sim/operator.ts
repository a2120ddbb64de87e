// The operator: adds members with empty disks, promotes and removes them, through any member, while
// everything else goes wrong. What came of a change is what the log says, not what the answer says.
import type { MemberId } from "../../src/base/brand.ts";
import type { ChangeRequest } from "../../src/member/changeRequest.ts";
import { everyMember } from "../../src/raft/membership.ts";
import type { Membership } from "../../src/raft/types.ts";
import type { SimMember, World } from "./simMember.ts";

/** What is asked for, by its share, beside removals: clusters rather grow than shrink to one. */
const lots = ["addVoter", "addLearner", "addLearner", "promote", "promote"] as const;

/** Once in so many an operator forgets that ids are used once. */
const againOdds = 3;

export interface OperatorParts {
  readonly members: readonly SimMember[];
  /** As committed. */
  readonly membership: () => Membership;
  /** Those that were never members, in order. */
  readonly spares: () => readonly MemberId[];
  /** Those that were members and must not be again: their log and their votes are not to be had. */
  readonly removed: () => readonly MemberId[];
}

export class Operator {
  readonly #world: World;
  readonly #parts: OperatorParts;
  /** Asked and not answered: the member that was asked. */
  readonly #open = new Set<{ readonly at: MemberId }>();
  #running = true;

  constructor(world: World, parts: OperatorParts) {
    this.#world = world;
    this.#parts = parts;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** What the member was asked may still happen, and nobody will tell. */
  onCrash(id: MemberId): void {
    for (const asked of this.#open) if (asked.at === id) this.#open.delete(asked);
  }

  begin(): void {
    const { gapUs, defragmentUs } = this.#world.odds.operator;
    if (gapUs > 0) this.#next();
    if (defragmentUs > 0) this.#defragmentLater();
  }

  /** Nothing more is asked for; what was asked for may still happen. */
  end(): void {
    this.#running = false;
  }

  #next(): void {
    const { queue, random, odds } = this.#world;
    queue.after(1 + random.integer(2 * odds.operator.gapUs), () => {
      if (!this.#running) return;
      this.#ask();
      this.#next();
    });
  }

  #defragmentLater(): void {
    const { queue, random, odds, sites } = this.#world;
    queue.after(1 + random.integer(2 * odds.operator.defragmentUs), () => {
      if (!this.#running) return;
      const at = this.#parts.members[random.integer(this.#parts.members.length)];
      const onDone = (): void => sites.count("defragmented");
      const onRefused = (): void => sites.count("defragment refused");
      at?.visit((service) => service.defragment({ onDone, onRefused }));
      this.#defragmentLater();
    });
  }

  #ask(): void {
    const { trace, sites } = this.#world;
    const request = this.#draw();
    const at = this.#whomToAsk();
    if (request === undefined || at?.isUp !== true) return;
    const { kind, id } = request;
    const asked = { at: at.id };
    this.#open.add(asked);
    if (trace.on) trace.line(`operator asks m${at.id}: ${kind} m${id}`);
    const completion = {
      onChanged: () => {
        this.#open.delete(asked);
        sites.count(`member.${kind}`);
      },
      onRefused: (error: Error) => {
        this.#open.delete(asked);
        sites.count("member.refused");
        if (trace.on) trace.line(`operator hears of ${kind} m${id}: ${error.message}`);
      },
    };
    at.later(0, () => at.visit((service) => service.changeMembership(request, completion)));
  }

  #whomToAsk(): SimMember | undefined {
    const { random, odds } = this.#world;
    const { members } = this.#parts;
    const leads = ({ member }: SimMember): boolean => member?.status().role === "leader";
    const leaders = random.oneIn(odds.operator.asksLeaders) ? members.filter(leads) : [];
    const asked = leaders.length > 0 ? leaders : members;
    return asked[random.integer(asked.length)];
  }

  #draw(): ChangeRequest | undefined {
    const { random, odds } = this.#world;
    const kind = lots[random.integer(lots.length + odds.operator.removes)] ?? "remove";
    const pick = (ids: readonly MemberId[]): MemberId | undefined =>
      ids[random.integer(Math.max(1, ids.length))];
    const membership = this.#parts.membership();
    if (kind === "remove" || kind === "promote") {
      const id = pick(kind === "remove" ? everyMember(membership) : membership.learners);
      return id === undefined ? undefined : { kind, id };
    }
    const again = random.oneIn(againOdds) ? pick(this.#parts.removed()) : undefined;
    const id = again ?? this.#parts.spares()[0];
    if (id === undefined) return undefined;
    return { kind, id, peerUrls: [peerUrlOf(id)] };
  }
}

export const peerUrlOf = (id: MemberId): string => `http://m${id}:2380`;
