// The tokens of a JSON text: what a reader of messages asks for, with the complaints of protojson.
import { isUtf8 } from "node:buffer";
import { EtcdError, StatusCode } from "../base/errors.ts";
import { isDigit, isSpace, scanValue, unexpectedEnd } from "./jsonSyntax.ts";

/** INVALID_ARGUMENT, as protojson says it. Made without a stack: it is an answer. */
export function jsonRefusal(why: string): EtcdError {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = new EtcdError(StatusCode.invalidArgument, why);
  Error.stackTraceLimit = limit;
  return error;
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const shortEscapes: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ["\\", "\\"],
  ["/", "/"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);

/** A scalar: its text as it stands, or what a string stands for. */
export interface Scalar {
  readonly kind: "string" | "number" | "true" | "false" | "null" | "other";
  readonly start: number;
  readonly text: string;
}

export class JsonTokens {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, from: number) {
    this.#bytes = bytes;
    this.at = from;
  }

  /** @returns the next byte that is no white space; 0 at the end. */
  peek(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.at] ?? 0;
    while (isSpace(byte)) byte = bytes[++this.at] ?? 0;
    return byte;
  }

  /** Takes `byte`, or complains about what stands there. */
  expect(byte: number): void {
    if (this.peek() !== byte) throw this.unexpected();
    this.at++;
  }

  /**
   * To be asked behind the opening bracket and behind each member.
   * @returns false when the closing bracket was taken.
   */
  more(first: boolean, closing: number): boolean {
    const byte = this.peek();
    if (byte === closing) {
      this.at++;
      return false;
    }
    if (first) return true;
    if (byte !== comma) throw this.unexpected();
    this.at++;
    if (this.peek() === closing) throw this.unexpected();
    return true;
  }

  /** The name of a member and its colon. */
  name(): string {
    if (this.peek() !== quote) throw this.unexpected();
    const name = this.string();
    this.expect(colon);
    return name;
  }

  /** A string, without its quotes and escapes. One char per byte unless `isText`. */
  string(isText = true): string {
    const bytes = this.#bytes;
    const start = ++this.at;
    let wide = false;
    let escaped = false;
    let at = start;
    for (let byte = bytes[at]; byte !== quote; byte = bytes[++at]) {
      if (byte === undefined || byte < 0x20) throw jsonRefusal(unexpectedEnd);
      if (byte === backslash) {
        escaped = true;
        at++;
      } else if (byte >= 0x80) wide = true;
    }
    this.at = at + 1;
    if (wide && !isUtf8(bytes.subarray(start, at))) {
      throw this.fault(start - 1, "invalid UTF-8 in string", "syntax error ");
    }
    if (!escaped && !(wide && isText)) return bytes.toString("latin1", start, at);
    return escaped ? this.#unescape(start, at) : bytes.toString("utf8", start, at);
  }

  scalar(): Scalar {
    const first = this.peek();
    const start = this.at;
    if (first === quote) return { kind: "string", start, text: this.string() };
    if (first === 0x2d || isDigit(first)) {
      return { kind: "number", start, text: this.#rest() };
    }
    const text = /^[tfn]/.test(String.fromCharCode(first)) ? this.#rest() : "";
    if (text === "true" || text === "false" || text === "null") return { kind: text, start, text };
    return { kind: "other", start, text };
  }

  /** Steps over a value of any kind. */
  skip(): void {
    const scanned = scanValue(this.#bytes, this.at);
    if (scanned.kind !== "value") throw jsonRefusal(unexpectedEnd);
    const { end } = scanned;
    if (!isUtf8(this.#bytes.subarray(this.at, end))) {
      throw this.fault(this.at, "invalid UTF-8 in string", "syntax error ");
    }
    this.at = end;
  }

  /** The text of the token at `start`, as complaints show it. */
  raw(start: number): string {
    const scanned = scanValue(this.#bytes, start);
    const first = String.fromCharCode(this.#bytes[start] ?? 0);
    if (first === "{" || first === "[" || scanned.kind !== "value") return first;
    return this.#bytes.toString("utf8", start, scanned.end);
  }

  unexpected(): EtcdError {
    this.peek();
    return this.fault(this.at, `unexpected token ${this.raw(this.at)}`, "syntax error ");
  }

  /** A complaint with the place of the token, as protojson counts it. */
  fault(start: number, why: string, kind = ""): EtcdError {
    const before = this.#bytes.toString("utf8", 0, start).trimStart();
    const lines = before.split("\n");
    const column = [...(lines.at(-1) ?? "")].length + 1;
    return jsonRefusal(`proto: ${kind}(line ${lines.length}:${column}): ${why}`);
  }

  // Letters, digits and signs: a number or a literal.
  #rest(): string {
    const start = this.at;
    let byte = this.#bytes[this.at] ?? 0;
    while (
      isDigit(byte) ||
      ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a) ||
      "+-.".includes(String.fromCharCode(byte))
    ) {
      byte = this.#bytes[++this.at] ?? 0;
    }
    return this.#bytes.toString("latin1", start, this.at);
  }

  #unescape(start: number, end: number): string {
    const bytes = this.#bytes;
    let text = "";
    let from = start;
    for (let at = bytes.indexOf(backslash, start); at >= 0 && at < end; ) {
      text += bytes.toString("utf8", from, at);
      const kind = String.fromCharCode(bytes[at + 1] ?? 0);
      from = at + (kind === "u" ? 6 : 2);
      if (kind !== "u") text += escapeOf(kind);
      else {
        const unit = this.#codeUnit(at);
        if (unit >= 0xd800 && unit <= 0xdfff) {
          text += this.#pair(unit, from, start);
          from += 6;
        } else text += String.fromCharCode(unit);
      }
      at = bytes.indexOf(backslash, from);
    }
    return text + bytes.toString("utf8", from, end);
  }

  // The second half of a surrogate pair must follow the first.
  #pair(high: number, at: number, start: number): string {
    const bytes = this.#bytes;
    if (bytes.length - at < 6) throw jsonRefusal(`proto: ${unexpectedEnd}`);
    const low = bytes[at] === backslash && bytes[at + 1] === 0x75 ? this.#codeUnit(at) : 0;
    if (high <= 0xdbff && low >= 0xdc00 && low <= 0xdfff) return String.fromCharCode(high, low);
    const shown = JSON.stringify(bytes.toString("utf8", at, at + 6));
    throw this.fault(start - 1, `invalid escape code ${shown} in string`, "syntax error ");
  }

  #codeUnit(at: number): number {
    const digits = this.#bytes.toString("latin1", at + 2, at + 6);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw jsonRefusal(unexpectedEnd);
    return Number.parseInt(digits, 16);
  }
}

function escapeOf(kind: string): string {
  const text = shortEscapes.get(kind);
  if (text === undefined) throw jsonRefusal(unexpectedEnd);
  return text;
}
