// What the log tests share: entries, options with every port faked, and a readable picture of a log.
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import { crc32c } from "../../src/base/crc.ts";
import { type Log, silentLog } from "../../src/base/ports.ts";
import type { Entry, HardState, Membership } from "../../src/raft/types.ts";
import type { RaftLog } from "../../src/storage/log.ts";
import type { LogDisk } from "../../src/storage/logDisk.ts";
import type { RaftLogOptions } from "../../src/storage/openLog.ts";

export const owner = { clusterId: 0xc1n, memberId: 0xa1n };
export const membership: Membership = {
  voters: [MemberId(0xa1n), MemberId(0xa2n), MemberId(0xa3n)],
  outgoing: [],
  learners: [MemberId(0xa4n)],
};

/** An entry whose data is told from every other's. */
export function entry(index: number, term = 1, bytes = 20): Entry {
  const data = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) data[i] = (index * 31 + term * 7 + i) & 255;
  return { term: Term(term), index: LogIndex(index), kind: 0, data };
}

/** Entries of one term in [from, to). */
export const entries = (from: number, to: number, term = 1, bytes = 20): Entry[] =>
  Array.from({ length: to - from }, (_, i) => entry(from + i, term, bytes));

export const hardState = (term: number, vote: bigint, commit: number): HardState => ({
  term: Term(term),
  vote: MemberId(vote),
  commit: LogIndex(commit),
});

let salt = 0n;

export function options(disk: LogDisk, changed: Partial<RaftLogOptions> = {}): RaftLogOptions {
  return {
    disk,
    clock: { nowMs: () => 0 },
    log: silentLog,
    owner,
    salt: () => ++salt,
    defer: (run) => {
      setImmediate(run);
    },
    segmentBytesMax: 64 * 1024,
    sync: "inline",
    membership,
    mayCreate: true,
    mayRefill: false,
    recentBytesMax: 1024 * 1024,
    ...changed,
  };
}

export interface Picture {
  readonly state: HardState;
  readonly members: Membership;
  readonly base: readonly number[];
  readonly entries: readonly (readonly number[])[];
}

/** Everything that a restart has to bring back, as plain values. */
export function pictureOf(log: RaftLog): Picture {
  const { hardState: state, membership: members } = log.initialState();
  const all = log.entries({
    from: log.firstIndex(),
    to: LogIndex(log.lastIndex() + 1),
    bytesMax: Number.MAX_SAFE_INTEGER,
  });
  return {
    state,
    members,
    base: [log.base().index, log.base().term],
    entries: all.map(({ index, term, kind, data }) => [
      index,
      term,
      kind,
      data.length,
      crc32c(data),
    ]),
  };
}

/** Fails the test that reaches it. */
export const never = (error?: Error): void => {
  throw new Error("done was called for a save that was durable at once", { cause: error });
};

export function recordingLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const log: Log = { ...silentLog, warn: (message) => lines.push(message) };
  return { log, lines };
}
