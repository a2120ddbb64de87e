// Files of the whole state for callers (Maintenance.Snapshot): each reads one pinned moment, a bounded piece
// a turn. See docs/decisions/0017.
import type { LogIndex } from "../base/brand.ts";
import {
  errNoLeader,
  errSnapshotCut,
  errStopped,
  errTimeout,
  errTooManyRequests,
} from "../base/errors.ts";
import type { PinnedRows } from "../storage/engine.ts";
import type { MemberCore, MemberPorts } from "./memberParts.ts";
import { SnapshotFile } from "./snapshotFile.ts";
import type { SnapshotRequests, SnapshotRun, SnapshotSink } from "./snapshotRequests.ts";

/** Files at once; one more is refused. Each keeps pages of the store from being used again. */
export const snapshotsMax = 4;
/** What all of them do in a turn: they read for so long, and each so many rows and so much of its file. */
export const snapshotBudgetMs = 2;
export const snapshotRowsMax = 1_024;
export const snapshotPiecesMax = 2;
/** A caller that takes nothing for so long is given up: it holds a state. */
export const snapshotStalledTicksMax = 600;

type Ports = Pick<MemberPorts, "clock" | "home" | "requestTurn">;
type Core = Pick<MemberCore, "raft" | "tally">;

/** Of the state machine: what is visible, and what of it the store holds or gets now. */
interface AppliedState {
  readonly applied: LogIndex;
  readonly store: { readonly savedApplied: { readonly index: LogIndex } };
}

interface Run {
  readonly sink: SnapshotSink;
  /** The state has to hold the entry of this index. */
  readonly wanted: LogIndex;
  pinned:
    | { readonly rows: PinnedRows; readonly file: SnapshotFile; readonly sinceMs: number }
    | undefined;
  /** The sink takes nothing for now. */
  isHeld: boolean;
  stalledTicks: number;
}

const nothing: SnapshotRun = { resume() {}, cancel() {} };

export class Snapshots implements SnapshotRequests {
  readonly #ports: Ports;
  readonly #core: Core;
  readonly #state: () => AppliedState;
  readonly #runs = new Set<Run>();
  #isStopped = false;

  /** @param state the one in use: another one after an image was taken over. */
  constructor(ports: Ports, core: Core, state: () => AppliedState) {
    this.#ports = ports;
    this.#core = core;
    this.#state = state;
  }

  /** States that are held: none of those that the store has let go of since. */
  get count(): number {
    let count = 0;
    for (const { pinned } of this.#runs) if (pinned?.rows.isOpen === true) count++;
    return count;
  }

  open(sink: SnapshotSink): SnapshotRun {
    const refusal = this.#refusal();
    if (refusal !== undefined) {
      sink.onRefused(refusal);
      return nothing;
    }
    const wanted = this.#state().applied;
    const run: Run = { sink, wanted, pinned: undefined, isHeld: false, stalledTicks: 0 };
    this.#runs.add(run);
    this.#ports.requestTurn();
    return {
      resume: () => {
        run.isHeld = false;
        this.#ports.requestTurn();
      },
      cancel: () => this.#close(run),
    };
  }

  /**
   * A bounded piece of each.
   *
   * @param isStoreIdle no batch is under way: what was handed to the store, it holds.
   * @returns true when there is more to do now.
   */
  turn(isStoreIdle: boolean): boolean {
    if (this.#runs.size === 0) return false;
    const { clock } = this.#ports;
    const untilMs = clock.nowMs() + snapshotBudgetMs;
    let more = false;
    for (const run of this.#runs) {
      if (run.pinned === undefined && isStoreIdle) this.#pin(run);
      let rows = 0;
      const hasTime = (): boolean => ++rows < snapshotRowsMax && clock.nowMs() < untilMs;
      if (!run.isHeld && this.#step(run, hasTime)) more = true;
    }
    return more;
  }

  tick(): void {
    for (const run of this.#runs) {
      if (++run.stalledTicks > snapshotStalledTicksMax) this.#fail(run, errTimeout);
    }
  }

  stop(): void {
    this.#isStopped = true;
    for (const run of this.#runs) this.#fail(run, errStopped);
  }

  #refusal(): typeof errStopped | undefined {
    if (this.#isStopped) return errStopped;
    if (this.#core.raft.isRefilling) return errNoLeader;
    return this.#runs.size >= snapshotsMax ? errTooManyRequests : undefined;
  }

  /** Rows of the last entries may be in memory only: they come to the store within some turns. */
  #pin(run: Run): void {
    if (this.#state().store.savedApplied.index < run.wanted) return;
    const rows = this.#ports.home.engine.pin();
    run.pinned = { rows, file: new SnapshotFile(rows), sinceMs: this.#ports.clock.nowMs() };
  }

  /** @returns true when there is more to do now. */
  #step(run: Run, hasTime: () => boolean): boolean {
    const { pinned, sink } = run;
    if (pinned === undefined) return false;
    const { rows, file } = pinned;
    if (!rows.isOpen) return this.#onLost(run, file);
    if (file.fileBytes === undefined) {
      run.stalledTicks = 0;
      if (file.measure(hasTime)) sink.onBegin(file.fileBytes ?? 0);
      return true;
    }
    for (let pieces = 0; pieces < snapshotPiecesMax; pieces++) {
      const bytes = file.next(hasTime);
      if (bytes !== undefined) {
        run.stalledTicks = 0;
        run.isHeld = !sink.onBytes(bytes);
      }
      // The sink may have given up.
      if (!this.#runs.has(run)) return false;
      if (file.isEnded) {
        this.#close(run);
        sink.onEnd();
        return false;
      }
      if (run.isHeld) return false;
      if (bytes === undefined) return true;
    }
    return true;
  }

  /** What has not begun begins anew. */
  #onLost(run: Run, file: SnapshotFile): boolean {
    if (file.fileBytes !== undefined) this.#fail(run, errSnapshotCut);
    else this.#unpin(run);
    return true;
  }

  #fail(run: Run, error: typeof errStopped): void {
    this.#close(run);
    run.sink.onRefused(error);
  }

  #close(run: Run): void {
    this.#runs.delete(run);
    this.#unpin(run);
  }

  #unpin(run: Run): void {
    const { pinned } = run;
    if (pinned === undefined) return;
    run.pinned = undefined;
    pinned.rows.close();
    this.#core.tally.images.pinSec.observe((this.#ports.clock.nowMs() - pinned.sinceMs) / 1000);
  }
}
