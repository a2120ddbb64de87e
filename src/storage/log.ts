// Log port: what raft must find again after a crash. Segment files and memory implement it.
import type { LogIndex } from "../base/brand.ts";
import type {
  Entry,
  HardState,
  LogReader,
  Membership,
  RefillFloor,
  SnapshotMeta,
} from "../raft/types.ts";

/** What one save hands over; durable together or, after a crash, not at all. */
export interface LogWrite {
  readonly hardState?: HardState | undefined;
  /** Consecutive indexes; replace everything at or after the first one's index. */
  readonly entries: readonly Entry[];
  /** The log becomes empty and starts behind this snapshot; `entries` follow it. */
  readonly snapshot?: SnapshotMeta | undefined;
  /** Nothing that was acknowledged is missing any more: the refill floor goes. */
  readonly refilled?: boolean | undefined;
}

export interface RaftLog extends LogReader {
  /** The state that everything before `firstIndex` stands for. */
  base(): SnapshotMeta;
  /** What each entry takes, in order, without reading it; on disk its record, up to the next one's. */
  visitSizes(visit: (index: number, bytes: number) => void): void;
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
  /**
   * Begins anew, empty, behind `base`: what the log holds does not lead to the state of the store.
   * Term and vote stay, the commit index becomes that of the base; durable on return.
   *
   * @param floor of the refill that begins with it; one that is under way covers both.
   */
  restart(base: SnapshotMeta, floor: RefillFloor): void;
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
      /** End of what is whole; absent when it was not looked for. */
      readonly saved?: { readonly index: number; readonly term: number } | undefined;
      /** Last entry that the store holds; absent when it was not asked. */
      readonly applied?: number | undefined;
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
  /** Acknowledged entries are missing, and there is nobody else who could have them. */
  | { readonly kind: "alone"; readonly lastIndex: number; readonly refill: RefillFloor }
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
      return `log file ${trouble.file} is damaged at offset ${trouble.offset}${describeDamage(trouble)}`;
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
    case "alone":
      return `the log has lost the entries from ${trouble.lastIndex + 1} to ${trouble.refill.index} of term ${trouble.refill.term}, and no other voter can refill it`;
    case "noSpace":
      return `no space left on the disk for log file ${trouble.file}`;
    case "io":
      return `log file ${trouble.file} failed: ${trouble.code}`;
  }
}

function describeDamage({ index, term, saved, applied }: LogTrouble & { kind: "damaged" }): string {
  const what = index === undefined ? "" : ` (entry ${index} of term ${term})`;
  if (saved === undefined) return what;
  const whole = `${what}; whole are the entries up to ${saved.index} of term ${saved.term}`;
  return applied === undefined ? whole : `${whole}; the store holds everything up to ${applied}`;
}
