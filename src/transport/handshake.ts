// Who may speak on a peer connection: headers of the upgrade, and the reasons to refuse it.
//
// Of two members the one with the lower id dials, so both agree without a word which connections there
// are: one for each lane. The other one, while it is not connected, knocks now and then: it is refused,
// but learns why nobody calls, and tells where it can be called. Proof of identity is the business of TLS.
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { MemberId } from "../base/brand.ts";
import {
  commonVersion,
  ownVersions,
  type ProtocolVersions,
  parseVersions,
  versionsText,
} from "./protocolVersion.ts";

/** Path of the peer endpoint on a member's peer address. */
export const peerPath = "/quorlet/peer";

const header = {
  protocol: "x-quorlet-protocol",
  cluster: "x-quorlet-cluster",
  from: "x-quorlet-from",
  to: "x-quorlet-to",
  birth: "x-quorlet-birth",
  peerUrl: "x-quorlet-peer-url",
  lane: "x-quorlet-lane",
} as const;
/** Carries the reason back to the member that was refused. */
export const refusalHeader = "x-quorlet-refused";

/** Characters of a peer's own URLs, with commas between them; a longer text is taken for none. */
export const peerUrlLengthMax = 1_024;

/** Connections between two members: bulk never stands before what raft says. */
export type PeerLane = "main" | "bulk";

/** What a member hears that knocked, when all is in order. */
export const knockAnswer = "the sender is not the one who dials";

/** A member of a cluster. */
export interface PeerIdentity {
  readonly clusterId: bigint;
  readonly id: MemberId;
  /** Names the log that it began with; 0 or missing: it does not say. */
  readonly birth?: number;
  /** Where peers find it; missing or none: it does not say. */
  readonly peerUrls?: readonly string[];
  /** Versions of the protocol; missing: those of this release. */
  readonly versions?: ProtocolVersions;
}

/** What is known about whoever introduces itself. */
export type PeerStanding =
  | "member"
  | "removed"
  /** A member, but with another log than it began with: it has lost what it promised. */
  | "reborn"
  | "stranger";

/** What a member is told that has no place in the cluster any more. */
export type TurnedAway = Extract<PeerStanding, "removed" | "reborn">;

export interface HandshakeRefusal {
  readonly kind: "refused";
  readonly status: 400 | 403 | 404 | 409 | 410 | 412;
  readonly why: string;
}

export type HandshakeVerdict =
  | {
      readonly kind: "accepted";
      readonly from: MemberId;
      readonly lane: PeerLane;
      /** Of the protocol: the highest that both speak. */
      readonly version: number;
    }
  | HandshakeRefusal;

/** True for the member of a pair that opens the connection. */
export const dials = (self: MemberId, peer: MemberId): boolean => self < peer;

export function handshakeHeaders(
  self: PeerIdentity,
  to: MemberId,
  lane: PeerLane = "main",
): Record<string, string> {
  const urls = self.peerUrls?.join() ?? "";
  return {
    [header.protocol]: versionsText(self.versions ?? ownVersions),
    [header.cluster]: self.clusterId.toString(16),
    [header.from]: self.id.toString(16),
    [header.to]: to.toString(16),
    ...(lane === "main" ? {} : { [header.lane]: lane }),
    ...(self.birth === undefined ? {} : { [header.birth]: self.birth.toString(16) }),
    ...(urls === "" ? {} : { [header.peerUrl]: urls }),
  };
}

/** The acceptor's side: may this request become a connection, and whose is it? */
export function judgeHandshake(
  request: { readonly url?: string | undefined; readonly headers: IncomingHttpHeaders },
  self: PeerIdentity,
  standingOf: StandingOf,
): HandshakeVerdict {
  const { url, headers } = request;
  if (url !== peerPath) return refused(404, "no such path");
  if (headers.origin !== undefined) return refused(403, "browsers may not join the mesh");
  const fault = judgeServer(headers, self);
  if (fault !== undefined) return fault;
  const from = memberIdOf(headers[header.from]);
  if (from === undefined) return refused(400, "the sender's id is missing or malformed");
  const standing = standingOf(from, { birth: birthIn(headers), peerUrls: peerUrlsIn(headers) });
  if (standing === "removed") return refused(410, "the sender was removed from the cluster");
  if (standing === "reborn") return refused(409, "the sender lost the data that it began with");
  if (standing === "stranger") return refused(403, "the sender is not a member");
  if (!dials(from, self.id)) return refused(403, knockAnswer);
  const lane = laneIn(headers);
  if (lane === undefined) return refused(400, "unknown lane");
  return { kind: "accepted", from, lane, version: versionWith(headers, self) ?? 0 };
}

/** @param told what it says about itself. */
export type StandingOf = (
  id: MemberId,
  told: { readonly birth: number; readonly peerUrls: readonly string[] },
) => PeerStanding;

/** 0: it does not say, or nothing sensible. */
function birthIn(headers: IncomingHttpHeaders): number {
  const text = headers[header.birth];
  return typeof text === "string" && /^[0-9a-f]{1,12}$/.test(text) ? Number(`0x${text}`) : 0;
}

/** @returns undefined for one that this release does not know. */
function laneIn(headers: IncomingHttpHeaders): PeerLane | undefined {
  const text = headers[header.lane] ?? "main";
  return text === "main" || text === "bulk" ? text : undefined;
}

/** @returns the version that we and whoever sent these headers use; undefined: there is none. */
export function versionWith(headers: IncomingHttpHeaders, self: PeerIdentity): number | undefined {
  const theirs = parseVersions(headers[header.protocol]);
  return theirs && commonVersion(self.versions ?? ownVersions, theirs);
}

/** Who the sender of these headers says that it is; "" where it says nothing sensible. */
export const senderIn = (headers: IncomingHttpHeaders): string =>
  memberIdOf(headers[header.from])?.toString(16) ?? "";

/** None where one of them makes no sense. */
function peerUrlsIn(headers: IncomingHttpHeaders): readonly string[] {
  const text = headers[header.peerUrl];
  if (typeof text !== "string" || text.length > peerUrlLengthMax) return [];
  const urls = text.split(",");
  return urls.every((url) => /^(https?|wss?):\/\/[^\s/,@]+$/.test(url)) ? urls : [];
}

/**
 * What the answer of a member of our own cluster says about us, when it refuses.
 * @returns undefined for any other answer.
 */
export function turnedAway(
  { statusCode, headers }: Pick<IncomingMessage, "statusCode" | "headers">,
  self: PeerIdentity,
): TurnedAway | undefined {
  if (headers[header.cluster] !== self.clusterId.toString(16)) return undefined;
  if (statusCode === 410) return "removed";
  return statusCode === 409 ? "reborn" : undefined;
}

/** Header lines with which the acceptor of a request says who it is. */
export function answerLines(self: PeerIdentity, request: IncomingHttpHeaders): readonly string[] {
  const from = memberIdOf(request[header.from]);
  if (from === undefined) return [];
  return Object.entries(handshakeHeaders(self, from)).map(([name, value]) => `${name}: ${value}`);
}

/** The dialler's side: is this answer from the member that was meant? @returns why not. */
export function answerFault(
  headers: IncomingHttpHeaders,
  self: PeerIdentity,
  { peer, standingOf }: { readonly peer: MemberId; readonly standingOf: StandingOf },
): string | undefined {
  const fault = judgeServer(headers, self);
  if (fault !== undefined) return fault.why;
  if (memberIdOf(headers[header.from]) !== peer) return "another member answered";
  const standing = standingOf(peer, { birth: birthIn(headers), peerUrls: [] });
  return standing === "reborn" ? "the peer lost the data that it began with" : undefined;
}

function judgeServer(
  headers: IncomingHttpHeaders,
  self: PeerIdentity,
): HandshakeRefusal | undefined {
  const { versions = ownVersions } = self;
  const theirs = parseVersions(headers[header.protocol]);
  if (theirs === undefined) return refused(400, "unknown protocol version");
  if (commonVersion(versions, theirs) === undefined) {
    const [own, other] = [versionsText(versions), versionsText(theirs)];
    return refused(400, `unknown protocol version: ${other}, this member speaks ${own}`);
  }
  if (headers[header.cluster] !== self.clusterId.toString(16)) {
    return refused(412, "the cluster id is another one");
  }
  if (memberIdOf(headers[header.to]) !== self.id) return refused(412, "meant for another member");
  return undefined;
}

function memberIdOf(text: string | readonly string[] | undefined): MemberId | undefined {
  if (typeof text !== "string" || !/^[0-9a-f]{1,16}$/.test(text)) return undefined;
  return MemberId(BigInt(`0x${text}`));
}

const refused = (status: HandshakeRefusal["status"], why: string): HandshakeRefusal => ({
  kind: "refused",
  status,
  why,
});
