// A peer's end of one transfer: chunks in order, rows into a store that is built beside the one in use.
//
//   building ── the end came, all agrees ──► finishing ── durable ──► finished ── raft takes it ──► taken
//      └────────────┴── damaged, disk failed, a newer offer, leader silent ──┴──► over
import type { MemberId, Term } from "../base/brand.ts";
import type { Clock } from "../base/ports.ts";
import type { SnapshotMeta } from "../raft/types.ts";
import type { TableRow } from "../storage/engine.ts";
import type { IncomingStore } from "../storage/storeHome.ts";
import {
  type ChunkFrame,
  type EndFrame,
  encodeImageFrame,
  type OfferFrame,
  Refusal,
} from "./imageFrames.ts";
import { ChunksToRows, RowsFault } from "./imageRows.ts";
import { silentTicksMax, windowFramesMax } from "./imageSender.ts";

/** One batch of the incoming store, and so what one turn decodes. */
export const addRowsMax = 1_024;
export const addBytesMax = 1 << 20;
/** Ticks between two signs of life of a disk that is slow. */
export const ackTicks = 5;

export interface ReceiverPorts {
  readonly from: MemberId;
  readonly offer: OfferFrame;
  readonly incoming: IncomingStore;
  readonly send: (frame: Uint8Array) => void;
  /** Something is to be done in a turn. */
  readonly wake: () => void;
  readonly clock: Clock;
}

type Step = "building" | "finishing" | "finished" | "taken" | "over";

export class ImageReceiver {
  readonly from: MemberId;
  readonly transfer: number;
  readonly meta: SnapshotMeta;
  readonly #ports: ReceiverPorts;
  readonly #rows = new ChunksToRows();
  /** Arrived and not decoded, the first with sequence `#decoded`. */
  #chunks: ChunkFrame[] = [];
  #step: Step = "building";
  #isAdding = false;
  /** Sequences before these are in the store, decoded, here; the offer is 0. */
  #written = 1;
  #decoded = 1;
  #got = 1;
  #end: EndFrame | undefined;
  #isAckDue = true;
  #ackedTicks = 0;
  #silentTicks = 0;
  #why = "";
  readonly #startMs: number;
  #endMs = 0;
  /** Seconds from the offer until all is durable, and what making it durable took of that. */
  savedSec = 0;
  finishedSec = 0;

  constructor(ports: ReceiverPorts) {
    this.#ports = ports;
    this.#startMs = ports.clock.nowMs();
    this.from = ports.from;
    this.transfer = ports.offer.transfer;
    this.meta = ports.offer.meta;
  }

  get step(): Step {
    return this.#step;
  }

  /** Why it is over, for the log; empty when it went well. */
  get why(): string {
    return this.#why;
  }

  /** The leader's term at the end of the transfer; for whoever tells raft. */
  get leaderTerm(): Term {
    return this.#end?.leaderTerm ?? this.#ports.offer.leaderTerm;
  }

  /** A frame that came again asks where the transfer stands. */
  onRepeat(): void {
    this.#silentTicks = 0;
    this.#isAckDue = true;
  }

  onChunk(chunk: ChunkFrame): void {
    if (!this.#isNext(chunk.sequence) || this.#got - this.#written >= windowFramesMax) return;
    this.#got++;
    this.#chunks.push(chunk);
  }

  onEnd(frame: EndFrame): void {
    if (!this.#isNext(frame.sequence)) return;
    this.#got++;
    this.#end = frame;
  }

  /** @returns true when there is more to do now. */
  turn(): boolean {
    if (this.#step === "building" && !this.#isAdding) this.#build();
    if (this.#isAckDue) this.#ack();
    return false;
  }

  tick(): void {
    this.#silentTicks++;
    this.#ackedTicks++;
    if (this.#ackedTicks >= ackTicks) this.#isAckDue = true;
    // From "finishing" on nothing of the leader's is needed.
    if (this.#step === "building" && this.#silentTicks > silentTicksMax) {
      this.giveUp("the leader is silent");
    }
  }

  /** Raft made this its state: the store only has to take its place. */
  take(): void {
    this.#step = "taken";
  }

  /** Puts the new store in the place of the old one. */
  commit(done: (error: Error | undefined) => void): void {
    this.#ports.incoming.commit(done);
  }

  /** This state is in place, or it was not needed. */
  close(): void {
    if (this.#step !== "taken") this.#ports.incoming.abandon();
    this.#step = "over";
    const { transfer } = this;
    const next = this.#got;
    this.#ports.send(encodeImageFrame({ kind: "ack", transfer, next, got: next, done: true }));
  }

  /** Removes what was built. Not after `take`. */
  giveUp(why: string, refusal?: Refusal): void {
    if (this.#step === "over") return;
    this.#step = "over";
    this.#why = why;
    this.#chunks = [];
    this.#ports.incoming.abandon();
    const { transfer } = this;
    if (refusal !== undefined) {
      this.#ports.send(encodeImageFrame({ kind: "refuse", transfer, why: refusal }));
    }
  }

  #isNext(sequence: number): boolean {
    this.#silentTicks = 0;
    const isNext = sequence === this.#got && this.#end === undefined && this.#step === "building";
    if (!isNext) this.#isAckDue = true;
    return isNext;
  }

  #build(): void {
    let rows: readonly TableRow[];
    try {
      rows = this.#decode();
    } catch (error) {
      if (!(error instanceof RowsFault)) throw error;
      this.giveUp(error.message, Refusal.damaged);
      return;
    }
    if (rows.length > 0) this.#add(rows);
    else {
      this.#note(this.#decoded);
      if (this.#end !== undefined) this.#finish(this.#end);
    }
  }

  /** The next rows, as many as make one batch. */
  #decode(): readonly TableRow[] {
    const rows: TableRow[] = [];
    let bytes = 0;
    while (rows.length < addRowsMax && bytes < addBytesMax) {
      const row = this.#rows.next();
      if (row !== undefined) {
        rows.push(row);
        bytes += row.key.length + row.value.length;
        continue;
      }
      // The chunk pushed last is decoded to its end.
      this.#decoded = this.#got - this.#chunks.length - (this.#end === undefined ? 0 : 1);
      const chunk = this.#chunks.shift();
      if (chunk === undefined) break;
      this.#rows.push(chunk.bytes, chunk.checksum);
    }
    return rows;
  }

  #add(rows: readonly TableRow[]): void {
    this.#isAdding = true;
    const decoded = this.#decoded;
    this.#ports.incoming.add(rows, (error) => {
      if (this.#step === "over") return;
      this.#isAdding = false;
      if (error !== undefined) this.giveUp(error.message, Refusal.failed);
      else this.#note(decoded);
      this.#ports.wake();
    });
  }

  #note(written: number): void {
    if (written <= this.#written) return;
    this.#written = written;
    this.#isAckDue = true;
  }

  #finish(end: EndFrame): void {
    const { rows, bytes, digest } = this.#rows.totals;
    const isWhole = rows === end.rows && bytes === end.bytes && digest === end.digest;
    if (!isWhole || !this.#rows.isBetweenRows) {
      this.giveUp("the image is not what was sent", Refusal.damaged);
      return;
    }
    this.#step = "finishing";
    this.#endMs = this.#ports.clock.nowMs();
    const { index, term } = this.meta;
    this.#ports.incoming.finish({ index, term }, (error) => {
      if (this.#step === "over") return;
      if (error !== undefined) this.giveUp(error.message, Refusal.failed);
      else this.#onFinished();
      this.#ports.wake();
    });
  }

  #onFinished(): void {
    const nowMs = this.#ports.clock.nowMs();
    this.#step = "finished";
    this.savedSec = (nowMs - this.#startMs) / 1000;
    this.finishedSec = (nowMs - this.#endMs) / 1000;
  }

  #ack(): void {
    if (this.#step === "over") return;
    this.#isAckDue = false;
    this.#ackedTicks = 0;
    const { transfer } = this;
    const [next, got] = [this.#written, this.#got];
    this.#ports.send(encodeImageFrame({ kind: "ack", transfer, next, got, done: false }));
  }
}
