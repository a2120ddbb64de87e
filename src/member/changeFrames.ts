// Frames with which a member asks its leader for a change of membership, and is told why not. That it
// was carried out needs no answer: the member applies the entry itself.
//
//   0       1      2    3             9          15
//   | ver 1 | kind | op | incarnation | sequence | body |          all integers big endian
//   | u8    | u8   | u8 | u48         | u48      |
//
//   op 1, asks:     | change u8 | attributes of the member concerned (memberRecord.ts) |
//   op 2, refuses:  | number of the refusal u8 |
import { decodeAttributes, encodeAttributes } from "../apply/memberRecord.ts";
import { asBuffer } from "../base/bytes.ts";
import {
  type EtcdError,
  errImpossibleChange,
  errLearnerNotReady,
  errMemberBadUrls,
  errMemberExists,
  errMemberNotFound,
  errMemberNotLearner,
  errNotEnoughStarted,
  errPeerUrlExists,
  errTooManyLearners,
  errUnhealthy,
} from "../base/errors.ts";
import { FrameKind } from "../transport/frame.ts";
import { attributesOf, type ChangeRequest } from "./changeRequest.ts";

/** Which request of which life of its member. */
export interface ChangeNumber {
  readonly incarnation: number;
  readonly sequence: number;
}

export type ChangeFrame =
  | { readonly kind: "ask"; readonly number: ChangeNumber; readonly request: ChangeRequest }
  | { readonly kind: "refuse"; readonly number: ChangeNumber; readonly error: EtcdError };

const version = 1;
const headBytes = 15;
const op = { ask: 1, refuse: 2 } as const;
/** On the wire: never reuse a number. */
const changes = ["none", "addVoter", "addLearner", "remove", "update", "promote"] as const;
/** On the wire by position: never reuse one. */
const refusals: readonly EtcdError[] = [
  errImpossibleChange("the leader refuses it"),
  errMemberExists,
  errPeerUrlExists,
  errNotEnoughStarted,
  errMemberBadUrls,
  errMemberNotFound,
  errMemberNotLearner,
  errLearnerNotReady,
  errTooManyLearners,
  errUnhealthy,
];

export function encodeAsk(number: ChangeNumber, request: ChangeRequest): Uint8Array {
  const attributes = encodeAttributes(attributesOf(request));
  const frame = frameOf(op.ask, number, 1 + attributes.length);
  frame[headBytes] = changes.indexOf(request.kind);
  frame.set(attributes, headBytes + 1);
  return frame;
}

export function encodeRefusal(number: ChangeNumber, error: EtcdError): Uint8Array {
  const frame = frameOf(op.refuse, number, 1);
  frame[headBytes] = Math.max(0, refusals.indexOf(error));
  return frame;
}

function frameOf(kind: number, { incarnation, sequence }: ChangeNumber, bodyBytes: number): Buffer {
  const frame = Buffer.allocUnsafeSlow(headBytes + bodyBytes);
  frame[0] = version;
  frame[1] = FrameKind.membership;
  frame[2] = kind;
  frame.writeUIntBE(incarnation, 3, 6);
  frame.writeUIntBE(sequence, 9, 6);
  return frame;
}

/** @returns undefined for bytes that no member of ours sends. */
export function decodeChangeFrame(bytes: Uint8Array): ChangeFrame | undefined {
  const frame = asBuffer(bytes);
  if (frame.length <= headBytes || frame[0] !== version) return undefined;
  const number = { incarnation: frame.readUIntBE(3, 6), sequence: frame.readUIntBE(9, 6) };
  if (frame[2] === op.ask) return decodeAsk(frame, number);
  const error = refusals[frame[headBytes] ?? refusals.length];
  if (frame[2] !== op.refuse || frame.length !== headBytes + 1 || !error) return undefined;
  return { kind: "refuse", number, error };
}

function decodeAsk(frame: Buffer, number: ChangeNumber): ChangeFrame | undefined {
  const kind = changes[frame[headBytes] ?? 0];
  const member = decodeAttributes(frame.subarray(headBytes + 1));
  if (kind === undefined || kind === "none" || member === undefined) return undefined;
  const { id, peerUrls } = member;
  const request: ChangeRequest =
    kind === "remove" || kind === "promote" ? { kind, id } : { kind, id, peerUrls };
  return { kind: "ask", number, request };
}
