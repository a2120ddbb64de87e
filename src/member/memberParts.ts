// What a member is made of: its settings, its doors to the outside, and the rooms that boot.ts opened.
import type { Applier } from "../apply/applier.ts";
import type { MemberId } from "../base/brand.ts";
import type { Clock, Log, Random } from "../base/ports.ts";
import type { RaftConfig } from "../raft/config.ts";
import type { RaftNode } from "../raft/node.ts";
import type { RaftLog } from "../storage/log.ts";
import type { StoreHome } from "../storage/storeHome.ts";
import type { PeerLink } from "../transport/link.ts";
import type { WatchHub } from "../watch/hub.ts";
import type { ChangePolicy } from "./changeRequest.ts";
import type { MemberTold } from "./clusterDuties.ts";
import type { MemberTiming } from "./events.ts";
import type { CompactionBounds } from "./logCompaction.ts";
import type { RequestTimes } from "./requestTimes.ts";
import type { Births, LinkInfo } from "./roster.ts";
import type { MemberInfo, MemberStatus } from "./service.ts";
import type { MemberTally } from "./tally.ts";

export interface MemberConfig {
  readonly clusterId: bigint;
  readonly id: MemberId;
  /** Grows with every start of this member. */
  readonly incarnation: number;
  readonly timing: MemberTiming;
  /** Those with which the cluster began, or those that were seen by whoever joins it. */
  readonly members: readonly MemberInfo[];
  /** What this member tells the others about itself; nothing when left out. */
  readonly told?: MemberTold;
  readonly changePolicy?: Partial<ChangePolicy>;
  /** The other members are lost for good: go on without them (etcd's --force-new-cluster). */
  readonly forceAlone?: boolean;
  /** Between two progress messages to an idle watcher; etcd's 10 minutes when left out. */
  readonly watchProgressMs?: number;
  /** Bytes of written rows that stay in memory; the store's own bound when left out. */
  readonly recentBytesMax?: number;
  /** When the log lets go of entries. */
  readonly compaction?: Partial<CompactionBounds>;
  /** Between two notes of what is left of a long lease; etcd's 5 minutes when left out. */
  readonly leaseCheckpointSec?: number;
  /** Asks before it campaigns; true when left out. */
  readonly preVote?: boolean;
  /** How reads are proven fresh (raft/config.ts); by a quorum round when left out. */
  readonly readMode?: RaftConfig["readMode"];
  /** How much may be under way to a peer; boot.ts has what is left out. */
  readonly window?: Partial<Pick<RaftConfig, "maxAppendBytes" | "inflightMax">>;
}

export interface MemberPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly link: PeerLink;
  readonly raftLog: RaftLog;
  readonly home: StoreHome;
  /** With which logs peers began; kept in memory without it. */
  readonly births?: Births;
  /** Asks the owner to call `turn()` soon; many calls, one turn. */
  readonly requestTurn: () => void;
  /** The same, but after this time; many calls, one turn. Without it a tick comes soon enough. */
  readonly requestTurnIn?: (ms: number) => void;
  /** The member can no longer be trusted or go on; the owner must take it down. */
  readonly fail: (error: Error) => void;
  /** The state machine in use from now on; said at the start and after each snapshot. */
  readonly onState?: (applier: Applier) => void;
  /** Leader or role changed. */
  readonly onLeader?: (status: MemberStatus) => void;
  /** With whom this member has to talk from now on, itself included; also said once at the start. */
  readonly onLinks?: (members: readonly LinkInfo[]) => void;
  /** The member was removed from the cluster for good; it does nothing more. */
  readonly onRemoved?: () => void;
}

export interface MemberCore {
  readonly raft: RaftNode;
  readonly applier: Applier;
  readonly hub: WatchHub;
  readonly tally: MemberTally;
  readonly times: RequestTimes;
  /** The state of `home.engine`, which is another one after a snapshot. */
  readonly openApplier: () => Applier;
}
