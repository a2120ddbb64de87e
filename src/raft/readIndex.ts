// The leader's answer to "which index must I have applied?" (thesis 6.4, leases 6.4.1).
import type { LogIndex, MemberId } from "../base/brand.ts";
import type { Core, Leadership } from "./core.ts";
import { jointNumber } from "./quorum.ts";
import type { ReadRequest } from "./reads.ts";

/**
 * Ends the gathering of this turn: opens a round, or answers at once where none is needed.
 * Reads wait here until the barrier is committed: before that a new leader does not know what its
 * predecessors committed.
 *
 * @returns whether heartbeats must leave to carry the round.
 */
export function openReadRound(core: Core, leadership: Leadership): boolean {
  const { rounds, log } = core;
  const lease = core.config.readMode === "lease";
  if (log.commit < leadership.barrierIndex) return false;
  const due = rounds.hasGathered;
  if (!due && !(lease && leadership.heartbeatDue)) return false;
  if (due && leaseHolds(core, leadership)) {
    answer(core, rounds.takeGathered(), log.commit);
    if (!leadership.heartbeatDue) return false;
  }
  rounds.open({ index: log.commit, tick: timeOf(core) });
  settle(core, leadership);
  return rounds.waiting;
}

const timeOf = ({ time, now }: Core): number => time ?? now;

/**
 * Followers that answered a round keep other candidates out for `electionTicksMin` of their ticks
 * from then on. Two ticks less are counted here: the tick under way at either end may be short.
 */
function leaseHolds(core: Core, { leaseTick, leaseBroken }: Leadership): boolean {
  if (core.config.readMode !== "lease" || leaseBroken) return false;
  return timeOf(core) - leaseTick <= core.config.electionTicksMin - 2;
}

/** A peer has answered the heartbeat of round `readId`. */
export function confirmReads(
  core: Core,
  leadership: Leadership,
  { from, readId }: { from: MemberId; readId: number },
): void {
  const before = leadership.readAcked.get(from) ?? 0;
  if (readId <= before || readId > core.rounds.lastId) return;
  leadership.readAcked.set(from, readId);
  if (core.rounds.waiting) settle(core, leadership);
}

function settle(core: Core, leadership: Leadership): void {
  leadership.readAcked.set(core.id, core.rounds.lastId);
  const confirmed = jointNumber(leadership.readAcked, core.membership);
  for (const round of core.rounds.confirm(confirmed)) {
    leadership.leaseTick = Math.max(leadership.leaseTick, round.sentTick);
    answer(core, round.requests, round.index);
  }
}

function answer(core: Core, requests: readonly ReadRequest[], index: LogIndex): void {
  for (const { from, requestId } of requests) {
    if (from === core.id) core.outbox.readStates.push({ requestId, index });
    else
      core.send({
        kind: "readIndexReply",
        from: core.id,
        to: from,
        term: core.term,
        requestId,
        index,
      });
  }
}
