// From what the disk holds to a member that takes part: state machine first, then raft behind it.
import { Applier } from "../apply/applier.ts";
import type { Random } from "../base/ports.ts";
import { encodeEvent } from "../proto/watchCodec.ts";
import { RaftNode } from "../raft/node.ts";
import { LogFault, type RaftLog } from "../storage/log.ts";
import { WatchHub } from "../watch/hub.ts";
import { Member, type MemberConfig, type MemberPorts } from "./member.ts";

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
export function bootMember(config: MemberConfig, ports: MemberPorts & { random: Random }): Member {
  const applier = Applier.open(ports.engine);
  checkMeeting(ports.raftLog, applier.applied);
  const raft = new RaftNode(
    {
      id: config.id,
      electionTicksMin: config.timing.electionTicks,
      heartbeatTicks: config.timing.heartbeatTicks,
      maxAppendBytes: appendBytesMax,
      inflightMax: inflightAppendsMax,
      inflightBytesMax,
      uncommittedBytesMax,
      preVote: true,
      checkQuorum: true,
      readMode: "readIndex",
      applied: applier.applied,
    },
    ports.raftLog,
    ports.random,
  );
  const hub = new WatchHub({
    store: applier.store,
    encode: encodeEvent,
    random: ports.random,
    wake: ports.requestTurn,
    progressTicks: progressTicksOf(config),
  });
  return new Member(config, ports, { raft, applier, hub });
}

function progressTicksOf({ watchProgressMs, timing }: MemberConfig): number {
  return Math.max(1, Math.round((watchProgressMs ?? watchProgressMsDefault) / timing.tickMs));
}

function checkMeeting(log: RaftLog, applied: number): void {
  const firstIndex = log.firstIndex();
  const lastIndex = log.lastIndex();
  if (applied >= firstIndex - 1 && applied <= lastIndex) return;
  throw new LogFault({ kind: "unlikeStore", firstIndex, lastIndex, applied });
}
