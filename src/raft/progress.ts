// What a leader knows about one peer, and how much it may send to it.
import { LogIndex, type MemberId } from "../base/brand.ts";

/*
 *             accepted                     log too short
 *   probe ----------------> replicate ---------------------+
 *    ^ |                        |                          v
 *    | +--- log too short ------|--------------------> snapshot
 *    +--- rejected, unreachable +                          |
 *    +------------------- installed, failed or timed out --+
 *
 * probe:     one append at a time, until the logs are known to agree
 * replicate: appends stream, `next` runs ahead of the answers
 * snapshot:  nothing is sent until the peer has the snapshot
 */
export type ProgressState = "probe" | "replicate" | "snapshot";

/** The window of one peer; reaching either bound stops the stream until answers come. */
export interface WindowBounds {
  readonly inflightMax: number;
  readonly inflightBytesMax: number;
}

export class Progress {
  readonly id: MemberId;
  readonly #window: Window;
  #state: ProgressState = "probe";
  #match = LogIndex(0);
  #next: LogIndex;
  #probeSent = false;
  #mayRepeat = false;
  #snapshotIndex = LogIndex(0);
  #commitSent = LogIndex(0);
  /** Heard from since the last check of the quorum. */
  active = false;
  /** When it was heard from. */
  heardTick = Number.NEGATIVE_INFINITY;

  constructor(id: MemberId, { next, bounds }: { next: LogIndex; bounds: WindowBounds }) {
    this.id = id;
    this.#next = next;
    this.#window = new Window(bounds);
  }

  get state(): ProgressState {
    return this.#state;
  }

  /** Last index known to be durable there and equal to ours. */
  get match(): LogIndex {
    return this.#match;
  }

  /** First index of the next append. */
  get next(): LogIndex {
    return this.#next;
  }

  /** Highest commit index an append or heartbeat has told this peer. */
  get commitSent(): LogIndex {
    return this.#commitSent;
  }

  /** Index of the snapshot on its way; 0 outside of that state. */
  get snapshotIndex(): LogIndex {
    return this.#snapshotIndex;
  }

  get mayAppend(): boolean {
    if (this.#state === "probe") return !this.#probeSent;
    return this.#state === "replicate" && !this.#window.full;
  }

  /** An append with `count` entries leaves. */
  sent({ count, bytes, commit }: { count: number; bytes: number; commit: LogIndex }): void {
    this.told(commit);
    if (this.#state === "probe") this.#probeSent = true;
    if (this.#state !== "replicate" || count === 0) return;
    this.#next = LogIndex(this.#next + count);
    this.#window.add({ last: this.#next - 1, bytes });
  }

  told(commit: LogIndex): void {
    if (commit > this.#commitSent) this.#commitSent = commit;
  }

  /**
   * The peer holds everything up to `index`.
   * @returns whether that is news.
   */
  accepted(index: LogIndex, firstIndex: LogIndex): boolean {
    const news = index > this.#match;
    if (news) this.#match = index;
    if (index >= this.#next) this.#next = LogIndex(index + 1);
    if (this.#state === "replicate") this.#window.freeTo(index);
    else if (this.#state === "probe") this.#becomeReplicate();
    else if (this.#match + 1 >= firstIndex) this.#becomeReplicate();
    return news;
  }

  /**
   * The peer lacks `index`; `hint` is where the logs may agree.
   * @returns false when the answer is too old to mean anything.
   */
  rejected({ index, hint }: { index: LogIndex; hint: LogIndex }): boolean {
    if (this.#state === "snapshot") return false;
    if (this.#state === "probe" && index !== this.#next - 1) return false;
    if (index < this.#match) return false;
    // A peer that no longer has what it acknowledged lost some of its disk: begin where it says.
    const hasLost = index === this.#match && hint < this.#match;
    if (hasLost) this.#match = LogIndex(0);
    const isKnown = this.#state === "replicate" && !hasLost;
    const next = isKnown ? this.#match + 1 : Math.min(index, hint + 1);
    this.#becomeProbe(LogIndex(Math.max(next, this.#match + 1)));
    return true;
  }

  /** A heartbeat of the clock leaves: its answer may make us repeat what was lost. */
  beat(): void {
    this.#mayRepeat = true;
  }

  /** A sign of life. */
  heard(now: number): void {
    this.active = true;
    this.heardTick = now;
  }

  /**
   * The answer to a heartbeat: a lost probe may be repeated, but once per beat, since reads send
   * heartbeats far more often than anything is lost.
   */
  repeatsAfter(now: number): boolean {
    this.heard(now);
    const repeat = this.#mayRepeat;
    this.#mayRepeat = false;
    if (repeat) this.#probeSent = false;
    return repeat;
  }

  /** Sending failed: what streamed may be lost, so go back to what is known. */
  unreachable(): void {
    if (this.#state === "replicate") this.#becomeProbe(LogIndex(this.#match + 1));
  }

  snapshotSent(index: LogIndex): void {
    this.#state = "snapshot";
    this.#snapshotIndex = index;
    this.#window.clear();
  }

  /** The transfer ended; waits for a sign of life before it sends again. */
  snapshotEnded({ ok }: { ok: boolean }): void {
    if (this.#state !== "snapshot") return;
    const next = ok ? Math.max(this.#match, this.#snapshotIndex) + 1 : this.#match + 1;
    this.#becomeProbe(LogIndex(next));
    this.#probeSent = true;
  }

  #becomeProbe(next: LogIndex): void {
    this.#state = "probe";
    this.#next = next;
    this.#probeSent = false;
    this.#snapshotIndex = LogIndex(0);
    this.#window.clear();
  }

  #becomeReplicate(): void {
    this.#state = "replicate";
    this.#next = LogIndex(this.#match + 1);
    this.#probeSent = false;
    this.#snapshotIndex = LogIndex(0);
    this.#window.clear();
  }
}

/** Appends on their way, oldest first: two plain arrays and a moving head. */
class Window {
  readonly #bounds: WindowBounds;
  readonly #lasts: number[] = [];
  readonly #bytes: number[] = [];
  #head = 0;
  #bytesTotal = 0;

  constructor(bounds: WindowBounds) {
    this.#bounds = bounds;
  }

  get full(): boolean {
    const count = this.#lasts.length - this.#head;
    return count >= this.#bounds.inflightMax || this.#bytesTotal >= this.#bounds.inflightBytesMax;
  }

  add({ last, bytes }: { last: number; bytes: number }): void {
    this.#lasts.push(last);
    this.#bytes.push(bytes);
    this.#bytesTotal += bytes;
  }

  /** Everything up to `index` has arrived. */
  freeTo(index: number): void {
    while (this.#head < this.#lasts.length && (this.#lasts[this.#head] ?? 0) <= index) {
      this.#bytesTotal -= this.#bytes[this.#head] ?? 0;
      this.#head++;
    }
    if (this.#head === this.#lasts.length) this.clear();
    else if (this.#head >= this.#bounds.inflightMax) this.#dropHead();
  }

  clear(): void {
    this.#lasts.length = 0;
    this.#bytes.length = 0;
    this.#head = 0;
    this.#bytesTotal = 0;
  }

  #dropHead(): void {
    this.#lasts.splice(0, this.#head);
    this.#bytes.splice(0, this.#head);
    this.#head = 0;
  }
}
