// A leader's end of one transfer: offers an image to a peer, then streams its chunks within a window.
// What is not acknowledged in time is sent again from where the peer says (go-back-N); the peer's
// acknowledgements come when rows are in its store, so the window is also the credit it gives.

import type { MemberId, Term } from "../base/brand.ts";
import type { SnapshotMeta } from "../raft/types.ts";
import { type AckFrame, encodeImageFrame, type RefuseFrame, sealChunk } from "./imageFrames.ts";
import { RowsToChunks } from "./imageRows.ts";
import type { StateImage } from "./stateImage.ts";

/** Frames on their way to a peer; they are kept until it has them in its store. */
export const windowFramesMax = 16;
/**
 * Frames that one turn hands to the link, and rows that it reads for them. A put waits for two turns, so
 * what one of them does for a peer that lags is short (bench catch-up).
 */
export const framesPerTurnMax = 1;
export const rowsPerTurnMax = 1_024;
/** Ticks without progress until frames are sent again; doubled each time up to the second. */
export const resendTicksMin = 5;
export const resendTicksMax = 80;
/** A peer that says nothing for so long is gone; one that gets no further keeps a pin too long. */
export const silentTicksMax = 100;
export const stalledTicksMax = 600;

export type TransferEnd =
  /** The peer has this state, or a newer one. */
  { readonly kind: "done" } | { readonly kind: "failed"; readonly why: string };

export interface SenderPorts {
  readonly peer: MemberId;
  /** Names the transfer; no other of this peer's memory has it. */
  readonly transfer: number;
  readonly image: StateImage;
  readonly leaderTerm: Term;
  readonly startMs: number;
  /** Leaves the bytes as they are. @returns false when the lane is full. */
  readonly sendBulk: (frame: Uint8Array) => boolean;
}

export class ImageSender {
  readonly peer: MemberId;
  readonly transfer: number;
  readonly leaderTerm: Term;
  /** By the member's clock. */
  readonly startMs: number;
  readonly #image: StateImage;
  readonly #ports: SenderPorts;
  readonly #chunks: RowsToChunks;
  /** Not acknowledged, the first with sequence `#base`. */
  #window: Uint8Array[];
  #base = 0;
  /** The next to hand to the link, at most `#base` and the window's length. */
  #cursor = 0;
  /** The peer said that it has all before this. */
  #got = 0;
  #isEndBuilt = false;
  #resendTicks = resendTicksMin;
  #waitedTicks = 0;
  #silentTicks = 0;
  #stalledTicks = 0;
  #sentBytes = 0;
  #end: TransferEnd | undefined;

  constructor(ports: SenderPorts) {
    this.#ports = ports;
    this.peer = ports.peer;
    this.transfer = ports.transfer;
    this.leaderTerm = ports.leaderTerm;
    this.startMs = ports.startMs;
    this.#image = ports.image;
    this.#chunks = new RowsToChunks(ports.image.rows);
    const { transfer, leaderTerm } = ports;
    const { meta } = ports.image;
    this.#window = [encodeImageFrame({ kind: "offer", transfer, meta, leaderTerm })];
  }

  get meta(): SnapshotMeta {
    return this.#image.meta;
  }

  /** Set once nothing more is to be done; `close` is then due. */
  get end(): TransferEnd | undefined {
    return this.#end;
  }

  /** Rows of the store are yet to be read. */
  get isReading(): boolean {
    return !this.#isEndBuilt && this.#image.rows.isOpen;
  }

  get framesUnderWay(): number {
    return this.#cursor - this.#base;
  }

  /** Bytes handed to the link, repeats included. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /**
   * Sends what the window allows.
   *
   * @param hasTime once it says no, nothing more is read: a disk may be slow, and the member waits.
   * @returns true when there is more to do now.
   */
  turn(hasTime: () => boolean = () => true): boolean {
    for (let frames = 0; frames < framesPerTurnMax && this.#end === undefined; frames++) {
      if (this.#cursor === this.#base + this.#window.length) {
        if (frames > 0 && !hasTime()) return true;
        const built = this.#build(hasTime);
        if (built !== "built") return built === "more";
      }
      const frame = this.#window[this.#cursor - this.#base];
      if (frame === undefined || !this.#ports.sendBulk(frame)) return false;
      this.#sentBytes += frame.length;
      this.#cursor++;
    }
    return this.#end === undefined;
  }

  tick(): void {
    this.#silentTicks++;
    this.#stalledTicks++;
    this.#waitedTicks++;
    if (this.#silentTicks > silentTicksMax) this.#fail("the peer is silent");
    else if (this.#stalledTicks > stalledTicksMax) this.#fail("the peer gets no further");
    else if (this.#waitedTicks >= this.#resendTicks) {
      this.#goBack();
      this.#waitedTicks = 0;
      this.#resendTicks = Math.min(2 * this.#resendTicks, resendTicksMax);
    }
  }

  onAck({ next, got, done }: AckFrame): void {
    if (this.#end !== undefined || got > this.#base + this.#window.length) return;
    this.#silentTicks = 0;
    this.#got = Math.max(this.#got, got);
    if (done) this.#end = { kind: "done" };
    if (next <= this.#base) return;
    this.#window.splice(0, next - this.#base);
    this.#base = next;
    this.#cursor = Math.max(this.#cursor, next);
    this.#stalledTicks = 0;
    this.#waitedTicks = 0;
    this.#resendTicks = resendTicksMin;
  }

  onRefuse({ why }: RefuseFrame): void {
    this.#fail(`the peer refused it (${why})`);
  }

  /** Lets go of the pin. */
  close(): void {
    this.#image.rows.close();
    this.#window = [];
  }

  /** "more": rows have to be read in another turn; "full": an answer is needed first. */
  #build(hasTime: () => boolean): "built" | "more" | "full" {
    // Nothing follows the offer before the peer is ready for it.
    const isFull = this.#window.length >= windowFramesMax || (this.#base === 0 && this.#cursor > 0);
    if (isFull || this.#isEndBuilt) return "full";
    const { rows } = this.#image;
    const { transfer, leaderTerm } = this;
    const sequence = this.#base + this.#window.length;
    if (!rows.isOpen) {
      this.#fail("the store let go of the image");
      return "full";
    }
    const chunk = this.#chunks.next(rowsPerTurnMax, hasTime);
    if (chunk !== undefined) {
      sealChunk(chunk, { transfer, sequence, checksum: this.#chunks.checksum });
      this.#window.push(chunk);
      return "built";
    }
    if (!this.#chunks.isEnded) return "more";
    const { totals } = this.#chunks;
    this.#window.push(encodeImageFrame({ kind: "end", transfer, sequence, leaderTerm, ...totals }));
    this.#isEndBuilt = true;
    return "built";
  }

  /** To what the peer lacks, or to the last frame: its answer to that may be what was lost. */
  #goBack(): void {
    const last = this.#base + this.#window.length - 1;
    const from = Math.max(this.#base, Math.min(this.#got, last));
    this.#cursor = Math.min(this.#cursor, from);
  }

  #fail(why: string): void {
    this.#end ??= { kind: "failed", why };
  }
}
