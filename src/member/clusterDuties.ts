// What a member does about the members of its cluster, joined: the list, changes, transfers, and what it
// says without being asked.
import type { Applier } from "../apply/applier.ts";
import type { MemberAttributes } from "../apply/memberRecord.ts";
import type { MemberId } from "../base/brand.ts";
import type { EtcdError } from "../base/errors.ts";
import type { RaftNode } from "../raft/node.ts";
import type { Entry } from "../raft/types.ts";
import { type ChangePolicy, defaultChangePolicy } from "./changeRequest.ts";
import { Changes, type ChangesParts } from "./changes.ts";
import type { MemberTiming } from "./events.ts";
import { Introduction, type IntroductionParts } from "./introduction.ts";
import { type Births, Roster } from "./roster.ts";
import type { MemberInfo } from "./service.ts";
import { Transfers } from "./transfers.ts";

/** What a member tells about itself. */
export type MemberTold = Omit<MemberAttributes, "id" | "peerUrls">;

interface DutiesConfig {
  readonly id: MemberId;
  readonly incarnation: number;
  readonly timing: MemberTiming;
  readonly members: readonly MemberInfo[];
  readonly told?: MemberTold;
  readonly changePolicy?: Partial<ChangePolicy>;
}

export class ClusterDuties {
  readonly roster: Roster;
  readonly changes: Changes;
  readonly transfers: Transfers;
  readonly #introduction: Introduction;
  readonly #isLeader: () => boolean;
  readonly #tally: { promotions: number };

  constructor(
    config: DutiesConfig,
    parts: {
      raft: RaftNode;
      applier: Applier;
      waitTicksMax: number;
      births: Births | undefined;
      send: ChangesParts["send"];
      propose: IntroductionParts["propose"];
      tally: ChangesParts["tally"] & { promotions: number };
    },
  ) {
    const { raft, waitTicksMax, send, propose, tally } = parts;
    const { id: self, members: given, incarnation, timing } = config;
    const policy = { ...defaultChangePolicy, ...config.changePolicy };
    const births = parts.births ?? new Map<MemberId, number>();
    const roster = new Roster({ self, raft, applier: parts.applier, given, births });
    this.roster = roster;
    this.#isLeader = () => raft.role === "leader";
    this.#tally = tally;
    this.changes = new Changes({
      self,
      raft,
      roster,
      waitTicksMax,
      incarnation,
      timing,
      policy,
      send,
      tally,
    });
    const silentTicksMax = timing.electionTicks;
    this.transfers = new Transfers({ self, raft, waitTicksMax, silentTicksMax });
    this.#introduction = new Introduction({
      self,
      raft,
      roster,
      given,
      told: config.told,
      propose,
    });
  }

  turn(): void {
    this.#introduction.turn();
    this.changes.turn();
  }

  tick(): void {
    this.#introduction.tick();
    this.changes.tick();
    this.transfers.tick();
  }

  onLeader(leader: MemberId): void {
    this.changes.onLeader();
    this.transfers.onLeader(leader);
  }

  /** A snapshot was installed. */
  rebind(applier: Applier): void {
    this.roster.rebind(applier);
  }

  /** An entry of kind membership. */
  apply(entry: Entry): void {
    const learners = this.roster.list().filter(({ isLearner }) => isLearner);
    const origin = this.roster.apply(entry);
    if (this.#isLeader()) {
      this.#tally.promotions += learners.filter(({ id }) => this.#isVoter(id)).length;
    }
    if (origin !== undefined) this.changes.onApplied(origin);
  }

  #isVoter(id: MemberId): boolean {
    return this.roster.list().some((member) => member.id === id && !member.isLearner);
  }

  refuseAll(error: EtcdError): void {
    this.changes.refuseAll(error);
    this.transfers.refuseAll(error);
  }
}
