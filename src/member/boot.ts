// From what the disk holds to a member that takes part: state machine first, then raft behind it.
import { Applier } from "../apply/applier.ts";
import { type MemberId, Term } from "../base/brand.ts";
import { encodeEvent } from "../proto/watchCodec.ts";
import { RaftNode } from "../raft/node.ts";
import { LogFault, type RaftLog } from "../storage/log.ts";
import { WatchHub } from "../watch/hub.ts";
import { forceAlone } from "./forceAlone.ts";
import { Member } from "./member.ts";
import type { MemberConfig, MemberPorts } from "./memberParts.ts";
import { RequestTimes } from "./requestTimes.ts";
import { MemberTally } from "./tally.ts";

/** etcd's interval of progress messages to idle watchers. */
const watchProgressMsDefault = 600_000;
/** Data of one append to a peer; larger single entries travel alone. */
export const appendBytesMax = 1 << 20;
/** Appends to one peer that are not answered yet. */
export const inflightAppendsMax = 256;
export const inflightBytesMax = 32 << 20;
/** Proposed and not committed yet, on the leader. */
export const uncommittedBytesMax = 64 << 20;

/**
 * Builds a member over an opened log and engine; it applies what is committed with its first turns.
 *
 * @throws {LogFault} when log and store do not meet: then one of them has lost what was acknowledged.
 */
export function bootMember(config: MemberConfig, ports: MemberPorts): Member {
  const { recentBytesMax } = config;
  const tally = new MemberTally();
  const times = new RequestTimes(ports, tally);
  const options = {
    ...(recentBytesMax !== undefined && { recentBytesMax }),
    hashSeed: { low: ports.random.integer(2 ** 32), high: ports.random.integer(2 ** 32) },
    tally: tally.apply,
    times,
  };
  const openApplier = (): Applier => {
    const applier = Applier.open(ports.home.engine, options);
    ports.onState?.(applier);
    return applier;
  };
  const applier = openApplier();
  meet(config.id, ports.raftLog, applier);
  if (config.forceAlone === true) forceAlone(config.id, ports, bootRaft(config, ports, applier));
  const raft = bootRaft(config, ports, applier);
  // There is nobody whose votes or leadership it could disturb.
  if (isAlone(raft, config.id)) raft.campaign();
  const hub = new WatchHub({
    store: applier.store,
    encode: encodeEvent,
    random: ports.random,
    wake: ports.requestTurn,
    progressTicks: progressTicksOf(config),
  });
  return new Member(config, ports, { raft, applier, hub, tally, times, openApplier });
}

function bootRaft(
  { id, timing, preVote = true, readMode = "readIndex", window = {} }: MemberConfig,
  { raftLog, random }: MemberPorts,
  { applied, members }: Applier,
): RaftNode {
  const { maxAppendBytes = appendBytesMax, inflightMax = inflightAppendsMax } = window;
  return new RaftNode(
    {
      id,
      electionTicksMin: timing.electionTicks,
      heartbeatTicks: timing.heartbeatTicks,
      maxAppendBytes,
      inflightMax,
      inflightBytesMax,
      uncommittedBytesMax,
      preVote,
      checkQuorum: true,
      readMode,
      applied,
      configurations: members.configurations,
    },
    raftLog,
    random,
  );
}

function isAlone({ latestMembership: { voters, outgoing } }: RaftNode, id: MemberId): boolean {
  return outgoing.length === 0 && voters.length === 1 && voters[0] === id;
}

function progressTicksOf({ watchProgressMs, timing }: MemberConfig): number {
  return Math.max(1, Math.round((watchProgressMs ?? watchProgressMsDefault) / timing.tickMs));
}

/**
 * Log and store each know an end of the same history. Where the one does not lead to the other, the log
 * begins anew at the store's end, and a leader refills what is missing (docs/decisions/0007).
 *
 * @throws {LogFault} when no other voter could, or when the log lost its end without knowing: it may
 *         then have promised more than it knows.
 */
function meet(id: MemberId, log: RaftLog, applier: Applier): void {
  const { applied: index, appliedTerm: term } = applier;
  const { refill, membership: oldest } = log.initialState();
  const membership = applier.members.configurations.at(-1)?.membership ?? oldest;
  const lastIndex = log.lastIndex();
  const firstIndex = log.firstIndex();
  const othersVote = membership.voters.some((voter) => voter !== id);
  if (refill !== undefined && !othersVote) throw new LogFault({ kind: "alone", lastIndex, refill });
  const isBehind = index < firstIndex - 1;
  const isWithin = !isBehind && index <= lastIndex;
  // A log that was cut may end in entries that the lost part had replaced.
  if (isWithin && (refill === undefined || log.term(index) === term)) return;
  if (!othersVote || (refill === undefined && !isBehind)) {
    throw new LogFault({ kind: "unlikeStore", firstIndex, lastIndex, applied: index });
  }
  const end = { index: lastIndex, term: log.term(lastIndex) ?? Term(0) };
  log.restart({ index, term, membership }, refill ?? end);
}
