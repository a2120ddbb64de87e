// One frame per peer and turn: all raft messages of the turn for that peer.
//
//   0         1        2               6
//   | version | kind   | header length | header       | payload                       |
//   | u8 = 1  | u8     | u32 LE        | msgpack      | bytes of entries, end to end  |
//
// The header is one flat array of counters (counters.ts): | message kind | term | fields | for each
// message. Ids of sender and receiver are not in it: the link knows both. Entry data is opaque: it
// is copied once, into the payload, and never looked at.
import { assert } from "../base/assert.ts";
import type { MemberId } from "../base/brand.ts";
import type { Message } from "../raft/message.ts";
import {
  arrayHeadBytesMax,
  CounterReader,
  counterBytesMax,
  FrameFault,
  packCounters,
} from "./counters.ts";
import { FrameReader } from "./frameReader.ts";
import { entryCountersMax, messageCountersMax, readMessage, writeMessage } from "./messageCodec.ts";

/** What a frame carries; on the wire: never reuse a number. */
export const FrameKind = {
  raft: 1,
  /** A lane of its own, for chunks of snapshots: never mixed with raft messages. */
  bulk: 2,
  /** Questions about leases, and the leader's answers; see member/leaseFrames.ts. */
  lease: 3,
  /** Requests to change the membership, and their answers; see member/changeFrames.ts. */
  membership: 4,
} as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

export interface FrameLimits {
  readonly frameBytesMax: number;
  readonly messagesMax: number;
  /** Entries, forwarded proposals and ids of all messages together. */
  readonly entriesMax: number;
}

/** Both ends of a link must agree on them. */
export const defaultFrameLimits: FrameLimits = {
  frameBytesMax: 64 * 1_048_576,
  messagesMax: 4_096,
  entriesMax: 65_536,
};

/** What the bytes of a peer turned out to be. */
export type DecodedFrame =
  | { readonly kind: "messages"; readonly messages: readonly Message[] }
  /** Drop it and count it: no member of ours sends such bytes. */
  | { readonly kind: "bad"; readonly why: string };

const formatVersion = 1;
const prefixBytes = 6;

const countersMax = ({ messagesMax, entriesMax }: FrameLimits): number =>
  messageCountersMax * messagesMax + entryCountersMax * entriesMax;

/** Collects the messages for one peer. Entry data must not change before `finish`. */
export class FrameWriter {
  readonly #limits: FrameLimits;
  #counters: number[] = [];
  #payload: Uint8Array[] = [];
  #payloadBytes = 0;
  #count = 0;
  #entries = 0;

  constructor(limits: FrameLimits = defaultFrameLimits) {
    this.#limits = limits;
  }

  /** Messages held. */
  get count(): number {
    return this.#count;
  }

  /**
   * @returns false when the message does not fit: finish this frame and add it to the next.
   * @throws {Mistake} when the message alone is above the limits of a frame.
   */
  add(message: Message): boolean {
    const countersBefore = this.#counters.length;
    const payloadBefore = this.#payload.length;
    const parts = { counters: this.#counters, payload: this.#payload };
    const entries = this.#entries + writeMessage(parts, message);
    let payloadBytes = this.#payloadBytes;
    for (let i = payloadBefore; i < this.#payload.length; i++) {
      payloadBytes += this.#payload[i]?.length ?? 0;
    }
    if (!this.#fits(entries, payloadBytes)) {
      assert(this.#count > 0, `a ${message.kind} message is larger than a frame may be`);
      this.#counters.length = countersBefore;
      this.#payload.length = payloadBefore;
      return false;
    }
    this.#count++;
    this.#entries = entries;
    this.#payloadBytes = payloadBytes;
    return true;
  }

  /** @returns an array that owns its memory, so it may be transferred; the writer is empty again. */
  finish(): Uint8Array {
    const header = packCounters(this.#counters);
    const headerBytes = header.to - header.from;
    const frame = Buffer.allocUnsafeSlow(prefixBytes + headerBytes + this.#payloadBytes);
    frame[0] = formatVersion;
    frame[1] = FrameKind.raft;
    frame.writeUInt32LE(headerBytes, 2);
    // Too few for a view of them to be worth it.
    for (let i = 0; i < headerBytes; i++)
      frame[prefixBytes + i] = header.bytes[header.from + i] ?? 0;
    let offset = prefixBytes + headerBytes;
    for (const data of this.#payload) {
      frame.set(data, offset);
      offset += data.length;
    }
    this.#clear();
    return frame;
  }

  #fits(entries: number, payloadBytes: number): boolean {
    const { frameBytesMax, messagesMax, entriesMax } = this.#limits;
    const headerBytesMax = arrayHeadBytesMax + counterBytesMax * this.#counters.length;
    return (
      this.#count < messagesMax &&
      entries <= entriesMax &&
      prefixBytes + headerBytesMax + payloadBytes <= frameBytesMax
    );
  }

  #clear(): void {
    this.#counters = [];
    this.#payload = [];
    this.#payloadBytes = 0;
    this.#count = 0;
    this.#entries = 0;
  }
}

/** The lane of a frame of our version, to choose its decoder; undefined for anything else. */
export function frameKind(bytes: Uint8Array): FrameKind | undefined {
  if (bytes.length < prefixBytes || bytes[0] !== formatVersion) return undefined;
  const kind = bytes[1];
  switch (kind) {
    case FrameKind.raft:
    case FrameKind.bulk:
    case FrameKind.lease:
    case FrameKind.membership:
      return kind;
    default:
      return undefined;
  }
}

/**
 * Messages of a raft frame, in the order they were added. Every length is checked against the bytes
 * at hand before anything is allocated. Entry data are views into `bytes`, or into a copy where they
 * are a small part of it.
 *
 * @param frame its ends, which the link vouches for; the bytes belong to the messages from here on.
 */
export function decodeFrame(
  frame: { readonly from: MemberId; readonly to: MemberId; readonly bytes: Uint8Array },
  limits: FrameLimits = defaultFrameLimits,
): DecodedFrame {
  try {
    return { kind: "messages", messages: readMessages(frame, limits) };
  } catch (error) {
    if (error instanceof FrameFault) return { kind: "bad", why: error.message };
    throw error;
  }
}

function readMessages(
  frame: { readonly from: MemberId; readonly to: MemberId; readonly bytes: Uint8Array },
  limits: FrameLimits,
): readonly Message[] {
  const { bytes } = frame;
  if (bytes.length > limits.frameBytesMax) throw new FrameFault("the frame is too large");
  if (frameKind(bytes) !== FrameKind.raft) throw new FrameFault("not a raft frame of this version");
  const payloadOffset = prefixBytes + headerBytesOf(bytes);
  if (payloadOffset > bytes.length) throw new FrameFault("the header is cut off");
  const { entriesMax, messagesMax } = limits;
  const header = { from: prefixBytes, to: payloadOffset, countMax: countersMax(limits) };
  const counters = new CounterReader(bytes, header);
  const reader = new FrameReader(bytes, { counters, payloadOffset, entriesMax });
  // Most frames hold one message: an array that is pushed to has room for many.
  const messages: Message[] = reader.hasCounters ? [readMessage(reader, frame)] : [];
  while (reader.hasCounters) {
    if (messages.length >= messagesMax) throw new FrameFault("the frame holds too many messages");
    messages.push(readMessage(reader, frame));
  }
  reader.end();
  return messages;
}

/** u32 LE at offset 2; without a DataView, which costs more than the rest of a small frame's head. */
function headerBytesOf(bytes: Uint8Array): number {
  const low = (bytes[2] ?? 0) | ((bytes[3] ?? 0) << 8) | ((bytes[4] ?? 0) << 16);
  return low + (bytes[5] ?? 0) * 2 ** 24;
}
