// The house rules that a reader of source can judge, each as one small function.
import { posix } from "node:path";
import {
  fileLinesMax,
  functionLinesMax,
  impureGlobals,
  isPure,
  mayImport,
  pureLibraries,
  roomFileOf,
} from "./arrows.ts";
import {
  type FunctionSpan,
  functionsOf,
  importsOf,
  lineAt,
  type SourceFile,
} from "./sourceScan.ts";

/** A broken rule. */
export interface Untidy {
  readonly path: string;
  readonly line: number;
  readonly what: string;
}

type Rule = (file: SourceFile) => readonly Untidy[];

/** Everything that is wrong with one file by itself. */
export function judgeFile(file: SourceFile): readonly Untidy[] {
  return rules.flatMap((rule) => rule(file));
}

const rules: readonly Rule[] = [
  fileLength,
  functionLength,
  openingComment,
  importEndings,
  importArrows,
  pureImports,
  pureNames,
  bannedSyntax,
  todoNumbers,
];

function fileLength({ path, text }: SourceFile): readonly Untidy[] {
  const lines = text.replace(/\n$/, "").split("\n").length;
  if (lines <= fileLinesMax) return [];
  return [{ path, line: lines, what: `${lines} lines, at most ${fileLinesMax}` }];
}

function functionLength(file: SourceFile): readonly Untidy[] {
  // A suite of tests is one function around many.
  const count = ({ lineCount, ownLineCount }: FunctionSpan) =>
    file.path.startsWith("test/") ? ownLineCount : lineCount;
  return functionsOf(file)
    .filter((span) => count(span) > functionLinesMax)
    .map((span) => ({
      path: file.path,
      line: span.line,
      what: `a function of ${count(span)} lines, at most ${functionLinesMax}`,
    }));
}

function openingComment({ path, text }: SourceFile): readonly Untidy[] {
  const [first = "", second = ""] = text.split("\n");
  const line = first.startsWith("#!") ? second : first;
  if (/^\/\/ \S|^\/\*\*? ?\S?/.test(line)) return [];
  return [{ path, line: 1, what: "the first line is not a comment about the file's idea" }];
}

function importEndings(file: SourceFile): readonly Untidy[] {
  return importsOf(file)
    .filter(({ isUrl, specifier }) => !isUrl && /^\.(?!.*\.ts$)/.test(specifier))
    .map(({ specifier, line }) => ({
      path: file.path,
      line,
      what: `import "${specifier}" does not end in .ts`,
    }));
}

function importArrows(file: SourceFile): readonly Untidy[] {
  const from = roomFileOf(file.path);
  if (from === undefined) return [];
  return relativeImports(file).flatMap(({ target, line }) => {
    const to = roomFileOf(target);
    if (to !== undefined && mayImport(from, to)) return [];
    // Worker files are named, not imported.
    if (to === undefined && target.startsWith("workers/")) return [];
    return [{ path: file.path, line, what: `no arrow from ${from} to ${to ?? target}` }];
  });
}

function pureImports(file: SourceFile): readonly Untidy[] {
  const from = roomFileOf(file.path);
  if (from === undefined || !isPure(from)) return [];
  return importsOf(file)
    .filter(({ specifier }) => !specifier.startsWith(".") && !pureLibraries.includes(specifier))
    .map(({ specifier, line }) => ({
      path: file.path,
      line,
      what: `a pure room imports "${specifier}"`,
    }));
}

function pureNames(file: SourceFile): readonly Untidy[] {
  const from = roomFileOf(file.path);
  if (from === undefined || !isPure(from)) return [];
  const names = [...impureGlobals, "Math\\.random", "await", "async"].join("|");
  const pattern = new RegExp(`(?<![.\\w#])(${names})\\b`, "g");
  return matches(file, pattern, (name) => `a pure room names ${name}`);
}

/** Syntax that the guide refuses; part of it is refused by the linter as well. */
const refused: readonly (readonly [RegExp, string])[] = [
  [/\bexport\s+default\b/g, "a default export"],
  [/(?<![.\w])any\b(?!\s*[:?(])/g, "the type any"],
  [/(?:^|\n)\s*(?:export\s+)?(?:declare\s+)?(?:const\s+)?enum\s+\w/g, "an enum"],
  [/(?:^|\n)\s*(?:export\s+)?(?:declare\s+)?namespace\s+\w/g, "a namespace"],
];

function bannedSyntax(file: SourceFile): readonly Untidy[] {
  const found = refused.flatMap(([pattern, what]) => matches(file, pattern, () => what));
  if (["src/quorlet.ts", "src/browser.ts"].includes(file.path) || file.path.startsWith("test/"))
    return found;
  const barrel = /\bexport\s+(?:type\s+)?(?:\*|\{[^}]*\})[^;{}]*\bfrom\b/g;
  const state = /(?:^|\n)(?:export\s+)?(?:let|var)\s/g;
  return [
    ...found,
    ...matches(file, barrel, () => "a re-export"),
    ...matches(file, state, () => "mutable state of a module"),
  ];
}

function todoNumbers(file: SourceFile): readonly Untidy[] {
  const pattern = /\b(TODO|FIXME|XXX)\b(?!\s*\(?#\d)/g;
  return [...file.comments.matchAll(pattern)].map((match) => ({
    path: file.path,
    line: lineAt(file.text, match.index),
    what: `${match[0]} without the number of an issue`,
  }));
}

/** Files of src that no entry reaches by imports. */
export function unreached(
  files: readonly SourceFile[],
  entries: readonly string[],
): readonly Untidy[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const reached = new Set<string>();
  const waiting = [...entries];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const file = byPath.get(path);
    if (file === undefined || reached.has(path)) continue;
    reached.add(path);
    waiting.push(...relativeImports(file).map(({ target }) => target));
  }
  return files
    .filter(({ path }) => path.startsWith("src/") && !reached.has(path))
    .map(({ path }) => ({ path, line: 1, what: "no entry reaches this file" }));
}

/** Targets as paths from the root; workers are named by their compiled ending. */
function relativeImports(file: SourceFile): readonly { target: string; line: number }[] {
  return importsOf(file)
    .filter(({ specifier }) => specifier.startsWith("."))
    .map(({ specifier, line }) => ({
      target: posix.join(posix.dirname(file.path), specifier).replace(/\.js$/, ".ts"),
      line,
    }));
}

function matches(
  file: SourceFile,
  pattern: RegExp,
  say: (match: string) => string,
): readonly Untidy[] {
  return [...file.code.matchAll(pattern)].map((match) => ({
    path: file.path,
    line: lineAt(file.code, match.index + match[0].search(/\S/)),
    what: say(match[0].trim()),
  }));
}
