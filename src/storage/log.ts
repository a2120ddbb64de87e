// Log port: what raft must find again after a crash. Segment files and memory implement it.
import type { LogIndex } from "../base/brand.ts";
import type { Entry, HardState, LogReader, Membership, SnapshotMeta } from "../raft/types.ts";

/** What one save hands over; durable together or, after a crash, not at all. */
export interface LogWrite {
  readonly hardState?: HardState | undefined;
  /** Consecutive indexes; replace everything at or after the first one's index. */
  readonly entries: readonly Entry[];
  /** The log becomes empty and starts behind this snapshot; `entries` follow it. */
  readonly snapshot?: SnapshotMeta | undefined;
}

export interface RaftLog extends LogReader {
  /** The state that everything before `firstIndex` stands for. */
  base(): SnapshotMeta;
  /**
   * Stores `write`; it can be read at once. Entry data is kept as given and never written to.
   *
   * @param mustSync false when only `commit` moved: such a change may be lost by a crash.
   * @param done     called in a later turn, in the order of the saves, when this save and all before
   *                 it are durable; with an error the log has failed for good and the member stops.
   * @returns true when all of that holds already; then `done` is not called.
   * @throws {Mistake} for entries that leave a gap, repeat an index or go back in term.
   */
  save(write: LogWrite, mustSync: boolean, done: (error?: Error) => void): boolean;
  /**
   * Forgets entries up to and including `index`, for which a snapshot exists elsewhere.
   *
   * @param membership members in force at `index`: the entries that said so go.
   * @throws {Mistake} when `index` is beyond the last entry. No effect below `firstIndex`.
   */
  compact(index: LogIndex, membership: Membership): void;
  /** Writes what is held back, then frees everything. A save under way still gets its `done`. */
  close(): void;
}

export type LogTrouble =
  /** Bytes that had been acknowledged do not pass their checksum. */
  | {
      readonly kind: "damaged";
      readonly file: string;
      readonly offset: number;
      /** Known when the record's identity is whole and only its payload is not. */
      readonly index?: number | undefined;
      readonly term?: number | undefined;
    }
  | { readonly kind: "foreignCluster"; readonly file: string }
  | { readonly kind: "foreignMember"; readonly file: string }
  | { readonly kind: "formatVersion"; readonly file: string; readonly version: number }
  /** There should be a log, but there is none. */
  | { readonly kind: "missing" }
  /** Every record is whole, but an index is missing between two of them. */
  | { readonly kind: "gap"; readonly file: string; readonly index: number }
  | { readonly kind: "termBackwards"; readonly file: string; readonly index: number }
  /** Log and store are each whole, but one has lost what the other needs. */
  | {
      readonly kind: "unlikeStore";
      readonly firstIndex: number;
      readonly lastIndex: number;
      /** Last entry that the store holds. */
      readonly applied: number;
    }
  | { readonly kind: "noSpace"; readonly file: string }
  | { readonly kind: "io"; readonly file: string; readonly code: string };

/** The disk failed the log, or holds something else than it should. The member must stop. */
export class LogFault extends Error {
  override readonly name = "LogFault";
  readonly trouble: LogTrouble;

  constructor(trouble: LogTrouble, options?: ErrorOptions) {
    super(describeTrouble(trouble), options);
    this.trouble = trouble;
  }
}

function describeTrouble(trouble: LogTrouble): string {
  switch (trouble.kind) {
    case "damaged":
      return `log file ${trouble.file} is damaged at offset ${trouble.offset}${describeIdentity(trouble)}`;
    case "foreignCluster":
      return `log file ${trouble.file} belongs to another cluster`;
    case "foreignMember":
      return `log file ${trouble.file} belongs to another member`;
    case "formatVersion":
      return `log file ${trouble.file} has format ${trouble.version}, which this version cannot read`;
    case "missing":
      return "the log of a member that ran before is missing";
    case "gap":
      return `the log misses the entries before index ${trouble.index} (log file ${trouble.file})`;
    case "termBackwards":
      return `terms go backwards at index ${trouble.index} of log file ${trouble.file}`;
    case "unlikeStore":
      return trouble.applied > trouble.lastIndex
        ? `the log has lost entries: it ends at ${trouble.lastIndex}, the store holds entry ${trouble.applied}`
        : `the store has lost entries: it ends at ${trouble.applied}, the log begins at ${trouble.firstIndex}`;
    case "noSpace":
      return `no space left on the disk for log file ${trouble.file}`;
    case "io":
      return `log file ${trouble.file} failed: ${trouble.code}`;
  }
}

function describeIdentity(trouble: LogTrouble & { kind: "damaged" }): string {
  return trouble.index === undefined ? "" : ` (entry ${trouble.index} of term ${trouble.term})`;
}
