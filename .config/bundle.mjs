// Joins the built server and the code of its member threads into a few files: a thread that reads 370 modules
// one by one spends half of its start on that. The parts stay beside them, for tests and for importers.
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

const folder = ".build/bundle";

if (!isCurrent()) {
  rmSync(folder, { recursive: true, force: true });
  const { build } = await import("esbuild");
  await build({
    entryPoints: [".build/src/main.js", ".build/workers/member.js"],
    outdir: folder,
    entryNames: "[name]",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    sourcemap: true,
    logLevel: "warning",
    // Native code, packages that look for files of their own, and what is loaded only when asked for.
    external: [
      "node-lmdb",
      "@node-rs/crc32",
      "msgpackr-extract",
      "piscina",
      "tsx",
      "../bench/*",
    ],
    // Packages that are not modules ask for Node's own by this name.
    banner: {
      js: 'import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url);',
    },
  });
}

/** True when nothing is newer than the bundle that it is made of: the compiler leaves alone what did not change. */
function isCurrent() {
  const bundle = join(folder, "member.js");
  if (!existsSync(bundle)) return false;
  const builtMs = statSync(bundle).mtimeMs;
  const parts = [".build/src", ".build/workers"].flatMap((room) =>
    readdirSync(room, { recursive: true })
      .filter((name) => name.endsWith(".js"))
      .map((name) => join(room, name)),
  );
  return [".config/bundle.mjs", "node_modules/.package-lock.json", ...parts].every(
    (file) => statSync(file).mtimeMs < builtMs,
  );
}
