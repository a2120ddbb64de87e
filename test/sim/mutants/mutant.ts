// A deliberate bug: one place of the source, replaced in a private copy of the tree.
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

/** What a seed needs of the tree. */
const folders = ["src", "test/sim", "test/support", "test/storage", "workers"] as const;
const files = ["package.json", "tsconfig.json"] as const;

/** A copy of the tree, without any mutant yet; to be removed by `dispose`. */
export class MutantTree {
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  static async create(): Promise<MutantTree> {
    const root = await mkdtemp(join(tmpdir(), "quorlet-mutant-"));
    await mkdir(join(root, "test"));
    for (const name of [...folders, ...files]) {
      await cp(join(projectRoot, name), join(root, name), { recursive: true });
    }
    await symlink(join(projectRoot, "node_modules"), join(root, "node_modules"));
    return new MutantTree(root);
  }

  async plant(mutant: Mutant): Promise<void> {
    for (const patch of patchesOf(mutant)) {
      await writeFile(join(this.root, patch.file), await patched(patch));
    }
  }

  async dispose(): Promise<void> {
    await rm(this.root, { recursive: true });
  }
}
