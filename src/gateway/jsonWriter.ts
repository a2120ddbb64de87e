// Protobuf bytes to JSON, for any message: original names, fields in the order of the definition, zeros
// left out, numbers of 64 bits as strings, as etcd's gateway writes them.
import { isUtf8 } from "node:buffer";
import { assert, unreachable } from "../base/assert.ts";
import { asBuffer } from "../base/bytes.ts";
import { type FieldDescriptor, FieldKind, type MessageDescriptor } from "../proto/descriptors.ts";
import { Reader, WireType } from "../proto/reader.ts";

/**
 * Of a message that is written at once: its text is up to six times as long, and a string of V8 ends at 512 MiB.
 * Whoever has a longer one refuses it, or writes it in parts.
 */
export const jsonMessageBytesMax = 64 << 20;

export interface JsonWriteOptions {
  /** Bytes as plain text; those that are none stand under their name with `_base64` behind it. */
  readonly utf8: boolean;
}

/** @param bytes an answer of ours, or of a request that was checked: sound. */
export function writeJson(
  bytes: Uint8Array,
  type: MessageDescriptor,
  options: JsonWriteOptions,
): string {
  const reader = new Reader(bytes);
  const text = writeMessage(reader, type, options);
  if (reader.fault !== undefined) unreachable(`an answer of ours: ${reader.fault.why}`);
  return text;
}

/** The same text piece by piece, of a message that comes in parts of whole fields. */
export class JsonParts {
  readonly #type: MessageDescriptor;
  readonly #options: JsonWriteOptions;
  /** Place of the member written last; an array is still open. */
  #last = -1;

  constructor(type: MessageDescriptor, options: JsonWriteOptions) {
    this.#type = type;
    this.#options = options;
  }

  /** @param part its fields stand behind those of the parts before, or go on with their last one. */
  next(part: Uint8Array): string {
    const reader = new Reader(part);
    const members = readMembers(reader, this.#type, this.#options);
    if (reader.fault !== undefined) unreachable(`an answer of ours: ${reader.fault.why}`);
    let text = "";
    for (const [i, member] of members.entries()) {
      if (member === undefined) continue;
      assert(i >= this.#last, "fields of parts come in order");
      if (i === this.#last) text += `,${member.slice(member.indexOf("[") + 1)}`;
      else text += `${this.#last < 0 ? "{" : `${this.#closing()},`}${member}`;
      this.#last = i;
    }
    return text;
  }

  end(): string {
    return `${this.#last < 0 ? "{" : this.#closing()}}`;
  }

  #closing(): string {
    return this.#type.fields[this.#last]?.repeated === true ? "]" : "";
  }
}

function writeMessage(reader: Reader, type: MessageDescriptor, options: JsonWriteOptions): string {
  const members = readMembers(reader, type, options);
  let text = "{";
  for (let i = 0; i < members.length; i++) {
    const member = members[i];
    if (member === undefined) continue;
    const closed = type.fields[i]?.repeated === true ? `${member}]` : member;
    text += text.length === 1 ? closed : `,${closed}`;
  }
  return `${text}}`;
}

// Members by place: the wire may have another order. Arrays are open.
function readMembers(
  reader: Reader,
  type: MessageDescriptor,
  options: JsonWriteOptions,
): (string | undefined)[] {
  const members: (string | undefined)[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const field = type.byNumber.get(tag >>> 3);
    if (field === undefined) {
      reader.skip(tag, 0);
      continue;
    }
    const { index } = field;
    if (field.repeated) members[index] = appended(members[index], reader, field, tag, options);
    else members[index] = writeMember(reader, field, options);
  }
  return members;
}

function writeMember(reader: Reader, field: FieldDescriptor, options: JsonWriteOptions): string {
  if (!options.utf8 || field.kind !== FieldKind.bytes) {
    return `"${field.name}":${writeValue(reader, field, options)}`;
  }
  const bytes = reader.bytes();
  if (isUtf8(bytes)) return `"${field.name}":${JSON.stringify(asBuffer(bytes).toString("utf8"))}`;
  return `"${field.name}_base64":"${asBuffer(bytes).toString("base64")}"`;
}

// An array that is still open, with one more value or several packed ones.
function appended(
  before: string | undefined,
  reader: Reader,
  field: FieldDescriptor,
  tag: number,
  options: JsonWriteOptions,
): string {
  let text = before ?? `"${field.name}":[`;
  const isPacked = (tag & 7) === WireType.bytes && !isDelimited(field.kind);
  const outer = isPacked ? reader.enter() : 0;
  let separator = before === undefined ? "" : ",";
  do {
    text += separator + writeValue(reader, field, options);
    separator = ",";
  } while (isPacked && !reader.atEnd);
  if (isPacked) reader.leave(outer);
  return text;
}

function isDelimited(kind: FieldKind): boolean {
  return kind === FieldKind.bytes || kind === FieldKind.string || kind === FieldKind.message;
}

function writeValue(reader: Reader, field: FieldDescriptor, options: JsonWriteOptions): string {
  switch (field.kind) {
    case FieldKind.message: {
      const outer = reader.enter();
      const type = field.message ?? unreachable("a message field has its message");
      const text = writeMessage(reader, type, options);
      reader.leave(outer);
      return text;
    }
    case FieldKind.bytes:
      return `"${reader.base64Text()}"`;
    case FieldKind.string:
      return JSON.stringify(reader.string());
    case FieldKind.int64:
      return `"${reader.int64Text()}"`;
    case FieldKind.uint64:
      return `"${reader.uint64Text()}"`;
    case FieldKind.uint32:
      return `${reader.uint32()}`;
    case FieldKind.int32:
      return `${reader.int32()}`;
    case FieldKind.bool:
      return reader.bool() ? "true" : "false";
    case FieldKind.enumeration: {
      const number = reader.int32();
      const name = field.values?.names.get(number);
      return name === undefined ? `${number}` : `"${name}"`;
    }
  }
}
