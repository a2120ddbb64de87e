// Frames between members: late, lost, doubled, overtaken, and cut off one way or both.

import type { MemberId } from "../../src/base/brand.ts";
import { copyBytes } from "../../src/base/bytes.ts";
import type { Prng } from "../../src/base/prng.ts";
import { describeMessage } from "../../src/raft/describe.ts";
import { decodeFrame, FrameKind, frameKind } from "../../src/transport/frame.ts";
import type { PeerLink } from "../../src/transport/link.ts";
import type { EventQueue } from "./eventQueue.ts";
import type { NetworkOdds } from "./odds.ts";
import type { Sites } from "./sites.ts";
import type { Trace } from "./trace.ts";

/** Frames under way between two members; more are dropped, as a real link's backlog is bounded. */
const underWayMax = 2_000;

export interface NetworkParts {
  readonly queue: EventQueue;
  readonly random: Prng;
  readonly trace: Trace;
  readonly sites: Sites;
  readonly odds: NetworkOdds;
  readonly onSend: (from: MemberId, to: MemberId, bytes: Uint8Array) => void;
  readonly deliver: (from: MemberId, to: MemberId, bytes: Uint8Array) => void;
}

/** One direction between two members. */
interface Lane {
  cut: boolean;
  /** Every frame takes so much longer; still in order. */
  slowUs: number;
  underWay: number;
  lastArrivalUs: number;
}

/** After healing: quick and faithful. */
const healed: NetworkOdds = { delayUsMin: 50, delayUsMax: 500, loss: 0, double: 0, reorder: 0 };

export class Network {
  readonly #parts: NetworkParts;
  readonly #lanes = new Map<MemberId, Map<MemberId, Lane>>();
  #odds: NetworkOdds;

  constructor(parts: NetworkParts, ids: readonly MemberId[]) {
    this.#parts = parts;
    this.#odds = parts.odds;
    for (const from of ids) {
      const lanes = ids.map(
        (to) => [to, { cut: false, slowUs: 0, underWay: 0, lastArrivalUs: 0 }] as const,
      );
      this.#lanes.set(from, new Map(lanes));
    }
  }

  /** The link of one life of a member. */
  linkOf(from: MemberId): PeerLink {
    return {
      send: (to, bytes) => {
        this.#parts.sites.pass(from, "link.send");
        this.#send(from, to, bytes);
      },
      sendBulk: (to, bytes) => {
        this.#parts.sites.pass(from, "link.send");
        this.#send(from, to, copyBytes(bytes));
        return true;
      },
      onFrame: undefined,
      connected: (to) => this.#lanes.get(from)?.get(to)?.cut === false,
      close: () => {},
    };
  }

  /** Frames from `from` to `to` are lost from now on, also those under way. */
  cut(from: MemberId, to: MemberId): void {
    const lane = this.#lanes.get(from)?.get(to);
    if (lane !== undefined) lane.cut = true;
  }

  /** Frames from `from` to `to` stay under way for `us` more, as on a connection that stalls. */
  slow(from: MemberId, to: MemberId, us: number): void {
    const lane = this.#lanes.get(from)?.get(to);
    if (lane !== undefined) lane.slowUs = us;
  }

  mend(): void {
    for (const lanes of this.#lanes.values()) {
      for (const lane of lanes.values()) {
        lane.cut = false;
        lane.slowUs = 0;
      }
    }
  }

  /** No more faults. */
  heal(): void {
    this.mend();
    this.#odds = healed;
  }

  #send(from: MemberId, to: MemberId, bytes: Uint8Array): void {
    const { sites, random, trace, onSend } = this.#parts;
    onSend(from, to, bytes);
    const lane = this.#lanes.get(from)?.get(to);
    if (lane === undefined || lane.underWay >= underWayMax) return;
    if (trace.on) trace.line(`m${from} sends ${describeFrame(from, to, bytes)}`);
    if (lane.cut) sites.count("network.cut");
    else if (random.oneIn(this.#odds.loss)) sites.count("network.loss");
    else {
      if (random.oneIn(this.#odds.double)) {
        sites.count("network.double");
        this.#carry(from, to, lane, bytes.slice());
      }
      this.#carry(from, to, lane, bytes);
    }
  }

  #carry(from: MemberId, to: MemberId, lane: Lane, bytes: Uint8Array): void {
    const { queue, random, sites, trace, deliver } = this.#parts;
    const { delayUsMin, delayUsMax, reorder } = this.#odds;
    let atUs = queue.nowUs + lane.slowUs + delayUsMin + random.integer(delayUsMax - delayUsMin);
    if (random.oneIn(reorder)) {
      sites.count("network.reorder");
      atUs += random.integer(4 * delayUsMax);
    } else {
      atUs = Math.max(atUs, lane.lastArrivalUs);
      lane.lastArrivalUs = atUs;
    }
    lane.underWay++;
    queue.after(atUs - queue.nowUs, () => {
      lane.underWay--;
      if (lane.cut) sites.count("network.cut");
      else {
        if (trace.on) trace.line(`m${to} gets ${describeFrame(from, to, bytes)}`);
        deliver(from, to, bytes);
      }
    });
  }
}

export function describeFrame(from: MemberId, to: MemberId, bytes: Uint8Array): string {
  if (frameKind(bytes) !== FrameKind.raft) return `${bytes.length} bytes of kind ${bytes[1]}`;
  const frame = decodeFrame({ from, to, bytes });
  return frame.kind === "bad"
    ? `bad frame: ${frame.why}`
    : frame.messages.map(describeMessage).join("; ");
}
