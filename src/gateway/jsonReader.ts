// JSON to protobuf bytes, for any message: protojson's rules, fields by either name, unknown ones passed
// over. One pass without a tree; only what is refused is looked at again, for etcd's words.
import { type FieldDescriptor, FieldKind, type MessageDescriptor } from "../proto/descriptors.ts";
import { leadingNumber, wholeNumber } from "./jsonDecimal.ts";
import { scanValue, unexpectedEnd } from "./jsonSyntax.ts";
import { JsonTokens, jsonRefusal, type Scalar } from "./jsonTokens.ts";
import { PlainReader } from "./plainReader.ts";
import { ProtoBytes } from "./protoBytes.ts";

/** Messages within messages; etcd's 10,000 would be too deep for our stack. */
export const messageDepthMax = 1000;

export interface JsonReadOptions {
  /** Bytes are plain text; those under a name with `_base64` behind it are base64. */
  readonly utf8: boolean;
  /** Does without the shorter way for requests of the plain form. */
  readonly isGeneral?: boolean;
}

const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const quote = 0x22;
const letterN = 0x6e;
const base64Suffix = "_base64";

/** One message read: its bytes, valid until the next call, and where its text ended. */
export interface JsonMessage {
  readonly bytes: Buffer;
  readonly end: number;
}

export class JsonReader {
  readonly #options: JsonReadOptions;
  readonly #plain: PlainReader | undefined;
  readonly #out = new ProtoBytes();
  #tokens = new JsonTokens(Buffer.alloc(0), 0);
  #depth = 0;

  constructor(options: JsonReadOptions) {
    this.#options = options;
    this.#plain = options.utf8 || options.isGeneral === true ? undefined : new PlainReader();
  }

  /**
   * The first value of `text` as a message; what follows it is not looked at.
   * @returns undefined when there is nothing but white space.
   * @throws {EtcdError} INVALID_ARGUMENT, with etcd's text.
   */
  read(text: Buffer, type: MessageDescriptor, from = 0): JsonMessage | undefined {
    const plain = this.#plain?.read(text, type, from);
    if (plain !== undefined) return plain;
    this.#out.clear();
    this.#depth = 0;
    this.#tokens = new JsonTokens(text, from);
    try {
      if (this.#tokens.peek() === 0 && this.#tokens.at >= text.length) return undefined;
      this.#message(type);
      return { bytes: this.#out.view(), end: this.#tokens.at };
    } catch (refusal) {
      // encoding/json looks at the whole value before protojson sees any of it.
      const scanned = scanValue(text, from);
      if (scanned.kind === "cut") throw jsonRefusal(unexpectedEnd);
      if (scanned.kind === "fault") throw jsonRefusal(scanned.why);
      throw refusal;
    }
  }

  #message(type: MessageDescriptor): void {
    const tokens = this.#tokens;
    if (++this.#depth > messageDepthMax) throw jsonRefusal("proto: exceeded max recursion depth");
    tokens.expect(openBrace);
    // One bit for each of the first 31 fields; the few beyond are kept by number.
    let seen = 0;
    let seenMore: Set<FieldDescriptor> | undefined;
    let seenOneofs: Set<string> | undefined;
    for (let first = true; tokens.more(first, closeBrace); first = false) {
      tokens.peek();
      const start = tokens.at;
      const name = tokens.name();
      const field = type.byName.get(name);
      if (field === undefined) {
        this.#other(name, type);
        continue;
      }
      const bit = field.index < 31 ? 1 << field.index : 0;
      if (seen & bit || seenMore?.has(field)) {
        throw tokens.fault(start, `duplicate field ${tokens.raw(start)}`);
      }
      seen |= bit;
      if (bit === 0) {
        seenMore ??= new Set();
        seenMore.add(field);
      }
      if (tokens.peek() === letterN && tokens.scalar().kind === "null") continue;
      if (field.oneof !== undefined) {
        seenOneofs ??= new Set();
        if (seenOneofs.has(field.oneof)) {
          const shown = tokens.raw(start);
          throw tokens.fault(start, `error parsing ${shown}, oneof ${field.oneof} is already set`);
        }
        seenOneofs.add(field.oneof);
      }
      if (field.repeated) this.#list(field);
      else this.#value(field, field.oneof !== undefined, this.#options.utf8);
    }
    this.#depth--;
  }

  // A name that no field has.
  #other(name: string, type: MessageDescriptor): void {
    if (this.#options.utf8 && name.endsWith(base64Suffix)) {
      const field = type.byName.get(name.slice(0, -base64Suffix.length));
      if (field?.kind === FieldKind.bytes && !field.repeated) {
        this.#value(field, field.oneof !== undefined, false);
        return;
      }
    }
    this.#tokens.skip();
  }

  #list(field: FieldDescriptor): void {
    const tokens = this.#tokens;
    tokens.expect(openBracket);
    for (let first = true; tokens.more(first, closeBracket); first = false) {
      this.#value(field, true, this.#options.utf8);
    }
  }

  /** @param present whether a zero is written too. */
  #value(field: FieldDescriptor, present: boolean, utf8: boolean): void {
    const out = this.#out;
    switch (field.kind) {
      case FieldKind.message: {
        out.varint((field.number << 3) | 2);
        const start = out.open();
        if (field.message !== undefined) this.#message(field.message);
        out.close(start);
        break;
      }
      case FieldKind.bytes:
        this.#bytes(field, present, utf8);
        break;
      case FieldKind.string:
        this.#string(field, present);
        break;
      case FieldKind.bool: {
        const scalar = this.#tokens.scalar();
        if (scalar.kind !== "true" && scalar.kind !== "false")
          throw this.#invalid(field, scalar.start);
        this.#integer(field, scalar.kind === "true" ? 1 : 0, present);
        break;
      }
      case FieldKind.enumeration:
        this.#enumeration(field, present);
        break;
      default: {
        const scalar = this.#tokens.scalar();
        const value = numberOf(scalar, field.kind);
        if (value === undefined) throw this.#invalid(field, scalar.start);
        this.#integer(field, value, present);
      }
    }
  }

  #integer(field: FieldDescriptor, value: number | bigint, present: boolean): void {
    if (!present && (value === 0 || value === 0n)) return;
    this.#out.varint(field.number << 3);
    this.#out.integer(value);
  }

  #enumeration(field: FieldDescriptor, present: boolean): void {
    const scalar = this.#tokens.scalar();
    if (scalar.kind === "string") {
      // A name that nobody knows counts as unset.
      const number = field.values?.numbers.get(scalar.text);
      if (number !== undefined) this.#integer(field, number, present);
      return;
    }
    const value = scalar.kind === "number" ? numberOf(scalar, FieldKind.int32) : undefined;
    if (value === undefined) throw this.#invalid(field, scalar.start);
    this.#integer(field, value, present);
  }

  #string(field: FieldDescriptor, present: boolean): void {
    const scalar = this.#tokens.scalar();
    if (scalar.kind !== "string") throw this.#invalid(field, scalar.start);
    if (scalar.text === "" && !present) return;
    this.#out.varint((field.number << 3) | 2);
    const start = this.#out.open();
    this.#out.utf8(scalar.text);
    this.#out.close(start);
  }

  #bytes(field: FieldDescriptor, present: boolean, utf8: boolean): void {
    const tokens = this.#tokens;
    if (tokens.peek() !== quote) throw this.#invalid(field, tokens.at);
    const tokenAt = tokens.at;
    const text = tokens.string(utf8);
    if (text === "" && !present) return;
    this.#out.varint((field.number << 3) | 2);
    const start = this.#out.open();
    if (utf8) this.#out.utf8(text);
    else if (!this.#base64(text)) throw this.#invalid(field, tokenAt);
    this.#out.close(start);
  }

  // Go's rules: padding is wanted where it is due or not at all; one alphabet in a text.
  #base64(text: string): boolean {
    const padded = text.length % 4 === 0;
    const plain = text.includes("\n") || text.includes("\r") ? text.replace(/[\r\n]/g, "") : text;
    let count = plain.length;
    if (padded && plain.endsWith("=")) count -= plain.endsWith("==") ? 2 : 1;
    if (count % 4 === 1) return false;
    const isUrl = plain.includes("-") || plain.includes("_");
    if (isUrl && (plain.includes("+") || plain.includes("/"))) return false;
    if (!padded && plain.includes("=")) return false;
    // Node passes over what is not base64: then fewer bytes come out than the length promises.
    return this.#out.base64(plain) === Math.floor((count * 3) / 4);
  }

  #invalid(field: FieldDescriptor, start: number): Error {
    const { kind, jsonName } = field;
    const shown = this.#tokens.raw(start);
    return this.#tokens.fault(
      start,
      `invalid value for ${kindNames[kind]} field ${jsonName}: ${shown}`,
    );
  }
}

const kindNames: Readonly<Record<FieldKind, string>> = {
  [FieldKind.int64]: "int64",
  [FieldKind.uint64]: "uint64",
  [FieldKind.int32]: "int32",
  [FieldKind.uint32]: "uint32",
  [FieldKind.bool]: "bool",
  [FieldKind.string]: "string",
  [FieldKind.bytes]: "bytes",
  [FieldKind.enumeration]: "enum",
  [FieldKind.message]: "message",
};

interface Bounds {
  readonly min: bigint;
  readonly max: bigint;
}

const bounds: ReadonlyMap<FieldKind, Bounds> = new Map([
  [FieldKind.int64, { min: -(2n ** 63n), max: 2n ** 63n - 1n }],
  [FieldKind.uint64, { min: 0n, max: 2n ** 64n - 1n }],
  [FieldKind.int32, { min: -(2n ** 31n), max: 2n ** 31n - 1n }],
  [FieldKind.uint32, { min: 0n, max: 2n ** 32n - 1n }],
]);

/** @returns undefined for what is no whole number of that kind. */
function numberOf({ kind, text }: Scalar, wanted: FieldKind): number | bigint | undefined {
  let token: string | undefined = text;
  if (kind === "string") {
    if (text.trim() !== text) return undefined;
    token = leadingNumber(text);
  } else if (kind !== "number") return undefined;
  const value = token === undefined ? undefined : wholeNumber(token);
  const range = bounds.get(wanted);
  if (value === undefined || range === undefined) return undefined;
  return value >= range.min && value <= range.max ? value : undefined;
}
