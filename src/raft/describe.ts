// One line per message and per duty of a Ready, for transcripts and logs. Never shows data.
import type { Message } from "./message.ts";
import type { Ready } from "./ready.ts";
import {
  type Entry,
  EntryKind,
  type HardState,
  type Membership,
  type SnapshotMeta,
} from "./types.ts";

/** "1>2 append term=3 prev=4@2 commit=4 [5@3 12B]": positions are index@term. */
export function describeMessage(message: Message): string {
  const { from, to, kind, term } = message;
  const head = `${from}>${to} ${describeKind(message, kind)}`;
  const body = describeBody(message);
  return `${head}${term === 0 ? "" : ` term=${term}`}${body === "" ? "" : ` ${body}`}`;
}

function describeKind(message: Message, kind: Message["kind"]): string {
  if (message.kind === "vote") return message.pre ? "preVote" : kind;
  if (message.kind === "voteReply") return message.pre ? "preVoteReply" : kind;
  return kind;
}

function describeBody(message: Message): string {
  switch (message.kind) {
    case "append": {
      const { prevIndex, prevTerm, commit, entries } = message;
      return `prev=${prevIndex}@${prevTerm} commit=${commit} ${describeEntries(entries)}`;
    }
    case "appendReply":
      return message.rejected
        ? `rejected=${message.index} hint=${message.hintIndex}@${message.hintTerm}`
        : `index=${message.index}`;
    case "heartbeat":
      return `commit=${message.commit}${describeReadId(message.readId)}`;
    case "heartbeatReply":
      return describeReadId(message.readId).trimStart();
    case "vote":
      return `last=${message.lastIndex}@${message.lastTerm}${message.transfer ? " transfer" : ""}`;
    case "voteReply":
      return `granted=${message.granted}`;
    case "forward":
      return `[${message.datas.map((data) => `${data.length}B`).join(", ")}]`;
    case "readIndex":
      return `request=${message.requestId}`;
    case "readIndexReply":
      return `request=${message.requestId} index=${message.index}`;
    case "timeoutNow":
      return "";
    case "snapshot":
      return describeSnapshot(message.meta);
  }
}

const describeReadId = (readId: number): string => (readId === 0 ? "" : ` read=${readId}`);

export function describeSnapshot({ index, term, membership }: SnapshotMeta): string {
  return `snapshot=${index}@${term} ${describeMembership(membership)}`;
}

export function describeMembership({ voters, outgoing, learners }: Membership): string {
  const parts = [`voters=${voters.join(",")}`];
  if (outgoing.length > 0) parts.push(`outgoing=${outgoing.join(",")}`);
  if (learners.length > 0) parts.push(`learners=${learners.join(",")}`);
  return parts.join(" ");
}

export function describeHardState({ term, vote, commit }: HardState): string {
  return `term=${term} vote=${vote === 0n ? "none" : vote} commit=${commit}`;
}

/** Long runs show their ends only. */
export function describeEntries(entries: readonly Entry[]): string {
  const last = entries.at(-1);
  const [first] = entries;
  if (first === undefined || last === undefined) return "[]";
  if (entries.length <= 4) return `[${entries.map(describeEntry).join(", ")}]`;
  return `[${describeEntry(first)} .. ${describeEntry(last)}, ${entries.length} entries]`;
}

function describeEntry({ index, term, kind, data }: Entry): string {
  const place = `${index}@${term}`;
  if (kind === EntryKind.barrier) return `${place} barrier`;
  return `${place}${kind === EntryKind.membership ? " membership" : ""} ${data.length}B`;
}

/** The duties of a Ready, in the order in which they are due. */
export function describeReady(ready: Ready): readonly string[] {
  const lines = ready.messages.map(describeMessage);
  const { snapshot, hardState, entries, committed } = ready;
  if (snapshot) lines.push(`save ${describeSnapshot(snapshot)}`);
  if (hardState) lines.push(`save ${describeHardState(hardState)}`);
  if (entries.length > 0) lines.push(`save ${describeEntries(entries)}`);
  for (const message of ready.messagesAfterPersist)
    lines.push(`saved: ${describeMessage(message)}`);
  if (committed.length > 0) lines.push(`apply ${describeEntries(committed)}`);
  for (const { requestId, index } of ready.readStates) lines.push(`read ${requestId} at ${index}`);
  for (const requestId of ready.readsLost) lines.push(`read ${requestId} lost`);
  return lines;
}
