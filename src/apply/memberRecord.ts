// Bytes of what is known about members: rows of Table.members, and what a change of membership carries.
//
//   context: | version u8 = 1 | origin: member u64, incarnation u48, sequence u48 | count u8 | members |
//   member:  | id u64 | birth u48 | name | peer URLs: count u8, texts | client URLs: count u8, texts |
//   text:    | length u16 | UTF-8 |                                        all integers big endian
//
// An origin of member 0 stands for none: the change was not asked for by anybody.
import { MemberId, noMember } from "../base/brand.ts";
import { asBuffer } from "../base/bytes.ts";
import type { BatchOrigin } from "./command.ts";

/** What is known about a member beside its part in raft. */
export interface MemberAttributes {
  readonly id: MemberId;
  /**
   * Names the log that this member began with, an unsigned number of 48 bits; 0 while it has not told.
   * One that comes with another log has lost what it promised, and is not let in again.
   */
  readonly birth: number;
  /** Empty until the member has started. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
}

export interface ChangeContext {
  /** Who asked; by it a change that is proposed again is known. */
  readonly origin: BatchOrigin | undefined;
  /** Members that are new or get other peer URLs. */
  readonly members: readonly MemberAttributes[];
}

/** A name or one URL. */
export const memberTextBytesMax = 4_096;
/** URLs of one kind of one member. */
export const memberUrlsMax = 32;

const version = 1;

/** Within the bounds above? */
export function fitsRecord({ name, peerUrls, clientUrls }: MemberAttributes): boolean {
  if (peerUrls.length > memberUrlsMax || clientUrls.length > memberUrlsMax) return false;
  const texts = [name, ...peerUrls, ...clientUrls];
  return texts.every((text) => Buffer.byteLength(text) <= memberTextBytesMax);
}

export function encodeContext({ origin, members }: ChangeContext): Uint8Array {
  const head = Buffer.alloc(22);
  head[0] = version;
  head.writeBigUInt64BE(origin?.member ?? noMember, 1);
  head.writeUIntBE(origin?.incarnation ?? 0, 9, 6);
  head.writeUIntBE(origin?.sequence ?? 0, 15, 6);
  head[21] = members.length;
  return Buffer.concat([head, ...members.map(encodeAttributes)]);
}

/** @returns undefined for bytes that no version of this program wrote. */
export function decodeContext(bytes: Uint8Array): ChangeContext | undefined {
  const reader = new RecordReader(bytes);
  try {
    if (reader.uint(1) !== version) return undefined;
    const member = reader.id();
    const origin = { member, incarnation: reader.uint(6), sequence: reader.uint(6) };
    const members = Array.from({ length: reader.uint(1) }, () => reader.attributes());
    return reader.atEnd ? { origin: member === noMember ? undefined : origin, members } : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

export function encodeAttributes(member: MemberAttributes): Uint8Array {
  const head = Buffer.alloc(14);
  head.writeBigUInt64BE(member.id);
  head.writeUIntBE(member.birth, 8, 6);
  const { name, peerUrls, clientUrls } = member;
  return Buffer.concat([head, encodeText(name), encodeTexts(peerUrls), encodeTexts(clientUrls)]);
}

/** @returns undefined for bytes that are none. */
export function decodeAttributes(bytes: Uint8Array): MemberAttributes | undefined {
  const reader = new RecordReader(bytes);
  try {
    const member = reader.attributes();
    return reader.atEnd ? member : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function encodeTexts(texts: readonly string[]): Buffer {
  return Buffer.concat([Buffer.of(texts.length), ...texts.map(encodeText)]);
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const head = Buffer.alloc(2);
  head.writeUInt16BE(bytes.length);
  return Buffer.concat([head, bytes]);
}

/** Throws a RangeError where the bytes end too early, as Buffer does. */
class RecordReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = asBuffer(bytes);
  }

  get atEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  uint(byteCount: number): number {
    const value = this.#bytes.readUIntBE(this.#offset, byteCount);
    this.#offset += byteCount;
    return value;
  }

  id(): MemberId {
    const id = this.#bytes.readBigUInt64BE(this.#offset);
    this.#offset += 8;
    return MemberId(id);
  }

  attributes(): MemberAttributes {
    const id = this.id();
    const birth = this.uint(6);
    const name = this.#text();
    const peerUrls = this.#texts();
    return { id, birth, name, peerUrls, clientUrls: this.#texts() };
  }

  #texts(): readonly string[] {
    return Array.from({ length: this.uint(1) }, () => this.#text());
  }

  #text(): string {
    const length = this.uint(2);
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw new RangeError("the text is cut off");
    const text = this.#bytes.toString("utf8", this.#offset, end);
    this.#offset = end;
    return text;
  }
}
