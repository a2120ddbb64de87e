// The log contract in memory: for clusters without a disk, and for the simulator, which may delay
// completions and crash it.
import { assert } from "../base/assert.ts";
import { LogIndex, Term } from "../base/brand.ts";
import type {
  Entry,
  HardState,
  InitialState,
  Membership,
  RefillFloor,
  SnapshotMeta,
} from "../raft/types.ts";
import type { LogWrite, RaftLog } from "./log.ts";
import { higherFloor, noHardState } from "./logState.ts";
import { checkEntries, onlyCommitMoves } from "./logWrite.ts";

export interface MemoryLogOptions {
  readonly membership: Membership;
  /** Runs the completion of one save in a later turn, in order. Without it each save is durable at once. */
  readonly delay?: ((complete: () => void) => void) | undefined;
}

/** Saved state; `entries` start behind `base`. */
interface Contents {
  hardState: HardState;
  base: SnapshotMeta;
  entries: Entry[];
  refill?: RefillFloor | undefined;
}

type Done = (error?: Error) => void;

/** A save that is not durable yet. */
interface PendingSave {
  readonly write: LogWrite;
  readonly done: Done;
}

export class MemoryLog implements RaftLog {
  readonly #options: MemoryLogOptions;
  /** What can be read. */
  #now: Contents;
  /** What a crash leaves; the same object while nothing is ever delayed. */
  #durable: Contents;
  #pending: PendingSave[] = [];
  #dead = false;

  constructor(options: MemoryLogOptions, contents?: Contents) {
    const base = { index: LogIndex(0), term: Term(0), membership: options.membership };
    this.#options = options;
    this.#now = contents ?? { hardState: noHardState, base, entries: [] };
    this.#durable = options.delay ? copyOf(this.#now) : this.#now;
  }

  /**
   * What a restart finds after a crash: all that was durable, and of the saves that were not the
   * first `unsyncedKept`. This log is dead from then on: it completes nothing more.
   */
  afterCrash(unsyncedKept = 0): MemoryLog {
    this.#dead = true;
    const contents = copyOf(this.#durable);
    for (const { write } of this.#pending.slice(0, unsyncedKept)) apply(contents, write);
    const { base, entries, hardState, refill } = contents;
    const last = base.index + entries.length;
    const commit = LogIndex(Math.max(base.index, Math.min(hardState.commit, last)));
    const found = { base, entries, hardState: { ...hardState, commit }, refill };
    return new MemoryLog(this.#options, found);
  }

  /** Saves that are not durable yet. */
  get pendingCount(): number {
    return this.#pending.length;
  }

  initialState(): InitialState {
    const { hardState, base, refill } = this.#now;
    return { hardState, membership: base.membership, refill };
  }

  base(): SnapshotMeta {
    return this.#now.base;
  }

  firstIndex(): LogIndex {
    return LogIndex(this.#now.base.index + 1);
  }

  lastIndex(): LogIndex {
    return LogIndex(this.#now.base.index + this.#now.entries.length);
  }

  term(index: LogIndex): Term | undefined {
    const { base, entries } = this.#now;
    return index === base.index ? base.term : entries[index - base.index - 1]?.term;
  }

  entries(range: { from: LogIndex; to: LogIndex; bytesMax: number }): readonly Entry[] {
    const { from, to, bytesMax } = range;
    const inside = from >= this.firstIndex() && from <= to && to <= this.lastIndex() + 1;
    assert(inside, `entries [${from}, ${to}) are not in the log`);
    const { base, entries } = this.#now;
    const start = from - base.index - 1;
    let bytes = 0;
    let count = 0;
    for (; count < to - from; count++) {
      bytes += entries[start + count]?.data.length ?? 0;
      if (count > 0 && bytes > bytesMax) break;
    }
    return entries.slice(start, start + count);
  }

  visitSizes(visit: (index: number, bytes: number) => void): void {
    for (const { index, data } of this.#now.entries) visit(index, data.length);
  }

  save(write: LogWrite, mustSync: boolean, done: Done): boolean {
    assert(!this.#dead, "a save after the crash");
    checkEntries(write, this);
    const { delay } = this.#options;
    const needsSync = mustSync || !onlyCommitMoves(write, this.#now.hardState);
    apply(this.#now, write);
    // A crash forgets a commit that moved alone while nothing else was on its way.
    if (!delay || (!needsSync && this.#pending.length === 0)) return true;
    this.#pending.push({ write, done });
    delay(() => this.#complete());
    return false;
  }

  compact(index: LogIndex, membership: Membership): void {
    const { base } = this.#now;
    if (index <= base.index) return;
    const term = this.term(index);
    assert(term !== undefined, `compaction up to ${index}, beyond the last entry`);
    const next = { index, term, membership };
    trim(this.#now, next);
    this.#settle();
  }

  restart(base: SnapshotMeta, floor: RefillFloor): void {
    const { hardState, refill } = this.#now;
    this.#now.base = base;
    this.#now.entries = [];
    this.#now.hardState = { ...hardState, commit: base.index };
    this.#now.refill = refill === undefined ? floor : higherFloor(refill, floor);
    this.#settle();
  }

  close(): void {
    this.#settle();
  }

  // As on disk: everything is durable on return, but completions still come one by one.
  #settle(): void {
    if (this.#durable === this.#now) return;
    this.#durable = copyOf(this.#now);
    this.#pending = this.#pending.map(({ done }) => ({ write: { entries: [] }, done }));
  }

  #complete(): void {
    const save = this.#pending[0];
    if (this.#dead || save === undefined) return;
    this.#pending.shift();
    apply(this.#durable, save.write);
    save.done();
  }
}

// Spelled out: an object with a spread in it has a shape of its own, which is slow.
const copyOf = ({ hardState, base, entries, refill }: Contents): Contents => ({
  hardState,
  base,
  entries: [...entries],
  refill,
});

function apply(contents: Contents, write: LogWrite): void {
  if (write.snapshot) {
    contents.base = write.snapshot;
    contents.entries = [];
  }
  if (write.refilled) contents.refill = undefined;
  if (write.hardState) contents.hardState = write.hardState;
  const first = write.entries[0];
  if (first === undefined) return;
  contents.entries.length = Math.min(
    contents.entries.length,
    first.index - contents.base.index - 1,
  );
  for (const entry of write.entries) contents.entries.push(entry);
}

function trim(contents: Contents, base: SnapshotMeta): void {
  contents.entries = contents.entries.slice(base.index - contents.base.index);
  contents.base = base;
}
