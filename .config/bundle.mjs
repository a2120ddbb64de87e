// Joins the built server and the code of its member threads into a few files: a thread that reads 370 modules
// one by one spends half of its start on that. The parts stay beside them, for tests and for importers.
import { rmSync } from "node:fs";
import { build } from "esbuild";

rmSync(".build/bundle", { recursive: true, force: true });
await build({
  entryPoints: [".build/src/main.js", ".build/workers/member.js"],
  outdir: ".build/bundle",
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
