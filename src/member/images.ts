// Images of the state between members: a leader sends them to peers that need what its log no longer has,
// a follower builds a new store of one and has raft begin behind it. See docs/decisions/0008.
import { Mistake } from "../base/assert.ts";
import { type MemberId, noMember } from "../base/brand.ts";
import type { Clock, Log } from "../base/ports.ts";
import type { SeldomLog } from "../base/seldomLog.ts";
import type { RaftNode } from "../raft/node.ts";
import type { IncomingStore, StoreHome } from "../storage/storeHome.ts";
import type { PeerLink } from "../transport/link.ts";
import {
  decodeImageFrame,
  encodeImageFrame,
  type ImageFrame,
  type OfferFrame,
  Refusal,
} from "./imageFrames.ts";
import { ImageReceiver } from "./imageReceiver.ts";
import { ImageSender } from "./imageSender.ts";
import { ImageTally } from "./imageTally.ts";
import type { MemberConfig, MemberPorts } from "./memberParts.ts";
import { takeImage } from "./stateImage.ts";

/** Peers that are sent to at once; another waits until raft asks again. */
export const transfersMax = 2;

/** Senders of one turn read within this, and one row more: a slow disk must not hold up the member. */
export const imageBudgetMs = 10;

/** Ids of one life of a member; so many lives later they come round. */
const idsPerLife = 2 ** 32;
const livesApart = 2 ** 20;
/** Frames on their way to a peer from which on a busy member makes no turns for them alone. */
const framesBesideCalls = 4;

export interface ImagesParts {
  readonly raft: RaftNode;
  readonly tally: ImageTally;
  /** A frame could not be decoded and was dropped. */
  readonly onBadFrame: (from: MemberId) => void;
  /** The place beside the store is free for an image. @returns false: not now. */
  readonly makeRoom: () => boolean;
  /** For what a peer could make this member say again and again. */
  readonly oddities: SeldomLog;
}

interface AllParts extends ImagesParts {
  readonly self: MemberId;
  readonly home: StoreHome;
  readonly link: PeerLink;
  readonly log: Log;
  readonly clock: Clock;
  /** Asks for a turn soon. */
  readonly wake: () => void;
}

interface Transfer {
  readonly from: MemberId;
  readonly transfer: number;
}

export class Images {
  readonly #parts: AllParts;
  readonly #senders = new Map<MemberId, ImageSender>();
  /** Peers for which raft asked for a snapshot in this turn. */
  readonly #wanted = new Set<MemberId>();
  #receiver: ImageReceiver | undefined;
  /** What ended well, for a leader that did not hear of it. */
  #lastDone: Transfer | undefined;
  #lastTransfer: number;

  /** @param config its incarnation differs from that of any recent life of this member. */
  constructor(
    config: Pick<MemberConfig, "id" | "incarnation">,
    ports: MemberPorts,
    parts: ImagesParts,
  ) {
    this.#parts = {
      self: config.id,
      raft: parts.raft,
      tally: parts.tally,
      onBadFrame: parts.onBadFrame,
      oddities: parts.oddities,
      makeRoom: parts.makeRoom,
      home: ports.home,
      link: ports.link,
      log: ports.log,
      clock: ports.clock,
      wake: ports.requestTurn,
    };
    this.#lastTransfer = (config.incarnation % livesApart) * idsPerLife;
  }

  /** Peers that are sent to. Each of these transfers reads a state of its own. */
  get sendingTo(): readonly MemberId[] {
    return [...this.#senders.keys()];
  }

  /** To put another store in the place of this one would cut a transfer off. */
  get isReadingStore(): boolean {
    for (const sender of this.#senders.values()) if (sender.isReading) return true;
    return false;
  }

  /** Whose image is on its way here, from the offer until it is in place or given up. */
  get receivingFrom(): MemberId | undefined {
    return this.#receiver?.from;
  }

  /** The peers that are sent to go on from here: the log keeps what follows. */
  get oldestIndex(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const { meta } of this.#senders.values()) oldest = Math.min(oldest, meta.index);
    return oldest;
  }

  /** Raft says that the peer needs more than the log has. */
  want(peer: MemberId): void {
    this.#wanted.add(peer);
  }

  onFrame(from: MemberId, bytes: Uint8Array): void {
    const frame = decodeImageFrame(bytes);
    if (typeof frame === "string") {
      this.#parts.onBadFrame(from);
      const message = "dropped a bulk frame that cannot be decoded";
      this.#parts.oddities.warn(`${from} ${frame}`, message, { from, why: frame });
    } else if (frame.kind === "offer") this.#onOffer(from, frame);
    else if (frame.kind === "ack" || frame.kind === "refuse") this.#onAnswer(from, frame);
    else this.#onPiece(from, frame);
  }

  /**
   * A bounded piece of every transfer.
   *
   * @param isStoreIdle no batch is under way: an image taken now has the store's whole room.
   * @param isBusy calls wait here: what is sent to peers rides with the turns that these make.
   * @returns true when there is more to do now.
   */
  turn(isStoreIdle: boolean, isBusy: boolean): boolean {
    if (isStoreIdle) this.#startWanted();
    let more = false;
    const { clock } = this.#parts;
    const untilMs = clock.nowMs() + imageBudgetMs;
    for (const sender of this.#senders.values()) {
      if (!this.#leadsFor(sender)) this.#abort(sender);
      else if (sender.turn(() => clock.nowMs() < untilMs))
        more ||= !isBusy || sender.framesUnderWay < framesBesideCalls;
      if (sender.end !== undefined) more = this.#endSending(sender) || more;
    }
    return this.#turnReceiver() || more;
  }

  tick(): void {
    for (const sender of this.#senders.values()) sender.tick();
    this.#receiver?.tick();
  }

  /**
   * Raft's log begins behind the image, durably: its store takes the place of the old one.
   *
   * @param done the store is `home.engine`; with an error the member must stop.
   */
  commit(done: (error: Error | undefined) => void): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    for (const sender of this.#senders.values()) this.#abort(sender);
    receiver.commit((error) => {
      if (error === undefined) this.#endReceiving(receiver);
      done(error);
    });
  }

  stop(): void {
    for (const sender of this.#senders.values()) this.#abort(sender);
  }

  #startWanted(): void {
    const { raft, home, link, log, self, clock } = this.#parts;
    for (const peer of this.#wanted) {
      this.#wanted.delete(peer);
      if (raft.role !== "leader" || this.#senders.has(peer)) continue;
      const image = this.#senders.size < transfersMax ? takeImage(home.engine, raft) : undefined;
      if (image === undefined) {
        raft.reportSnapshot(peer, false);
        continue;
      }
      this.#lastTransfer++;
      const sender = new ImageSender({
        peer,
        transfer: this.#lastTransfer,
        image,
        ...{ leaderTerm: raft.term, startMs: clock.nowMs() },
        sendBulk: (frame) => link.sendBulk(peer, frame),
      });
      this.#senders.set(peer, sender);
      log.info("sends a snapshot", { self, peer, index: image.meta.index });
    }
  }

  #leadsFor({ peer, leaderTerm }: ImageSender): boolean {
    const { raft } = this.#parts;
    return raft.role === "leader" && raft.term === leaderTerm && raft.hasPeer(peer);
  }

  #abort(sender: ImageSender): void {
    const { peer, transfer } = sender;
    this.#close(sender);
    this.#parts.link.send(peer, encodeImageFrame({ kind: "abort", transfer }));
  }

  /** @returns seconds since its start. */
  #close(sender: ImageSender): number {
    sender.close();
    this.#senders.delete(sender.peer);
    const seconds = (this.#parts.clock.nowMs() - sender.startMs) / 1000;
    this.#parts.tally.pinSec.observe(seconds);
    return seconds;
  }

  /** @returns true: raft has something to do. */
  #endSending(sender: ImageSender): boolean {
    const { peer, transfer, end, meta } = sender;
    if (end === undefined || !this.#senders.has(peer)) return false;
    const seconds = this.#close(sender);
    this.#parts.raft.reportSnapshot(peer, end.kind === "done");
    const { tally } = this.#parts;
    ImageTally.add(end.kind === "done" ? tally.sent : tally.sendFailures, peer);
    if (end.kind === "done") {
      ImageTally.observe(tally.sendSec, peer, seconds);
      this.#parts.log.info("sent a snapshot", { peer, index: meta.index, bytes: sender.sentBytes });
      return true;
    }
    this.#parts.log.warn("could not send a snapshot", { peer, index: meta.index, why: end.why });
    this.#parts.link.send(peer, encodeImageFrame({ kind: "abort", transfer }));
    return true;
  }

  #onAnswer(from: MemberId, frame: ImageFrame & { kind: "ack" | "refuse" }): void {
    const sender = this.#senders.get(from);
    if (sender === undefined || sender.transfer !== frame.transfer) return;
    if (frame.kind === "ack") sender.onAck(frame);
    else sender.onRefuse(frame);
  }

  #onOffer(from: MemberId, offer: OfferFrame): void {
    const { transfer } = offer;
    const { raft } = this.#parts;
    if (this.#isReceiving(from, transfer)) this.#receiver?.onRepeat();
    else if (raft.status().commit >= offer.meta.index) this.#answerDone(from, transfer);
    else if (!this.#mayLead(from, offer)) this.#refuse(from, { transfer, why: Refusal.stale });
    else if (this.#receiver?.step === "taken" || !this.#parts.makeRoom()) {
      this.#refuse(from, { transfer, why: Refusal.busy });
    } else this.#begin(from, offer);
  }

  #mayLead(from: MemberId, { leaderTerm }: OfferFrame): boolean {
    const { raft } = this.#parts;
    if (leaderTerm !== raft.term) return leaderTerm > raft.term;
    return raft.role !== "leader" && (raft.leader === from || raft.leader === noMember);
  }

  #begin(from: MemberId, offer: OfferFrame): void {
    const { home, link, log, wake, clock } = this.#parts;
    this.#receiver?.giveUp("another one was offered");
    this.#receiver = undefined;
    const incoming = this.#beginIncoming(home);
    if (incoming === undefined) {
      this.#refuse(from, { transfer: offer.transfer, why: Refusal.failed });
      return;
    }
    const send = (frame: Uint8Array): void => link.send(from, frame);
    this.#receiver = new ImageReceiver({ from, offer, incoming, send, wake, clock });
    log.info("receives a snapshot", { from, index: offer.meta.index });
  }

  /** A disk that fails the new store may still be good enough for the old one. */
  #beginIncoming(home: StoreHome): IncomingStore | undefined {
    try {
      return home.begin();
    } catch (error) {
      if (!(error instanceof Error) || error instanceof Mistake) throw error;
      this.#parts.log.warn("cannot build a store from a snapshot", { why: error.message });
      return undefined;
    }
  }

  #onPiece(from: MemberId, frame: ImageFrame & { kind: "chunk" | "end" | "abort" }): void {
    const { transfer } = frame;
    const receiver = this.#receiver;
    if (receiver !== undefined && this.#isReceiving(from, transfer)) {
      if (frame.kind === "chunk") receiver.onChunk(frame);
      else if (frame.kind === "end") receiver.onEnd(frame);
      // What is whole is a state that was committed, whoever leads now.
      else if (receiver.step === "building") receiver.giveUp("the leader gave it up");
    } else if (frame.kind === "abort") return;
    else if (this.#lastDone?.from === from && this.#lastDone.transfer === transfer) {
      this.#answerDone(from, transfer);
    } else this.#refuse(from, { transfer, why: Refusal.unknown });
  }

  #isReceiving(from: MemberId, transfer: number): boolean {
    return this.#receiver?.from === from && this.#receiver.transfer === transfer;
  }

  #turnReceiver(): boolean {
    const receiver = this.#receiver;
    if (receiver === undefined) return false;
    receiver.turn();
    const isFinished = receiver.step === "finished";
    if (isFinished) this.#tellRaft(receiver);
    if (receiver.step === "over") {
      const { from, why } = receiver;
      ImageTally.add(this.#parts.tally.receiveFailures, from);
      if (why !== "") {
        this.#parts.oddities.warn(`${from} ${why}`, "gave up a snapshot", { from, why });
      }
      this.#receiver = undefined;
    }
    return isFinished;
  }

  #tellRaft(receiver: ImageReceiver): void {
    const { raft, self } = this.#parts;
    const { from, leaderTerm: term, meta } = receiver;
    raft.step({ kind: "snapshot", from, to: self, term, meta });
    if (raft.isRestoring) receiver.take();
    else this.#endReceiving(receiver);
  }

  #endReceiving(receiver: ImageReceiver): void {
    const { from, transfer } = receiver;
    receiver.close();
    const { tally } = this.#parts;
    ImageTally.add(tally.received, from);
    ImageTally.observe(tally.receiveSec, from, receiver.savedSec);
    tally.saveSec.observe(receiver.savedSec);
    tally.syncSec.observe(receiver.finishedSec);
    this.#lastDone = { from, transfer };
    this.#receiver = undefined;
  }

  #answerDone(from: MemberId, transfer: number): void {
    const ack = { kind: "ack", transfer, next: 0, got: 0, done: true } as const;
    this.#parts.link.send(from, encodeImageFrame(ack));
  }

  #refuse(from: MemberId, { transfer, why }: { transfer: number; why: Refusal }): void {
    this.#parts.link.send(from, encodeImageFrame({ kind: "refuse", transfer, why }));
  }
}
