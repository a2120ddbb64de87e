// Who may speak on a peer connection: headers of the upgrade, and the reasons to refuse it. Both sides
// say on the way where clients find them.
//
// Of two members the one with the lower id dials, so there is one connection for each pair, and a
// claim to be a member that never dials is refused. Proof of identity is the business of TLS.
import type { IncomingHttpHeaders } from "node:http";
import { MemberId } from "../base/brand.ts";

/** Path of the peer endpoint on a member's peer address. */
export const peerPath = "/quorlet/peer";

const protocolVersion = "1";
const header = {
  protocol: "x-quorlet-protocol",
  cluster: "x-quorlet-cluster",
  from: "x-quorlet-from",
  to: "x-quorlet-to",
  clientUrls: "x-quorlet-client-urls",
} as const;
/** Carries the reason back to the member that was refused. */
export const refusalHeader = "x-quorlet-refused";

/** Characters of a list of client URLs; a longer one is taken for none. */
export const clientUrlsLengthMax = 1_024;

/** A member of a cluster. */
export interface PeerIdentity {
  readonly clusterId: bigint;
  readonly id: MemberId;
  /** Where clients find it, http or https; missing: it does not say. */
  readonly clientUrls?: readonly string[];
}

export interface HandshakeRefusal {
  readonly kind: "refused";
  readonly status: 400 | 403 | 404 | 412;
  readonly why: string;
}

export type HandshakeVerdict =
  | {
      readonly kind: "accepted";
      readonly from: MemberId;
      /** Empty: it did not say. */
      readonly clientUrls: readonly string[];
    }
  | HandshakeRefusal;

/** True for the member of a pair that opens the connection. */
export const dials = (self: MemberId, peer: MemberId): boolean => self < peer;

export function handshakeHeaders(self: PeerIdentity, to: MemberId): Record<string, string> {
  return {
    [header.protocol]: protocolVersion,
    [header.cluster]: self.clusterId.toString(16),
    [header.from]: self.id.toString(16),
    [header.to]: to.toString(16),
    ...(self.clientUrls === undefined ? {} : { [header.clientUrls]: self.clientUrls.join(",") }),
  };
}

/** The acceptor's side: may this request become a connection, and whose is it? */
export function judgeHandshake(
  request: { readonly url?: string | undefined; readonly headers: IncomingHttpHeaders },
  self: PeerIdentity,
  isMember: (id: MemberId) => boolean,
): HandshakeVerdict {
  const { url, headers } = request;
  if (url !== peerPath) return refused(404, "no such path");
  if (headers.origin !== undefined) return refused(403, "browsers may not join the mesh");
  const fault = judgeServer(headers, self);
  if (fault !== undefined) return fault;
  const from = memberIdOf(headers[header.from]);
  if (from === undefined) return refused(400, "the sender's id is missing or malformed");
  if (!isMember(from)) return refused(403, "the sender is not a member");
  if (!dials(from, self.id)) return refused(403, "the sender is not the one who dials");
  return { kind: "accepted", from, clientUrls: clientUrlsIn(headers) };
}

/** Where clients find the sender of these headers; empty when it does not say, or nothing sensible. */
export function clientUrlsIn(headers: IncomingHttpHeaders): readonly string[] {
  const text = headers[header.clientUrls];
  if (typeof text !== "string" || text.length > clientUrlsLengthMax) return [];
  const urls = text.split(",");
  return urls.every((url) => /^https?:\/\/[^\s/,]+$/.test(url)) ? urls : [];
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
  peer: MemberId,
): string | undefined {
  const fault = judgeServer(headers, self);
  if (fault !== undefined) return fault.why;
  return memberIdOf(headers[header.from]) === peer ? undefined : "another member answered";
}

function judgeServer(
  headers: IncomingHttpHeaders,
  self: PeerIdentity,
): HandshakeRefusal | undefined {
  if (headers[header.protocol] !== protocolVersion) return refused(400, "unknown protocol version");
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
