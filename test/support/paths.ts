// Where things lie, whether the caller runs from source or from the build.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder that holds package.json. */
export const projectRoot: string = findRoot(dirname(fileURLToPath(import.meta.url)));

/** Compiled entry of the server; there after `npm run build`. */
export const serverEntry: string = join(projectRoot, ".build/bundle/main.js");

const isBuilt = import.meta.filename.endsWith(".js");

/** The file itself, or what was built of it where the caller is built as well. */
export function runnable(source: URL): URL {
  return isBuilt ? new URL(source.href.replace(/\.(ts|mjs)$/, ".js")) : source;
}

/** Arguments by which Node runs a TypeScript file, or what was built of it. */
export function nodeArgs(source: URL): readonly string[] {
  const file = fileURLToPath(runnable(source));
  return isBuilt ? [file] : ["--import", "tsx", file];
}

function findRoot(folder: string): string {
  if (existsSync(join(folder, "package.json"))) return folder;
  const parent = dirname(folder);
  if (parent === folder) throw new Error("no package.json above this file");
  return findRoot(parent);
}
