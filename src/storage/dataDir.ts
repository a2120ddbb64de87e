// The data directory of one process: whose it is, who uses it now, and which life each member lives.
//
//   <directory>, mode 0700
//     quorlet.json               format version, cluster id, members; says when it is complete
//     member-<id, 16 hex>/
//       identity.json            incarnation and birth; rewritten at each boot
//       births.json              births of peers; see birthsFile.ts
//       log/  store/             see raftLog.ts and lmdb.ts
import fs from "node:fs/promises";
import path from "node:path";
import { MemberId } from "../base/brand.ts";
import { DataDirError } from "./dataDirError.ts";
import { type DataDirLock, lockDirectory, lockName } from "./dataDirLock.ts";
import { readJson, writeJson } from "./jsonFile.ts";

export const dataFormatVersion = 1;
const markerName = "quorlet.json";
const identityName = "identity.json";
/** Present in the root of some file systems, or left by a claim that was cut short. */
const isIgnored = (name: string): boolean =>
  name === "lost+found" || name === `${markerName}.tmp` || name.startsWith(lockName);

export interface DataMember {
  readonly name: string;
  readonly id: MemberId;
  /** It was added to a cluster that ran already, and began with an empty log. */
  readonly joined?: boolean;
  /** It was removed from the cluster: it does not run any more. */
  readonly removed?: boolean;
}

/** Whose data a directory holds. */
export interface DataMarker {
  readonly clusterId: bigint;
  /** The members that run on this directory, in any order. */
  readonly members: readonly DataMember[];
}

export type DataDirState =
  /** Does not exist, or holds nothing: free to claim. */
  | { readonly kind: "empty" }
  /** `complete` is false when the process that made it was cut short; then no member ever ran. */
  | { readonly kind: "ours"; readonly marker: DataMarker; readonly complete: boolean };

export interface ClaimedDataDir {
  readonly path: string;
  readonly marker: DataMarker;
  /** True when this claim made it. */
  readonly isNew: boolean;
  /** Begins another life of a member, durably. @throws {DataDirError} */
  boot(id: MemberId): Promise<MemberBoot>;
  /** Another member lives here from now on, durably. @throws {DataDirError} */
  enlist(member: DataMember): Promise<void>;
  /** A member of this directory is one no more; its files stay. @throws {DataDirError} */
  retire(id: MemberId): Promise<void>;
  /** Gives the directory up to other processes; a process that dies gives it up as well. */
  release(): Promise<void>;
}

/** One life of a member. */
export interface MemberBoot {
  /**
   * Unsigned 48 bits, above that of any earlier life. It follows the clock, in milliseconds: a member
   * whose directory was lost must not take its own old batches, still in the others' logs, for new ones.
   */
  readonly incarnation: number;
  /** The incarnation with which this directory began: another directory of the member has another. */
  readonly birth: number;
  readonly logDirectory: string;
  readonly storeDirectory: string;
  /**
   * False once `markStarted` was called in any life: a missing log is then a loss, not a beginning.
   */
  readonly mayCreate: boolean;
  /** To be called when log and store have been opened, before the member says anything. */
  markStarted(): Promise<void>;
}

interface Identity {
  /** Of the last life; 0 before the first. */
  readonly incarnation: number;
  /** 0 before the first life. */
  readonly birth: number;
  readonly started: boolean;
}

const unborn: Identity = { incarnation: 0, birth: 0, started: false };

/**
 * Looks at a directory without changing anything.
 *
 * @throws {DataDirError} foreign, format, damaged or io.
 */
export async function inspectDataDir(directory: string): Promise<DataDirState> {
  const names = await namesIn(directory);
  if (names.includes(markerName)) {
    return { kind: "ours", ...(await readMarker(directory)) };
  }
  const foreign = names.find((name) => !isIgnored(name));
  if (foreign === undefined) return { kind: "empty" };
  throw new DataDirError({ kind: "foreign", directory, found: foreign });
}

/**
 * Takes the directory for this process, and makes it if need be.
 *
 * @throws {DataDirError} as `inspectDataDir`, and when it is in use, or holds another cluster or other
 *         members; nothing in it was changed then.
 */
export async function claimDataDir(
  directory: string,
  marker: DataMarker,
  epochMs: () => number = Date.now,
): Promise<ClaimedDataDir> {
  const absolute = path.resolve(directory);
  checkMarker(absolute, await inspectDataDir(absolute), marker);
  await makeDirectory(absolute);
  const lock = await lockDirectory(absolute);
  try {
    // Another process may have come first between the look and the lock.
    const state = await inspectDataDir(absolute);
    checkMarker(absolute, state, marker);
    const isNew = state.kind === "empty" || !state.complete;
    await restrict(absolute);
    if (isNew) await lay(absolute, marker);
    return new DataDir(absolute, { marker, isNew, lock, epochMs });
  } catch (error) {
    await lock.release();
    throw DataDirError.from(absolute, error);
  }
}

class DataDir implements ClaimedDataDir {
  readonly path: string;
  readonly isNew: boolean;
  #marker: DataMarker;
  readonly #lock: DataDirLock;
  readonly #epochMs: () => number;
  /** By member, the last change of its identity: the next one begins behind it. */
  readonly #changes = new Map<MemberId, Promise<unknown>>();

  constructor(
    directory: string,
    parts: { marker: DataMarker; isNew: boolean; lock: DataDirLock; epochMs: () => number },
  ) {
    this.path = directory;
    this.#marker = parts.marker;
    this.isNew = parts.isNew;
    this.#lock = parts.lock;
    this.#epochMs = parts.epochMs;
  }

  async boot(id: MemberId): Promise<MemberBoot> {
    const directory = memberDirectory(this.path, id);
    const nowMs = this.#epochMs();
    const { incarnation, birth, started } = await this.#change(id, (before) => {
      const next = Math.max(before.incarnation + 1, nowMs);
      return { ...before, incarnation: next, birth: before.birth || next };
    });
    return {
      incarnation,
      birth,
      logDirectory: path.join(directory, "log"),
      storeDirectory: path.join(directory, "store"),
      mayCreate: !started,
      markStarted: async () => {
        if (!started) await this.#change(id, (before) => ({ ...before, started: true }));
      },
    };
  }

  get marker(): DataMarker {
    return this.#marker;
  }

  async enlist(member: DataMember): Promise<void> {
    const directory = memberDirectory(this.path, member.id);
    try {
      // As at the beginning: the identity first, so that one that is missing later was lost.
      await fs.mkdir(directory, { recursive: true, mode: 0o700 });
      await writeIdentity(directory, unborn);
    } catch (error) {
      throw DataDirError.from(directory, error);
    }
    await this.#remark([...this.#marker.members, member]);
  }

  async retire(id: MemberId): Promise<void> {
    await this.#remark(
      this.#marker.members.map((one) => (one.id === id ? { ...one, removed: true } : one)),
    );
  }

  release(): Promise<void> {
    return this.#lock.release();
  }

  async #remark(members: readonly DataMember[]): Promise<void> {
    this.#marker = { ...this.#marker, members };
    try {
      await writeMarker(this.path, this.#marker, true);
    } catch (error) {
      throw DataDirError.from(this.path, error);
    }
  }

  // One at a time, each from what the one before left: a life that ends early may still be marking its
  // start when the next one counts its boot, and no boot may be counted twice.
  #change(id: MemberId, alter: (before: Identity) => Identity): Promise<Identity> {
    const directory = memberDirectory(this.path, id);
    const change = async (): Promise<Identity> => {
      try {
        const identity = alter(await readIdentity(directory));
        await writeIdentity(directory, identity);
        return identity;
      } catch (error) {
        throw DataDirError.from(directory, error);
      }
    };
    const changed = (this.#changes.get(id) ?? Promise.resolve()).then(change, change);
    this.#changes.set(id, changed);
    return changed;
  }
}

function checkMarker(directory: string, state: DataDirState, want: DataMarker): void {
  if (state.kind === "empty") return;
  const { clusterId, members } = state.marker;
  if (clusterId !== want.clusterId) {
    const found = hexOf(clusterId);
    throw new DataDirError({ kind: "otherCluster", directory, found, want: hexOf(want.clusterId) });
  }
  const found = describeMembers(members);
  const wanted = describeMembers(want.members);
  if (found !== wanted) {
    throw new DataDirError({ kind: "otherMembers", directory, found, want: wanted });
  }
}

const describeMembers = (members: readonly DataMember[]): string =>
  members
    .map(({ name, id }) => `${name}=${hexOf(id)}`)
    .sort()
    .join(",");

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await fs.readdir(directory);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw DataDirError.from(directory, error);
  }
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    await fs.mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw DataDirError.from(directory, error);
  }
}

// A mounted volume may belong to someone else; the members' own folders inside are 0700 anyway.
async function restrict(directory: string): Promise<void> {
  try {
    await fs.chmod(directory, 0o700);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EPERM") return;
    throw error;
  }
}

async function readMarker(
  directory: string,
): Promise<{ readonly marker: DataMarker; readonly complete: boolean }> {
  const file = path.join(directory, markerName);
  const json = await readJson(file);
  const format = json?.format;
  if (typeof format !== "number") throw new DataDirError({ kind: "damaged", file });
  if (format !== dataFormatVersion) {
    throw new DataDirError({ kind: "format", directory, found: format, want: dataFormatVersion });
  }
  const clusterId = idOf(json?.clusterId);
  const members = json?.members;
  if (clusterId === undefined || !Array.isArray(members)) {
    throw new DataDirError({ kind: "damaged", file });
  }
  const marker = { clusterId, members: members.map((member) => readMember(file, member)) };
  return { marker, complete: json?.complete === true };
}

function readMember(file: string, member: unknown): DataMember {
  if (typeof member === "object" && member !== null && "name" in member && "id" in member) {
    const id = idOf(member.id);
    if (typeof member.name === "string" && id !== undefined) {
      const joined = "joined" in member && member.joined === true;
      const removed = "removed" in member && member.removed === true;
      const flags = { ...(joined && { joined }), ...(removed && { removed }) };
      return { name: member.name, id: MemberId(id), ...flags };
    }
  }
  throw new DataDirError({ kind: "damaged", file });
}

// Every member gets its identity before the marker says complete: one that is missing later was lost,
// and with it the promises of that member.
async function lay(directory: string, marker: DataMarker): Promise<void> {
  await writeMarker(directory, marker, false);
  for (const { id } of marker.members) {
    await fs.mkdir(memberDirectory(directory, id), { recursive: true, mode: 0o700 });
    await writeIdentity(memberDirectory(directory, id), unborn);
  }
  await writeMarker(directory, marker, true);
}

async function writeMarker(
  directory: string,
  marker: DataMarker,
  complete: boolean,
): Promise<void> {
  const members = marker.members.map(({ name, id, joined, removed }) => {
    return { name, id: hexOf(id), ...(joined && { joined }), ...(removed && { removed }) };
  });
  const clusterId = hexOf(marker.clusterId);
  const json = { format: dataFormatVersion, complete, clusterId, members };
  await writeJson(path.join(directory, markerName), json);
}

async function readIdentity(directory: string): Promise<Identity> {
  const file = path.join(directory, identityName);
  const json = await readJson(file);
  // A directory of an earlier version does not name its birth.
  const { incarnation, birth = 0, started } = json ?? {};
  if (!isIncarnation(incarnation) || !isIncarnation(birth) || typeof started !== "boolean") {
    throw new DataDirError({ kind: "damaged", file });
  }
  return { incarnation, birth, started };
}

const isIncarnation = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

async function writeIdentity(directory: string, identity: Identity): Promise<void> {
  await writeJson(path.join(directory, identityName), { ...identity });
}

/** Where a member of a data directory has its files. */
export const memberDirectory = (directory: string, id: MemberId): string =>
  path.join(directory, `member-${hexOf(id)}`);

const hexOf = (id: bigint): string => id.toString(16).padStart(16, "0");

function idOf(text: unknown): bigint | undefined {
  return typeof text === "string" && /^[0-9a-f]{16}$/.test(text) ? BigInt(`0x${text}`) : undefined;
}
