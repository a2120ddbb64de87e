// WatchRequest and WatchResponse on the wire. On the server an event is encoded once, by `encodeEvent`,
// and copied into every answer; an answer to many watchers is one body with a head for each.
import { emptyBytes } from "../base/bytes.ts";
import { readHeader } from "./decodeResponses.ts";
import { writeHeader } from "./encodeResponses.ts";
import { readKeyValue } from "./keyValue.ts";
import type { KeyValue } from "./kv.ts";
import { type Malformed, Reader } from "./reader.ts";
import type { AnswerHeader, ResponseHeader } from "./responses.ts";
import {
  EventType,
  type WatchCreateRequest,
  type WatchEventMessage,
  type WatchHead,
  type WatchId,
  type WatchRequest,
  type WatchResponse,
} from "./watch.ts";
import { varintBytes, type Writer } from "./writer.ts";

const eventTag = 0x5a;
const kvTag = 0x12;
const prevKvTag = 0x1a;

/**
 * One event as it stands in a WatchResponse, with the tag of the field in front.
 *
 * @param row an encoded mvccpb.KeyValue, as is `prevRow`.
 * @returns bytes of exactly its size, from Buffer's pool when they are few.
 */
export function encodeEvent(
  kind: "put" | "delete",
  row: Uint8Array,
  prevRow: Uint8Array | undefined,
): Uint8Array {
  const typeBytes = kind === "put" ? 0 : 2;
  const length = typeBytes + nestedBytes(row) + (prevRow === undefined ? 0 : nestedBytes(prevRow));
  const event = Buffer.allocUnsafe(1 + varintBytes(length, 0) + length);
  let at = writeLength(event, 0, eventTag, length);
  if (kind === "delete") {
    event[at] = 0x08;
    event[at + 1] = EventType.delete;
    at += 2;
  }
  at = writeNested(event, at, kvTag, row);
  if (prevRow !== undefined) writeNested(event, at, prevKvTag, prevRow);
  return event;
}

const nestedBytes = (row: Uint8Array): number => 1 + varintBytes(row.length, 0) + row.length;

function writeNested(target: Buffer, offset: number, tag: number, row: Uint8Array): number {
  const at = writeLength(target, offset, tag, row.length);
  target.set(row, at);
  return at + row.length;
}

function writeLength(target: Buffer, offset: number, tag: number, length: number): number {
  target[offset] = tag;
  let at = offset + 1;
  let rest = length;
  for (; rest > 0x7f; rest >>>= 7) target[at++] = (rest & 0x7f) | 0x80;
  target[at] = rest;
  return at + 1;
}

/** Writes everything before the events: they are in the writer already. */
export function writeWatchHead(writer: Writer, header: AnswerHeader, head: WatchHead): void {
  writer.bool(0x38, head.fragment);
  writer.string(0x32, head.cancelReason);
  writer.integer(0x28, head.compactRevision);
  writer.bool(0x20, head.canceled);
  writer.bool(0x18, head.created);
  writeId(writer, 0x10, head.watchId);
  writeHeader(writer, header);
}

/** @returns a view into the writer. */
export function encodeWatchResponse(
  writer: Writer,
  header: AnswerHeader,
  head: WatchHead,
): Uint8Array {
  writeWatchHead(writer, header, head);
  return writer.finish();
}

function writeId(writer: Writer, tag: number, id: WatchId): void {
  if (typeof id === "number") writer.integer(tag, id);
  else writer.id(tag, id);
}

/** Byte strings are views into `bytes`. */
export function decodeWatchRequest(bytes: Uint8Array): WatchRequest | Malformed {
  const reader = new Reader(bytes);
  let request: WatchRequest = { kind: "none" };
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) request = { kind: "create", create: readCreate(reader) };
    else if (tag === 0x12) request = { kind: "cancel", watchId: readCancel(reader) };
    else if (tag === 0x1a) {
      const outer = reader.enter();
      for (let inner = reader.tag(); inner !== 0; inner = reader.tag()) reader.skip(inner, 0);
      reader.leave(outer);
      request = { kind: "progress" };
    } else reader.skip(tag, 3);
  }
  return reader.fault ?? request;
}

function readCreate(reader: Reader): WatchCreateRequest {
  let key = emptyBytes;
  let rangeEnd = emptyBytes;
  let startRevision = 0;
  let progressNotify = false;
  const filters: number[] = [];
  let prevKv = false;
  let watchId: WatchId = 0;
  let fragment = false;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) key = reader.bytes();
    else if (tag === 0x12) rangeEnd = reader.bytes();
    else if (tag === 0x18) startRevision = reader.int64();
    else if (tag === 0x20) progressNotify = reader.bool();
    else if (tag === 0x28) addFilter(filters, reader.int32());
    else if (tag === 0x2a) readPackedFilters(reader, filters);
    else if (tag === 0x30) prevKv = reader.bool();
    else if (tag === 0x38) watchId = readId(reader);
    else if (tag === 0x40) fragment = reader.bool();
    else reader.skip(tag, 8);
  }
  reader.leave(outer);
  return {
    key,
    rangeEnd,
    startRevision,
    progressNotify,
    filters,
    prevKv,
    watchId,
    fragment,
  };
}

function readPackedFilters(reader: Reader, filters: number[]): void {
  const outer = reader.enter();
  while (!reader.atEnd) addFilter(filters, reader.int32());
  reader.leave(outer);
}

/** A filter named again says nothing new: a message of nothing but filters stays small. */
function addFilter(filters: number[], filter: number): void {
  if (filters.length < 8 && !filters.includes(filter)) filters.push(filter);
}

function readCancel(reader: Reader): WatchId {
  let id: WatchId = 0;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) id = readId(reader);
    else reader.skip(tag, 1);
  }
  reader.leave(outer);
  return id;
}

function readId(reader: Reader): WatchId {
  const exact = BigInt.asIntN(64, reader.uint64Exact());
  const near = Number(exact);
  return Number.isSafeInteger(near) ? near : exact;
}

/** For clients. @returns a view into the writer. */
export function encodeWatchRequest(writer: Writer, request: WatchRequest): Uint8Array {
  const mark = writer.mark();
  if (request.kind === "create") {
    writeCreate(writer, request.create);
    writer.message(0x0a, mark);
  } else if (request.kind === "cancel") {
    writeId(writer, 0x08, request.watchId);
    writer.message(0x12, mark);
  } else if (request.kind === "progress") writer.message(0x1a, mark);
  return writer.finish();
}

function writeCreate(writer: Writer, create: WatchCreateRequest): void {
  writer.bool(0x40, create.fragment);
  writeId(writer, 0x38, create.watchId);
  writer.bool(0x30, create.prevKv);
  for (const filter of create.filters.toReversed()) writer.integerPresent(0x28, filter);
  writer.bool(0x20, create.progressNotify);
  writer.integer(0x18, create.startRevision);
  writer.bytes(0x12, create.rangeEnd);
  writer.bytes(0x0a, create.key);
}

/** For clients. Byte strings are views into `bytes`. */
export function decodeWatchResponse(bytes: Uint8Array): WatchResponse | Malformed {
  const reader = new Reader(bytes);
  let header: ResponseHeader = { clusterId: 0n, memberId: 0n, revision: 0, raftTerm: 0 };
  let watchId: WatchId = 0;
  let created = false;
  let canceled = false;
  let compactRevision = 0;
  let cancelReason = "";
  let fragment = false;
  const events: WatchEventMessage[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) header = readHeader(reader);
    else if (tag === 0x10) watchId = readId(reader);
    else if (tag === 0x18) created = reader.bool();
    else if (tag === 0x20) canceled = reader.bool();
    else if (tag === 0x28) compactRevision = reader.int64();
    else if (tag === 0x32) cancelReason = reader.string();
    else if (tag === 0x38) fragment = reader.bool();
    else if (tag === eventTag) events.push(readEvent(reader));
    else reader.skip(tag, 7);
  }
  return (
    reader.fault ?? {
      header,
      watchId,
      created,
      canceled,
      compactRevision,
      cancelReason,
      fragment,
      events,
    }
  );
}

function readEvent(reader: Reader): WatchEventMessage {
  let type = 0;
  let kv: KeyValue | undefined;
  let prevKv: KeyValue | undefined;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) type = reader.int32();
    else if (tag === kvTag) kv = readPair(reader);
    else if (tag === prevKvTag) prevKv = readPair(reader);
    else reader.skip(tag, 3);
  }
  reader.leave(outer);
  return { type, kv, prevKv };
}

function readPair(reader: Reader): KeyValue {
  const outer = reader.enter();
  const pair = readKeyValue(reader);
  reader.leave(outer);
  return pair;
}

/** What `encodeEvent` made. @returns views into it; the row of a delete has a key and a revision only. */
export function eventRow(event: Uint8Array): {
  readonly isDelete: boolean;
  readonly row: Uint8Array;
} {
  const reader = new Reader(event);
  let isDelete = false;
  let row = emptyBytes;
  reader.tag();
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x08) isDelete = reader.int32() === EventType.delete;
    else if (tag === kvTag) row = reader.bytes();
    else reader.skip(tag, 3);
  }
  reader.leave(outer);
  return { isDelete, row };
}
