// The grammar of JSON with the complaints of Go's encoding/json, which etcd's gateway asks first: one
// value, no word about what follows it.

/** Where the value ends; or why it is none. */
export type Scanned =
  | { readonly kind: "value"; readonly end: number }
  /** Nothing but white space. */
  | { readonly kind: "nothing" }
  /** The bytes end within the value. */
  | { readonly kind: "cut" }
  | { readonly kind: "fault"; readonly why: string };

export const unexpectedEnd = "unexpected EOF";
/** encoding/json's own. */
export const nestingMax = 10_000;

const code = (text: string): number => text.charCodeAt(0);
const quote = code('"');
const backslash = code("\\");
const openBrace = code("{");
const closeBrace = code("}");
const openBracket = code("[");
const closeBracket = code("]");
const comma = code(",");
const colon = code(":");
const literals: ReadonlyMap<number, string> = new Map(
  ["true", "false", "null"].map((text) => [code(text), text]),
);

/** Scans the first value at or behind `from`. */
export function scanValue(bytes: Uint8Array, from: number): Scanned {
  return new Scanner(bytes, from).scan();
}

/** The white space of JSON. */
export function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

// Ends a scan early; nothing of it leaves this file.
class Stop {
  readonly result: Scanned;

  constructor(result: Scanned) {
    this.result = result;
  }
}

class Scanner {
  readonly #bytes: Uint8Array;
  #at: number;
  /** Open objects and arrays, outermost first. */
  readonly #open: number[] = [];
  /** The innermost was opened just now. */
  #isFresh = false;

  constructor(bytes: Uint8Array, from: number) {
    this.#bytes = bytes;
    this.#at = from;
  }

  scan(): Scanned {
    this.#space();
    if (this.#at >= this.#bytes.length) return { kind: "nothing" };
    try {
      this.#value();
      while (this.#open.length > 0) this.#next();
      return { kind: "value", end: this.#at };
    } catch (stop) {
      if (stop instanceof Stop) return stop.result;
      throw stop;
    }
  }

  // One value, or the beginning of one that has members.
  #value(): void {
    const first = this.#peek();
    if (first === quote) this.#string();
    else if (first === openBrace || first === openBracket) this.#enter(first);
    else if (first === code("-") || isDigit(first)) this.#number();
    else {
      const literal = literals.get(first);
      if (literal === undefined) this.#fault("looking for beginning of value");
      this.#literal(literal ?? "");
    }
  }

  // Within an object or array: behind its bracket, or behind a value. Never deeper than one call, as
  // clients choose how deep they nest.
  #next(): void {
    const inObject = this.#open.at(-1) === openBrace;
    const isFresh = this.#isFresh;
    this.#isFresh = false;
    this.#space();
    const byte = this.#peek();
    if (byte === (inObject ? closeBrace : closeBracket)) {
      this.#at++;
      this.#open.pop();
    } else if (isFresh || byte === comma) {
      if (!isFresh) this.#at++;
      this.#space();
      if (inObject) this.#member("looking for beginning of object key string");
      else this.#value();
    } else this.#fault(inObject ? "after object key:value pair" : "after array element");
  }

  #enter(bracket: number): void {
    if (this.#open.push(bracket) > nestingMax) this.#fault("exceeded max depth");
    this.#at++;
    this.#isFresh = true;
  }

  #member(where: string): void {
    if (this.#peek() !== quote) this.#fault(where);
    this.#string();
    this.#space();
    if (this.#peek() !== colon) this.#fault("after object key");
    this.#at++;
    this.#space();
    this.#value();
  }

  #string(): void {
    for (this.#at++; this.#peek() !== quote; this.#at++) {
      if (this.#peek() < 0x20) this.#fault("in string literal");
      if (this.#peek() === backslash) this.#escape();
    }
    this.#at++;
  }

  // Ends on the last byte of the escape.
  #escape(): void {
    this.#at++;
    const kind = this.#peek();
    if (kind !== code("u")) {
      if (!'"\\/bfnrt'.includes(String.fromCharCode(kind))) this.#fault("in string escape code");
      return;
    }
    for (let i = 0; i < 4; i++) {
      this.#at++;
      if (!/[0-9a-fA-F]/.test(String.fromCharCode(this.#peek()))) {
        this.#fault("in \\u hexadecimal character escape");
      }
    }
  }

  #number(): void {
    if (this.#peek() === code("-")) this.#at++;
    if (this.#peek() === code("0")) this.#at++;
    else this.#digits("in numeric literal");
    if (this.#bytes[this.#at] === code(".")) {
      this.#at++;
      this.#digits("after decimal point in numeric literal");
    }
    const exponent = this.#bytes[this.#at];
    if (exponent !== code("e") && exponent !== code("E")) return;
    this.#at++;
    const sign = this.#peek();
    if (sign === code("+") || sign === code("-")) this.#at++;
    this.#digits("in exponent of numeric literal");
  }

  #digits(where: string): void {
    if (!isDigit(this.#peek())) this.#fault(where);
    while (isDigit(this.#bytes[this.#at] ?? 0)) this.#at++;
  }

  #literal(text: string): void {
    for (const char of text) {
      if (this.#peek() !== code(char)) this.#fault(`in literal ${text} (expecting '${char}')`);
      this.#at++;
    }
  }

  #space(): void {
    while (isSpace(this.#bytes[this.#at] ?? 0)) this.#at++;
  }

  #peek(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new Stop({ kind: "cut" });
    return byte;
  }

  #fault(where: string): never {
    throw stopAt(`invalid character ${quoted(this.#peek())} ${where}`);
  }
}

const stopAt = (why: string): Stop => new Stop({ kind: "fault", why });

// As Go quotes a byte taken for a character.
function quoted(byte: number): string {
  if (byte === code("'")) return "'\\''";
  if (byte === quote) return "'\"'";
  if (byte === backslash) return "'\\\\'";
  const named = "\u0007\b\f\n\r\t\v".indexOf(String.fromCharCode(byte));
  if (named >= 0) return `'\\${"abfnrtv"[named]}'`;
  if (byte < 0x20 || byte === 0x7f) return `'\\x${byte.toString(16).padStart(2, "0")}'`;
  if (byte > 0x7f && (byte < 0xa1 || byte === 0xad)) {
    return `'\\u${byte.toString(16).padStart(4, "0")}'`;
  }
  return `'${String.fromCharCode(byte)}'`;
}
