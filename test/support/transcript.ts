// Golden transcripts: commands above a line of dashes, what they say below it, blank line, next.
// With QUORLET_REWRITE=1 the answers are written back; their author must be able to say why.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";

/** Answers the commands of one block, one line each; may be called many times, in order. */
export type Interpreter = (command: string) => readonly string[];

interface Block {
  /** Comments and blank lines before the commands, as they stand. */
  readonly preface: readonly string[];
  readonly commands: readonly string[];
  readonly want: readonly string[];
}

const rule = "----";

/** Runs every block of the file against one interpreter and compares. */
export function runTranscript(path: string, interpret: Interpreter): void {
  const before = readFileSync(path, "utf8");
  const blocks = parseTranscript(before);
  const rewrite = process.env.QUORLET_REWRITE === "1";
  const after: string[] = [];
  for (const block of blocks) {
    const got = block.commands.flatMap((command) => interpret(command));
    const answer = got.length === 0 ? ["ok"] : got;
    if (!rewrite) assert.deepEqual(answer, block.want, `${path}: ${block.commands.join("; ")}`);
    after.push([...block.preface, ...block.commands, rule, ...answer].join("\n"));
  }
  if (rewrite) writeFileSync(path, `${after.join("\n")}\n`);
}

export function parseTranscript(text: string): readonly Block[] {
  const blocks: Block[] = [];
  const lines = text.replace(/\n+$/, "").split("\n");
  let at = 0;
  while (at < lines.length) {
    const preface = takeWhile(lines, at, (line) => line === "" || line.startsWith("#"));
    at += preface.length;
    const commands = takeWhile(lines, at, (line) => line !== rule && line !== "");
    at += commands.length;
    if (commands.length === 0) break;
    // A new block may stand without its answer until the first rewrite.
    if (lines[at] === rule) at++;
    const want = takeWhile(lines, at, (line) => line !== "");
    at += want.length;
    blocks.push({ preface, commands, want });
  }
  return blocks;
}

function takeWhile(
  lines: readonly string[],
  from: number,
  keep: (line: string) => boolean,
): readonly string[] {
  let to = from;
  while (to < lines.length && keep(lines[to] ?? "")) to++;
  return lines.slice(from, to);
}

/** A command line: its verb, plain words, and `key=value` or `key(id)=value` options. */
export interface Command {
  readonly verb: string;
  readonly words: readonly string[];
  readonly options: ReadonlyMap<string, string>;
}

export function parseCommand(line: string): Command {
  const [verb = "", ...rest] = line.trim().split(/\s+/);
  const options = new Map<string, string>();
  const words: string[] = [];
  for (const word of rest) {
    const equals = word.indexOf("=");
    if (equals > 0) options.set(word.slice(0, equals), word.slice(equals + 1));
    else words.push(word);
  }
  return { verb, words, options };
}
