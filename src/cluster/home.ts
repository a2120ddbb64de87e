// Where the members of a cluster live between two lives: a data directory, or this process's memory.
import { randomBytes } from "node:crypto";
import type { MemberId } from "../base/brand.ts";
import { type ClaimedDataDir, claimDataDir, inspectDataDir } from "../storage/dataDir.ts";
import { type ClusterSeed, type MemberSeed, seedCluster, seedOf } from "./identity.ts";

/** One life of a member begins. */
export interface Boot {
  readonly incarnation: number;
  /** Names the log that the member began with. */
  readonly birth: number;
  /** Undefined: in memory. */
  readonly folders: { readonly log: string; readonly store: string } | undefined;
  /** True when there may be no log yet. */
  readonly mayCreate: boolean;
  /** Log and store are open. */
  started(): Promise<void>;
}

export interface Home {
  boot(id: MemberId): Promise<Boot>;
  /** Another member lives here from now on. @throws {DataDirError} */
  enlist(member: MemberSeed): Promise<void>;
  /** A member lives here no more. @throws {DataDirError} */
  retire(id: MemberId): Promise<void>;
  release(): Promise<void>;
}

/**
 * Who the members are, without changing anything on disk.
 *
 * @throws {DataDirError} when the directory cannot be used.
 */
export async function planCluster(
  memberCount: number,
  dataDir: string | undefined,
): Promise<{ readonly seed: ClusterSeed; readonly isNew: boolean }> {
  const state = dataDir === undefined ? undefined : await inspectDataDir(dataDir);
  if (state?.kind === "ours") return { seed: seedOf(state.marker), isNew: false };
  // The token sets clusters apart that have the same member names.
  return { seed: seedCluster(memberCount, randomBytes(16).toString("hex")), isNew: true };
}

/** Takes the data directory for this process. @throws {DataDirError} in use, not writable. */
export async function openHome(seed: ClusterSeed, dataDir: string | undefined): Promise<Home> {
  if (dataDir === undefined) return new MemoryHome();
  const { clusterId, members } = seed;
  return new DiskHome(await claimDataDir(dataDir, { clusterId, members }));
}

class DiskHome implements Home {
  readonly #directory: ClaimedDataDir;

  constructor(directory: ClaimedDataDir) {
    this.#directory = directory;
  }

  async boot(id: MemberId): Promise<Boot> {
    const boot = await this.#directory.boot(id);
    return {
      incarnation: boot.incarnation,
      birth: boot.birth,
      folders: { log: boot.logDirectory, store: boot.storeDirectory },
      mayCreate: boot.mayCreate,
      started: () => boot.markStarted(),
    };
  }

  enlist(member: MemberSeed): Promise<void> {
    return this.#directory.enlist(member);
  }

  retire(id: MemberId): Promise<void> {
    return this.#directory.retire(id);
  }

  release(): Promise<void> {
    return this.#directory.release();
  }
}

class MemoryHome implements Home {
  readonly #boots = new Map<MemberId, number>();

  async boot(id: MemberId): Promise<Boot> {
    const incarnation = (this.#boots.get(id) ?? 0) + 1;
    this.#boots.set(id, incarnation);
    return {
      incarnation,
      birth: 1,
      folders: undefined,
      mayCreate: incarnation === 1,
      started: () => Promise.resolve(),
    };
  }

  enlist(): Promise<void> {
    return Promise.resolve();
  }

  retire(): Promise<void> {
    return Promise.resolve();
  }

  release(): Promise<void> {
    return Promise.resolve();
  }
}
