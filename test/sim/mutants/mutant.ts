// A deliberate bug: one place of the source, replaced in a private copy of the build.
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { projectRoot } from "../../support/paths.ts";
import type { Focus } from "../focus.ts";

export interface Patch {
  /** Below the project. */
  readonly file: string;
  /** Exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutant extends Patch {
  readonly name: string;
  /** The known trap that it is, or "own". */
  readonly trap: string;
  /** In another file: a guard that would make up for the first one. */
  readonly also?: Patch;
  /** A corner in which it is found sooner; the seeds are the same. */
  readonly focus?: Focus;
}

export const patchesOf = (mutant: Mutant): readonly Patch[] =>
  mutant.also === undefined ? [mutant] : [mutant, mutant.also];

/** The file as the patch leaves it. @throws {RangeError} when it is stale. */
export async function patched({ file, find, replace }: Patch): Promise<string> {
  const source = await readFile(join(projectRoot, file), "utf8");
  const parts = source.split(find);
  if (parts.length !== 2) {
    throw new RangeError(
      `a mutant is stale: "${find}" is at ${parts.length - 1} places of ${file}`,
    );
  }
  return parts.join(replace);
}

const run = promisify(execFile);

/** What a seed needs of the build. */
const folders = ["src", "test/sim", "test/support", "test/storage", "workers"] as const;
/** Types and maps are for people. */
const isCode = (file: string): boolean => !/\.(d\.ts|map)$/.test(file);

/** Only what was patched is compiled: on its own, without a look at types. */
const compilerOptions = {
  ...{ noCheck: true, noResolve: true, types: [] },
  ...{ incremental: false, tsBuildInfoFile: null, declaration: false, sourceMap: false },
};

/** A copy of the build, without any mutant yet; to be removed by `dispose`. */
export class MutantTree {
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  /** @throws when the project is not built. */
  static async create(): Promise<MutantTree> {
    const root = await mkdtemp(join(tmpdir(), "quorlet-mutant-"));
    for (const name of folders) {
      const built = join(".build", name);
      await cp(join(projectRoot, built), join(root, built), { recursive: true, filter: isCode });
    }
    await cp(join(projectRoot, "package.json"), join(root, "package.json"));
    await symlink(join(projectRoot, "node_modules"), join(root, "node_modules"));
    return new MutantTree(root);
  }

  async plant(mutant: Mutant): Promise<void> {
    const files: string[] = [];
    for (const patch of patchesOf(mutant)) {
      const file = join(this.root, patch.file);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, await patched(patch));
      files.push(file);
    }
    const config = {
      extends: join(projectRoot, "tsconfig.json"),
      compilerOptions: { ...compilerOptions, rootDir: ".", outDir: ".build" },
      ...{ files, include: [] },
    };
    await writeFile(join(this.root, "tsconfig.json"), JSON.stringify(config));
    await run(join(projectRoot, "node_modules/.bin/tsc"), ["-p", this.root]);
  }

  async dispose(): Promise<void> {
    await rm(this.root, { recursive: true });
  }
}
