// What members say to one another: one kind per exchange. transport/frame.ts gives them bytes.
import type { LogIndex, MemberId, Term } from "../base/brand.ts";
import type { Entry, SnapshotMeta } from "./types.ts";

interface Envelope {
  readonly from: MemberId;
  readonly to: MemberId;
  /** Sender's term; for a pre-vote the term it would campaign in; 0 for forwarded requests. */
  readonly term: Term;
}

/** Leader to peer: entries after (prevIndex, prevTerm); without entries it carries `commit`. */
export interface AppendMessage extends Envelope {
  readonly kind: "append";
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  readonly commit: LogIndex;
  readonly entries: readonly Entry[];
}

/** Answer to an append, sent only when the entries are durable. */
export interface AppendReplyMessage extends Envelope {
  readonly kind: "appendReply";
  readonly rejected: boolean;
  /** Accepted: last index now known to match. Rejected: the `prevIndex` that did not. */
  readonly index: LogIndex;
  /** Rejected only: where the follower's log may still agree (thesis 5.3, conflict hint). */
  readonly hintIndex: LogIndex;
  readonly hintTerm: Term;
}

/** Leader to peer: I am here; `readId` (0: none) asks for a confirmation of leadership. */
export interface HeartbeatMessage extends Envelope {
  readonly kind: "heartbeat";
  readonly commit: LogIndex;
  readonly readId: number;
}

export interface HeartbeatReplyMessage extends Envelope {
  readonly kind: "heartbeatReply";
  readonly readId: number;
}

/** Candidate to peer. `pre` asks without raising any term (thesis 9.6). */
export interface VoteMessage extends Envelope {
  readonly kind: "vote";
  readonly pre: boolean;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** The leader itself asked for this election (thesis 3.10): leases do not hold it back. */
  readonly transfer: boolean;
}

export interface VoteReplyMessage extends Envelope {
  readonly kind: "voteReply";
  readonly pre: boolean;
  readonly granted: boolean;
}

/** Follower to leader: propose these bytes, one entry each, in order. */
export interface ForwardMessage extends Envelope {
  readonly kind: "forward";
  readonly datas: readonly Uint8Array[];
}

/** Follower to leader: which index must I have applied for a linearizable read? */
export interface ReadIndexMessage extends Envelope {
  readonly kind: "readIndex";
  /** Chosen by the follower, fresh for every try. */
  readonly requestId: number;
}

export interface ReadIndexReplyMessage extends Envelope {
  readonly kind: "readIndexReply";
  readonly requestId: number;
  readonly index: LogIndex;
}

/** Leader to peer: campaign at once (leadership transfer, thesis 3.10). */
export interface TimeoutNowMessage extends Envelope {
  readonly kind: "timeoutNow";
}

/** Leader to peer: a snapshot is needed; its chunks travel on their own lane. */
export interface SnapshotMessage extends Envelope {
  readonly kind: "snapshot";
  readonly meta: SnapshotMeta;
}

export type Message =
  | AppendMessage
  | AppendReplyMessage
  | HeartbeatMessage
  | HeartbeatReplyMessage
  | VoteMessage
  | VoteReplyMessage
  | ForwardMessage
  | ReadIndexMessage
  | ReadIndexReplyMessage
  | TimeoutNowMessage
  | SnapshotMessage;
