// The counters and payload bytes of each raft message; frame.ts lays them out.
import { LogIndex, MemberId, Term } from "../base/brand.ts";
import { asBuffer, totalBytes } from "../base/bytes.ts";
import type { AppendMessage, Message } from "../raft/message.ts";
import { type Entry, EntryKind, type Membership } from "../raft/types.ts";
import { FrameFault } from "./counters.ts";
import type { FrameReader } from "./frameReader.ts";

/** On the wire: never reuse a number. */
const Kind = {
  append: 1,
  appendReply: 2,
  heartbeat: 3,
  heartbeatReply: 4,
  vote: 5,
  voteReply: 6,
  forward: 7,
  readIndex: 8,
  readIndexReply: 9,
  timeoutNow: 10,
  snapshot: 11,
} as const;

/** Counters of one message beside those of its entries, and of one entry, at most. */
export const messageCountersMax = 7;
export const entryCountersMax = 4;
const idBytes = 8;

/** What a frame is made of, in the order of its messages. */
export interface FrameParts {
  readonly counters: number[];
  readonly payload: Uint8Array[];
}

/** @returns how many entries and forwarded proposals the message holds. */
export function writeMessage({ counters, payload }: FrameParts, message: Message): number {
  counters.push(Kind[message.kind], message.term);
  switch (message.kind) {
    case "append":
      counters.push(message.prevIndex, message.prevTerm, message.commit);
      writeEntries({ counters, payload }, message.entries);
      return message.entries.length;
    case "appendReply":
      counters.push(Number(message.rejected), message.index, message.hintIndex, message.hintTerm);
      return 0;
    case "heartbeat":
      counters.push(message.commit, message.readId);
      return 0;
    case "heartbeatReply":
      counters.push(message.readId);
      return 0;
    case "vote":
      counters.push(Number(message.pre), message.lastIndex, message.lastTerm);
      counters.push(Number(message.transfer));
      return 0;
    case "voteReply":
      counters.push(Number(message.pre), Number(message.granted));
      return 0;
    case "forward":
      counters.push(message.datas.length, totalBytes(message.datas));
      for (const data of message.datas) counters.push(data.length);
      for (const data of message.datas) payload.push(data);
      return message.datas.length;
    case "readIndex":
      counters.push(message.requestId);
      return 0;
    case "readIndexReply":
      counters.push(message.requestId, message.index);
      return 0;
    case "timeoutNow":
      return 0;
    case "snapshot":
      counters.push(message.meta.index, message.meta.term);
      return writeMembership({ counters, payload }, message.meta.membership);
  }
}

// | count | bytes of all | runs |, and a run of entries with one term and kind is
// | term | kind | count | count × length |. Entries are consecutive: their indexes are not sent.
function writeEntries({ counters, payload }: FrameParts, entries: readonly Entry[]): void {
  const totalAt = counters.push(entries.length, 0) - 1;
  let payloadBytes = 0;
  let countAt = 0;
  let previous: Entry | undefined;
  for (const entry of entries) {
    if (previous === undefined || entry.term !== previous.term || entry.kind !== previous.kind) {
      countAt = counters.push(entry.term, entry.kind, 0) - 1;
    }
    counters[countAt] = (counters[countAt] ?? 0) + 1;
    counters.push(entry.data.length);
    payload.push(entry.data);
    payloadBytes += entry.data.length;
    previous = entry;
  }
  counters[totalAt] = payloadBytes;
}

// Ids are 64 bits wide: they go into the payload. Each counts as an entry against the limits.
function writeMembership({ counters, payload }: FrameParts, membership: Membership): number {
  const { voters, outgoing, learners } = membership;
  counters.push(voters.length, outgoing.length, learners.length);
  const ids = [...voters, ...outgoing, ...learners];
  const bytes = Buffer.alloc(idBytes * ids.length);
  ids.forEach((id, i) => {
    bytes.writeBigUInt64LE(id, idBytes * i);
  });
  payload.push(bytes);
  return ids.length;
}

/** The next message of a frame. @throws {FrameFault} for what no member of ours would send. */
export function readMessage(reader: FrameReader, ends: { from: MemberId; to: MemberId }): Message {
  const { from, to } = ends;
  const kind = reader.counter();
  const term = Term(reader.counter());
  switch (kind) {
    case Kind.append:
      return readAppend(reader, { from, to, term });
    case Kind.appendReply: {
      const rejected = reader.flag();
      const index = LogIndex(reader.counter());
      const hintIndex = LogIndex(reader.counter());
      const hintTerm = Term(reader.counter());
      return { kind: "appendReply", from, to, term, rejected, index, hintIndex, hintTerm };
    }
    case Kind.heartbeat: {
      const commit = LogIndex(reader.counter());
      return { kind: "heartbeat", from, to, term, commit, readId: reader.counter() };
    }
    case Kind.heartbeatReply:
      return { kind: "heartbeatReply", from, to, term, readId: reader.counter() };
    case Kind.vote: {
      const pre = reader.flag();
      const lastIndex = LogIndex(reader.counter());
      const lastTerm = Term(reader.counter());
      return { kind: "vote", from, to, term, pre, lastIndex, lastTerm, transfer: reader.flag() };
    }
    case Kind.voteReply: {
      const pre = reader.flag();
      return { kind: "voteReply", from, to, term, pre, granted: reader.flag() };
    }
    case Kind.forward:
      return { kind: "forward", from, to, term, datas: readDatas(reader) };
    case Kind.readIndex:
      return { kind: "readIndex", from, to, term, requestId: reader.counter() };
    case Kind.readIndexReply: {
      const requestId = reader.counter();
      return {
        kind: "readIndexReply",
        from,
        to,
        term,
        requestId,
        index: LogIndex(reader.counter()),
      };
    }
    case Kind.timeoutNow:
      return { kind: "timeoutNow", from, to, term };
    case Kind.snapshot: {
      const index = LogIndex(reader.counter());
      const metaTerm = Term(reader.counter());
      const membership = readMembership(reader);
      return { kind: "snapshot", from, to, term, meta: { index, term: metaTerm, membership } };
    }
    default:
      throw new FrameFault(`unknown message kind ${kind}`);
  }
}

function readAppend(
  reader: FrameReader,
  envelope: { from: MemberId; to: MemberId; term: Term },
): AppendMessage {
  const { from, to, term } = envelope;
  const prevIndex = LogIndex(reader.counter());
  const prevTerm = Term(reader.counter());
  const commit = LogIndex(reader.counter());
  const entries = readEntries(reader, prevIndex);
  return { kind: "append", from, to, term, prevIndex, prevTerm, commit, entries };
}

function readEntries(reader: FrameReader, prevIndex: LogIndex): readonly Entry[] {
  const count = reader.count();
  if (prevIndex > Number.MAX_SAFE_INTEGER - count) throw new FrameFault("an index is too large");
  const pieces = reader.payload(reader.counter());
  const entries: Entry[] = [];
  while (entries.length < count) {
    const term = Term(reader.counter());
    const kind = entryKind(reader.counter());
    const runLength = reader.counter();
    const runEnd = entries.length + runLength;
    if (runLength === 0 || runEnd > count) throw new FrameFault("a run of entries is off");
    while (entries.length < runEnd) {
      const index = LogIndex(prevIndex + 1 + entries.length);
      entries.push({ term, index, kind, data: pieces.next(reader.counter()) });
    }
  }
  pieces.end();
  return entries;
}

function entryKind(value: number): EntryKind {
  switch (value) {
    case EntryKind.normal:
    case EntryKind.barrier:
    case EntryKind.membership:
      return value;
    default:
      throw new FrameFault(`unknown entry kind ${value}`);
  }
}

function readDatas(reader: FrameReader): readonly Uint8Array[] {
  const count = reader.count();
  const pieces = reader.payload(reader.counter());
  const datas: Uint8Array[] = [];
  while (datas.length < count) datas.push(pieces.next(reader.counter()));
  pieces.end();
  return datas;
}

function readMembership(reader: FrameReader): Membership {
  const voterCount = reader.count();
  const outgoingCount = reader.count();
  const learnerCount = reader.count();
  const count = voterCount + outgoingCount + learnerCount;
  const pieces = reader.payload(idBytes * count);
  const ids: MemberId[] = [];
  while (ids.length < count) ids.push(MemberId(asBuffer(pieces.next(idBytes)).readBigUInt64LE()));
  return {
    voters: ids.slice(0, voterCount),
    outgoing: ids.slice(voterCount, voterCount + outgoingCount),
    learners: ids.slice(voterCount + outgoingCount),
  };
}
