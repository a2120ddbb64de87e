// Which file a member's thread runs. From source (tsx) it needs a bootstrap that registers the loader. Built
// code is one bundle, the caller a part of it or not; without a bundle, or with one that is older than what
// it is made of (the compiler ran and nobody bundled), it is the modules.
import { existsSync, readdirSync, statSync } from "node:fs";
import { unreachable } from "../base/assert.ts";

/** @param here URL of a module of this folder, or of the bundle. */
export function threadFile(here: string): URL {
  const file = candidates(here).find(existsSync);
  return file ?? unreachable("no code for member threads");
}

function candidates(here: string): readonly URL[] {
  if (here.endsWith(".ts")) return [new URL("../../workers/source.mjs", here)];
  if (!here.endsWith("/src/cluster/memberThread.js")) return [new URL("./member.js", here)];
  const [bundle, module] = ["../../bundle/member.js", "../../workers/member.js"].map(
    (path) => new URL(path, here),
  );
  if (bundle === undefined || module === undefined) return [];
  const rooms = ["../../src/", "../../workers/"].map((path) => new URL(path, here));
  return isCurrent(bundle, rooms) ? [bundle] : [module];
}

/** Nothing in these folders, which may be missing, is newer than the bundle. */
function isCurrent(bundle: URL, rooms: readonly URL[]): boolean {
  const builtMs = statSync(bundle, { throwIfNoEntry: false })?.mtimeMs;
  if (builtMs === undefined) return false;
  return rooms.filter(existsSync).every((room) =>
    readdirSync(room, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".js"))
      .every((name) => statSync(new URL(name, room)).mtimeMs <= builtMs),
  );
}
