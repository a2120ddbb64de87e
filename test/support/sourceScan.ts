// A light reading of TypeScript: what is code, what is comment or text, where functions begin and end.
// Not a parser: it knows quotes, comments, regular expressions and brackets, which is enough for tidiness.

export interface SourceFile {
  /** From the project's root, with slashes: "src/raft/node.ts". */
  readonly path: string;
  readonly text: string;
  /** The text with comments and the insides of strings blanked; same length, same lines. */
  readonly code: string;
  /** The text with everything but comments blanked. */
  readonly comments: string;
}

export interface FunctionSpan {
  readonly line: number;
  readonly lineCount: number;
  /** Without the lines of functions inside, save their first. */
  readonly ownLineCount: number;
}

export interface ImportLine {
  readonly specifier: string;
  readonly line: number;
  /** Named by `new URL("…", import.meta.url)`: a worker or a data file, not a module. */
  readonly isUrl: boolean;
}

export function scanSource(path: string, text: string): SourceFile {
  return { path, text, ...new Masker(text).run() };
}

/** 1 for the first line. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

/** Static and dynamic imports, re-exports, and files named by `new URL("…", import.meta.url)`. */
export function importsOf({ text, code }: SourceFile): readonly ImportLine[] {
  const found: ImportLine[] = [];
  const openings = /(?<!\.)\bfrom\s*(?=")|\bimport\s*\(?\s*(?=")|\bnew URL\(\s*(?=")/g;
  for (const { index, 0: opening } of code.matchAll(openings)) {
    const quote = index + opening.length;
    const specifier = text.slice(quote + 1, code.indexOf('"', quote + 1));
    const isUrl = opening.startsWith("new");
    if (!isUrl || specifier.startsWith(".")) {
      found.push({ specifier, isUrl, line: lineAt(text, index) });
    }
  }
  return found;
}

/** Each function, method and arrow function that has a body in braces. */
export function functionsOf({ code }: SourceFile): readonly FunctionSpan[] {
  const pairs = bracketPairs(code);
  const bodies: { readonly start: number; readonly end: number }[] = [];
  for (const [open, close] of pairs) {
    const start = bodyStart(code, open, close, pairs);
    const end = start === undefined ? undefined : pairs.get(start);
    if (start !== undefined && end !== undefined) bodies.push({ start, end });
  }
  return bodies.map(({ start, end }) => {
    const linesOf = (from: number, to: number) => lineAt(code, to) - lineAt(code, from) + 1;
    const inner = bodies.filter((body) => body.start > start && body.end < end);
    const nearest = inner.filter(
      (body) => !inner.some((other) => other.start < body.start && other.end > body.end),
    );
    const lineCount = linesOf(start, end);
    const innerLines = nearest.reduce((sum, body) => sum + linesOf(body.start, body.end) - 1, 0);
    return { line: lineAt(code, start), lineCount, ownLineCount: lineCount - innerLines };
  });
}

/** @returns the brace that opens the body of the function whose parameters are (open … close). */
function bodyStart(
  code: string,
  open: number,
  close: number,
  pairs: ReadonlyMap<number, number>,
): number | undefined {
  if (code[open] === "{")
    return /=>\s*$/.test(code.slice(Math.max(0, open - 40), open)) ? open : undefined;
  if (code[open] !== "(") return undefined;
  if (
    /\b(if|for|while|switch|catch|with|await)\s*$/.test(code.slice(Math.max(0, open - 20), open))
  ) {
    return undefined;
  }
  let at = skipSpace(code, close + 1);
  if (code[at] === "{") return at;
  if (code[at] !== ":") return undefined;
  // A return type: braces that follow an operator of types belong to it.
  for (let last = ":", next = at + 1; next < code.length; next = at + 1) {
    at = skipSpace(code, next);
    const char = code[at] ?? "";
    if (char === "{" && !/[:|&<,?=([]/.test(last) && last !== "=>") return at;
    // An arrow function's body is found by its arrow.
    if (/[;,=)\]}]/.test(char) || code.startsWith("=>", at)) return undefined;
    if (/[{(<[]/.test(char))
      at = char === "<" ? angleEnd(code, at) : (pairs.get(at) ?? code.length);
    last = code[at] ?? "";
  }
  return undefined;
}

function skipSpace(code: string, from: number): number {
  let at = from;
  while (/\s/.test(code[at] ?? "")) at++;
  return at;
}

function angleEnd(code: string, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at++) {
    if (code[at] === "<") depth++;
    if (code[at] === ">" && code[at - 1] !== "=" && --depth === 0) return at;
  }
  return code.length;
}

/** Opening bracket to closing one, for all three kinds. */
function bracketPairs(code: string): ReadonlyMap<number, number> {
  const pairs = new Map<number, number>();
  const open: number[] = [];
  for (let at = 0; at < code.length; at++) {
    const char = code[at] ?? "";
    if ("({[".includes(char)) open.push(at);
    else if (")}]".includes(char)) pairs.set(open.pop() ?? 0, at);
  }
  return pairs;
}

/** What a stretch of text is; a template holds code again within its braces. */
type Place = "code" | "line" | "block" | '"' | "'" | "`" | "regex";

class Masker {
  readonly #text: string;
  readonly #code: string[] = [];
  readonly #comments: string[] = [];
  /** For each template that the code stands in, the depth of braces at which it goes on. */
  readonly #templates: number[] = [];
  #braces = 0;
  #at = 0;
  #inClass = false;

  constructor(text: string) {
    this.#text = text;
  }

  run(): { readonly code: string; readonly comments: string } {
    let place: Place = "code";
    while (this.#at < this.#text.length) place = this.#step(place);
    return { code: this.#code.join(""), comments: this.#comments.join("") };
  }

  #step(place: Place): Place {
    switch (place) {
      case "code":
        return this.#stepCode();
      case "line":
        if (this.#text[this.#at] === "\n") return this.#keep("code");
        return this.#comment(1, place);
      case "block":
        if (this.#text.startsWith("*/", this.#at)) return this.#comment(2, "code");
        return this.#comment(1, place);
      case "regex":
        return this.#stepRegex();
      default:
        return this.#stepText(place);
    }
  }

  #stepCode(): Place {
    const char = this.#text[this.#at] ?? "";
    if (this.#text.startsWith("//", this.#at)) return this.#comment(2, "line");
    if (this.#text.startsWith("/*", this.#at)) return this.#comment(2, "block");
    if (this.#text.startsWith("#!", this.#at) && this.#at === 0) return this.#comment(2, "line");
    if (char === "/" && this.#regexMayStart()) return this.#keep("regex");
    if (char === '"' || char === "'" || char === "`") return this.#keep(char);
    if (char === "{") this.#braces++;
    if (char === "}" && this.#templates.at(-1) === this.#braces) {
      this.#templates.pop();
      return this.#keep("`");
    }
    if (char === "}") this.#braces--;
    return this.#keep("code");
  }

  #stepText(quote: '"' | "'" | "`"): Place {
    if (this.#text[this.#at] === "\\") return this.#blank(2, quote);
    if (this.#text[this.#at] === quote) return this.#keep("code");
    if (quote === "`" && this.#text.startsWith("${", this.#at)) {
      this.#templates.push(this.#braces);
      this.#keep("code");
      return this.#keep("code");
    }
    return this.#blank(1, quote);
  }

  #stepRegex(): Place {
    const char = this.#text[this.#at];
    if (char === "\\") return this.#blank(2, "regex");
    if (char === "[") this.#inClass = true;
    if (char === "]") this.#inClass = false;
    if ((char === "/" && !this.#inClass) || char === "\n") return this.#keep("code");
    return this.#blank(1, "regex");
  }

  /** A slash divides after a value, and opens an expression after anything else. */
  #regexMayStart(): boolean {
    const before = this.#code.slice(-40).join("").trimEnd();
    return !/[\w$)\]}"'`]$/.test(before) || /\b(return|typeof|case|in|of)$/.test(before);
  }

  #keep(next: Place): Place {
    const char = this.#text[this.#at++] ?? "";
    this.#code.push(char);
    this.#comments.push(char === "\n" ? "\n" : " ");
    return next;
  }

  #comment(count: number, next: Place): Place {
    for (const char of this.#text.slice(this.#at, this.#at + count)) {
      this.#code.push(char === "\n" ? "\n" : " ");
      this.#comments.push(char);
    }
    this.#at += count;
    return next;
  }

  #blank(count: number, next: Place): Place {
    for (const char of this.#text.slice(this.#at, this.#at + count)) {
      this.#code.push(char === "\n" ? "\n" : " ");
      this.#comments.push(char === "\n" ? "\n" : " ");
    }
    this.#at += count;
    return next;
  }
}
