// One HTTP/2 connection: its life on a socket, and what each kind of frame means to it.

import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import {
  ConnectionFault,
  connectionPreface,
  ErrorCode,
  Flag,
  type Frame,
  FrameReader,
  FrameType,
  framePayloadBytesMax,
  Setting,
  streamIdMax,
  windowBytesMax,
} from "./frames.ts";
import { HeldPing, type HeldPings } from "./heldPings.ts";
import { Allowance, ByteBudget, type Http2Limits } from "./limits.ts";
import { type ChunkPool, Output } from "./output.ts";
import { Requests } from "./requests.ts";
import { ResponseBlocks, type UsualFields } from "./responseBlocks.ts";
import { Sender } from "./sender.ts";
import type { RequestHandler } from "./stream.ts";
import type { Timers } from "./timers.ts";

/** What the connections of a server share. */
export interface ConnectionHost {
  readonly limits: Http2Limits;
  readonly handler: RequestHandler;
  readonly usual: UsualFields;
  readonly pool: ChunkPool;
  readonly timers: Timers;
  readonly queued: ByteBudget;
  readonly held: ByteBudget;
  readonly heldPings: HeldPings;
  /** Asks for `flush` at the end of this turn; called once until then. */
  onDirty(connection: Connection): void;
  onClosed(connection: Connection): void;
}

type Phase = "preface" | "settings" | "open" | "ending" | "closed";

const settingsCost = 50;
const drainProbe = Buffer.from("drained?");

export class Connection {
  readonly #socket: Duplex;
  readonly #host: ConnectionHost;
  readonly #limits: Http2Limits;
  readonly #reader = new FrameReader();
  readonly #out: Output;
  readonly #sender: Sender;
  readonly #requests: Requests;
  readonly #idleFrames: Allowance;
  // A plain socket has copied the bytes once its write is done; others may keep our buffer.
  readonly #socketCopies: boolean;
  #phase: Phase = "preface";
  #prefaceMatched = 0;
  #acknowledged = false;
  #dirty = false;
  #blocked = false;
  #sinceMs: number;
  #finalGoaway = false;
  readonly #ping = new HeldPing();

  constructor(socket: Duplex, host: ConnectionHost) {
    const { limits } = host;
    this.#socket = socket;
    this.#host = host;
    this.#limits = limits;
    this.#sinceMs = host.timers.nowMs();
    this.#socketCopies = socket.constructor === Socket;
    this.#out = new Output(host.pool);
    this.#idleFrames = new Allowance({
      burstMax: limits.idleFramesBurstMax,
      perSecMax: limits.idleFramesPerSecMax,
    });
    this.#sender = new Sender({
      out: this.#out,
      blocks: new ResponseBlocks(host.usual),
      host: {
        onAnswered: (stream) => this.#requests.onAnswered(stream),
        onOutput: () => this.#markDirty(),
      },
      limits,
      queued: new ByteBudget(limits.queuedBytesPerConnectionMax, host.queued),
      idleFrames: this.#idleFrames,
    });
    this.#requests = new Requests({
      out: this.#out,
      sender: this.#sender,
      handler: host.handler,
      limits,
      held: new ByteBudget(limits.heldBytesPerConnectionMax, host.held),
      idleFrames: this.#idleFrames,
      onOutput: () => this.#markDirty(),
    });
  }

  /** Open streams. */
  get streamCount(): number {
    return this.#requests.size;
  }

  /** Takes over the socket; `first` was already read from it. */
  start(first: Buffer): void {
    const socket = this.#socket;
    socket.on("data", (chunk: Buffer) => this.#onChunk(chunk));
    socket.on("end", () => this.#close());
    socket.on("error", () => this.#close());
    socket.on("close", () => this.#close());
    this.#sendSettings();
    if (first.length > 0) this.#onChunk(first);
  }

  /** Writes what the turn has produced. Called by the owner, once per turn. */
  flush(): void {
    this.#dirty = false;
    if (this.#phase === "closed" || this.#blocked) return;
    this.#requests.giveWindow();
    this.#sender.pump();
    this.#answerPing();
    this.#write();
    if (this.#finalGoaway && this.#requests.size === 0) this.#end();
    else if (!this.#blocked && this.#sender.hasWork) this.#markDirty();
  }

  /** Refuses new streams, lets the open ones finish, then ends. */
  drain(): void {
    if (this.#phase === "preface" || this.#phase === "settings") {
      this.#goaway(ErrorCode.noError, "shutting down");
      return;
    }
    if (this.#phase !== "open") return;
    // Two steps (RFC 9113, 6.8), so that requests already on their way are still served.
    this.#out.goaway(streamIdMax, ErrorCode.noError, "shutting down");
    this.#out.frame(FrameType.ping, 0, 0, drainProbe);
    this.#markDirty();
  }

  /** Ends at once: open streams are aborted, nothing more is sent. */
  destroy(): void {
    this.#socket.destroy();
    this.#close();
  }

  /** Called about once per second: deadlines and allowances. */
  sweep(nowMs: number, elapsedMs: number): void {
    this.#idleFrames.refill(elapsedMs);
    this.#requests.resets.refill(elapsedMs);
    this.#requests.dropUnread(nowMs, elapsedMs);
    const forMs = nowMs - this.#sinceMs;
    if (this.#phase === "ending") {
      if (forMs > this.#limits.lingerMsMax) this.destroy();
    } else if (this.#phase !== "open" || !this.#acknowledged) {
      if (forMs > this.#limits.handshakeMsMax) {
        this.#goaway(ErrorCode.settingsTimeout, "no preface, SETTINGS or acknowledgement in time");
      }
    } else if (this.#blocked && forMs > this.#limits.stallMsMax) {
      this.destroy();
    }
  }

  #sendSettings(): void {
    const at = this.#out.begin(FrameType.settings, 0, 0, 12);
    const chunk = this.#out.chunk;
    chunk.writeUInt16BE(Setting.maxConcurrentStreams, at);
    chunk.writeUInt32BE(this.#limits.streamsPerConnectionMax, at + 2);
    chunk.writeUInt16BE(Setting.maxHeaderListSize, at + 6);
    chunk.writeUInt32BE(this.#limits.headerListBytesMax, at + 8);
    this.#requests.openWindow();
    this.#markDirty();
  }

  #onChunk(chunk: Buffer): void {
    if (this.#phase === "ending" || this.#phase === "closed") return;
    try {
      const from = this.#phase === "preface" ? this.#matchPreface(chunk) : 0;
      if (from < chunk.length) this.#reader.push(chunk, from, this);
    } catch (fault) {
      if (!(fault instanceof ConnectionFault)) throw fault;
      this.#goaway(fault.code, fault.reason);
    }
    // A peer that does not read its answers is not served either, until it does.
    if (this.#blocked && this.#out.bytes > this.#limits.outputBytesMax) this.#socket.pause();
  }

  #matchPreface(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length && this.#prefaceMatched < connectionPreface.length) {
      if (chunk[at++] !== connectionPreface[this.#prefaceMatched++]) {
        throw new ConnectionFault(ErrorCode.protocolError, "bad connection preface");
      }
    }
    if (this.#prefaceMatched === connectionPreface.length) this.#phase = "settings";
    return at;
  }

  /** For the frame reader. */
  onFrame(frame: Frame): boolean {
    if (this.#phase === "settings") this.#expectSettings(frame);
    this.#requests.checkAssembly(frame);
    switch (frame.type) {
      case FrameType.data:
        this.#requests.onData(frame);
        break;
      case FrameType.headers:
        this.#requests.onHeaders(frame);
        break;
      case FrameType.continuation:
        this.#requests.onContinuation(frame);
        break;
      case FrameType.windowUpdate:
        this.#requests.onWindowUpdate(frame);
        break;
      case FrameType.rstStream:
        this.#requests.onReset(frame);
        break;
      case FrameType.settings:
        this.#onSettings(frame);
        break;
      case FrameType.ping:
        this.#onPing(frame);
        break;
      case FrameType.priority:
        this.#requests.onPriority(frame);
        break;
      case FrameType.goaway:
        this.#onGoaway(frame);
        break;
      case FrameType.pushPromise:
        throw new ConnectionFault(ErrorCode.protocolError, "PUSH_PROMISE from a client");
      default:
        this.#countIdle(1);
    }
    return this.#phase === "open";
  }

  #expectSettings(frame: Frame): void {
    if (frame.type !== FrameType.settings || frame.flags & Flag.ack) {
      throw new ConnectionFault(ErrorCode.protocolError, "the first frame is not SETTINGS");
    }
    this.#phase = "open";
  }

  #onSettings(frame: Frame): void {
    const length = frame.to - frame.from;
    requireConnection(frame);
    if (frame.flags & Flag.ack) {
      if (length !== 0) throw sizeFault("SETTINGS acknowledgement with a payload");
      this.#acknowledged = true;
      this.#countIdle(1);
      return;
    }
    if (length % 6 !== 0) throw sizeFault("SETTINGS length is no multiple of 6");
    // Each may make us look at every stream that waits.
    this.#countIdle(settingsCost);
    for (let at = frame.from; at < frame.to; at += 6) {
      this.#onSetting(frame.bytes.readUInt16BE(at), frame.bytes.readUInt32BE(at + 2));
    }
    this.#out.begin(FrameType.settings, Flag.ack, 0, 0);
    this.#markDirty();
  }

  #onSetting(id: number, value: number): void {
    if (id === Setting.initialWindowSize) {
      if (value > windowBytesMax) {
        throw new ConnectionFault(ErrorCode.flowControlError, "initial window beyond 2^31-1");
      }
      this.#requests.onInitialWindow(value);
    } else if (id === Setting.headerTableSize) {
      this.#sender.onTableSize(value);
    } else if (id === Setting.enablePush && value > 1) {
      throw new ConnectionFault(ErrorCode.protocolError, "SETTINGS_ENABLE_PUSH is 0 or 1");
    } else if (id === Setting.maxFrameSize && (value < framePayloadBytesMax || value > 0xff_ffff)) {
      throw new ConnectionFault(ErrorCode.protocolError, "SETTINGS_MAX_FRAME_SIZE out of range");
    }
  }

  #onPing(frame: Frame): void {
    requireConnection(frame);
    if (frame.to - frame.from !== 8) throw sizeFault("PING is not 8 bytes long");
    this.#countIdle(1);
    const payload = frame.bytes.subarray(frame.from, frame.to);
    if (frame.flags & Flag.ack) {
      if (drainProbe.equals(payload)) this.#onDrained();
      return;
    }
    if (this.#ping.holds) this.#writePing();
    this.#ping.take(payload);
    this.#markDirty();
  }

  // Behind the output of the turn: an answer that goes out before would only fetch the next PING.
  #answerPing(): void {
    if (!this.#ping.holds) return;
    if (this.#out.bytes > 0 || this.#requests.size === 0) this.#writePing();
    else this.#host.heldPings.hold(this.#ping, this);
  }

  /** For the clock of held answers. */
  releasePing(): void {
    this.#writePing();
    this.#markDirty();
  }

  #writePing(): void {
    this.#ping.holds = false;
    this.#out.frame(FrameType.ping, Flag.ack, 0, this.#ping.payload);
  }

  #onDrained(): void {
    if (this.#finalGoaway) return;
    this.#finalGoaway = true;
    this.#requests.refuseNew();
    this.#out.goaway(this.#requests.lastId, ErrorCode.noError, "shutting down");
    this.#markDirty();
  }

  #onGoaway(frame: Frame): void {
    requireConnection(frame);
    if (frame.to - frame.from < 8) throw sizeFault("GOAWAY is shorter than 8 bytes");
    this.#countIdle(1);
  }

  #countIdle(cost: number): void {
    if (this.#idleFrames.take(cost)) return;
    throw new ConnectionFault(ErrorCode.enhanceYourCalm, "too many frames without work");
  }

  #markDirty(): void {
    if (this.#dirty || this.#phase === "closed") return;
    this.#dirty = true;
    this.#host.onDirty(this);
  }

  #write(): void {
    const chunks = this.#out.take();
    if (chunks.length === 0) return;
    const socket = this.#socket;
    const several = chunks.length > 1;
    if (several) socket.cork();
    for (const chunk of chunks) socket.write(chunk, this.#onWritten);
    if (several) socket.uncork();
    if (socket.writableLength === 0) {
      if (this.#socketCopies) this.#out.giveBack(chunks);
      return;
    }
    this.#blocked = true;
    this.#sender.unsentBytes = socket.writableLength;
    if (this.#phase === "open") this.#sinceMs = this.#host.timers.nowMs();
  }

  readonly #onWritten = (): void => {
    if (!this.#blocked || this.#socket.writableLength > 0) return;
    this.#blocked = false;
    this.#sender.unsentBytes = 0;
    if (this.#phase === "open" && this.#socket.isPaused()) this.#socket.resume();
    this.#markDirty();
  };

  // The last words: GOAWAY, then the end of the socket; what the peer still sends is not read.
  #goaway(code: ErrorCode, reason: string): void {
    if (this.#phase === "ending" || this.#phase === "closed") return;
    this.#out.goaway(this.#requests.lastId, code, reason);
    this.#end();
  }

  #end(): void {
    if (this.#phase === "ending" || this.#phase === "closed") return;
    this.#phase = "ending";
    this.#sinceMs = this.#host.timers.nowMs();
    this.#requests.abortAll();
    this.#write();
    this.#socket.end();
  }

  #close(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#ping.holds = false;
    this.#requests.abortAll();
    this.#out.giveBack(this.#out.take());
    this.#host.onClosed(this);
    if (!this.#socket.destroyed) this.#socket.destroy();
  }
}

function requireConnection(frame: Frame): void {
  if (frame.streamId === 0) return;
  throw new ConnectionFault(ErrorCode.protocolError, "connection frame on a stream");
}

const sizeFault = (reason: string): ConnectionFault =>
  new ConnectionFault(ErrorCode.frameSizeError, reason);
