// A log for tests that knows what was written, what is on disk, and can lose the difference.
import { assert } from "../../src/base/assert.ts";
import { LogIndex, type MemberId, noMember, Term } from "../../src/base/brand.ts";
import type { Ready } from "../../src/raft/ready.ts";
import type {
  Entry,
  HardState,
  InitialState,
  LogReader,
  Membership,
  RefillFloor,
  SnapshotMeta,
} from "../../src/raft/types.ts";

export type Write = Pick<Ready, "hardState" | "entries" | "snapshot"> & {
  readonly refilled?: boolean;
};

/** One state of a log: a snapshot (index 0: none), then entries. */
interface Image {
  hardState: HardState;
  snapshot: SnapshotMeta;
  entries: Entry[];
  refill?: RefillFloor | undefined;
}

export class MemoryLog implements LogReader {
  /** What is on disk. */
  #durable: Image;
  /** What can be read: the disk and all writes on their way. */
  #written: Image;
  readonly #pending: Write[] = [];

  constructor(voters: readonly MemberId[], learners: readonly MemberId[] = []) {
    const membership: Membership = { voters, outgoing: [], learners };
    this.#durable = {
      hardState: { term: Term(0), vote: noMember, commit: LogIndex(0) },
      snapshot: { index: LogIndex(0), term: Term(0), membership },
      entries: [],
    };
    this.#written = copy(this.#durable);
  }

  /** Puts a state on disk at once. */
  preload(write: Write): void {
    put(this.#durable, write);
    this.#written = copy(this.#durable);
  }

  write(write: Write): void {
    this.#pending.push(write);
    put(this.#written, write);
  }

  get pendingCount(): number {
    return this.#pending.length;
  }

  /** The oldest write reaches the disk. */
  complete(): void {
    const write = this.#pending.shift();
    assert(write !== undefined, "no write is on its way");
    put(this.#durable, write);
  }

  /** Power is lost: of the writes on their way the first `survivors` made it to the disk. */
  crash(survivors: number): void {
    for (let i = 0; i < survivors && this.#pending.length > 0; i++) this.complete();
    this.#pending.length = 0;
    this.#written = copy(this.#durable);
  }

  /** Forgets entries up to `index`, which must be applied. */
  compact(index: LogIndex, membership: Membership): void {
    for (const image of [this.#durable, this.#written]) {
      const term = termAt(image, index);
      if (term === undefined || index <= image.snapshot.index) continue;
      image.entries = image.entries.filter((entry) => entry.index > index);
      image.snapshot = { index, term, membership };
    }
  }

  get snapshot(): SnapshotMeta {
    return this.#written.snapshot;
  }

  durableLast(): LogIndex {
    return lastOf(this.#durable);
  }

  durableTerm(index: LogIndex): Term | undefined {
    return termAt(this.#durable, index);
  }

  get durableHardState(): HardState {
    return this.#durable.hardState;
  }

  all(): readonly Entry[] {
    return this.#written.entries;
  }

  initialState(): InitialState {
    const { hardState, snapshot, refill } = this.#durable;
    return { hardState, membership: snapshot.membership, refill };
  }

  get durableRefill(): RefillFloor | undefined {
    return this.#durable.refill;
  }

  /**
   * The log is as it was when it held entries of these terms, some of which may have been replaced
   * later; what came after is lost, and only its end is known.
   */
  damage(terms: readonly number[]): void {
    const image = this.#durable;
    const index = lastOf(image);
    const refill = { index, term: termAt(image, index) ?? Term(0) };
    const entries = terms.map((term, i) => {
      const before = image.entries[i];
      return before?.term === term ? before : oldEntry(i + 1, term);
    });
    const same = entries.findIndex((entry, i) => entry !== image.entries[i]);
    const last = LogIndex(same === -1 ? entries.length : same);
    const commit = LogIndex(Math.min(image.hardState.commit, last));
    this.#durable = { ...image, hardState: { ...image.hardState, commit }, entries, refill };
    this.crash(0);
  }

  firstIndex(): LogIndex {
    return LogIndex(this.#written.snapshot.index + 1);
  }

  lastIndex(): LogIndex {
    return lastOf(this.#written);
  }

  term(index: LogIndex): Term | undefined {
    return termAt(this.#written, index);
  }

  entries({ from, to, bytesMax }: { from: LogIndex; to: LogIndex; bytesMax: number }): Entry[] {
    const first = this.firstIndex();
    assert(from >= first && to <= this.lastIndex() + 1 && from <= to, "entries out of range");
    const found: Entry[] = [];
    let bytes = 0;
    for (const entry of this.#written.entries.slice(from - first, to - first)) {
      bytes += entry.data.length;
      if (bytes > bytesMax && found.length > 0) break;
      found.push(entry);
    }
    return found;
  }
}

const copy = (image: Image): Image => ({ ...image, entries: image.entries.slice() });

const oldEntry = (index: number, term: number): Entry => {
  return { index: LogIndex(index), term: Term(term), kind: 0, data: Buffer.from("old") };
};

const lastOf = ({ snapshot, entries }: Image): LogIndex =>
  LogIndex(snapshot.index + entries.length);

function termAt({ snapshot, entries }: Image, index: LogIndex): Term | undefined {
  return index === snapshot.index ? snapshot.term : entries[index - snapshot.index - 1]?.term;
}

function put(image: Image, { snapshot, hardState, entries, refilled }: Write): void {
  if (refilled) image.refill = undefined;
  if (snapshot && snapshot.index > image.snapshot.index) {
    image.snapshot = snapshot;
    image.entries = [];
  }
  if (hardState) image.hardState = hardState;
  const [first] = entries;
  if (!first) return;
  const keep = first.index - image.snapshot.index - 1;
  // Compaction may have gone past the start of an older write; it then adds nothing before it.
  const skip = Math.max(0, -keep);
  assert(keep <= image.entries.length, "a write leaves no gap");
  image.entries.length = Math.max(0, keep);
  image.entries.push(...entries.slice(skip));
}
