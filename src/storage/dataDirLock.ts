// One process at a time per data directory, and none after kill -9.
//
// On Linux the lock is the name of an abstract socket, on Windows that of a pipe: binding is atomic,
// and the kernel frees the name with the process. Both name the directory by device and inode, so
// that two paths to it are one. Linux keeps such names per network namespace: containers that share a
// volume are told apart only by the network they are in. Elsewhere the lock is a file that names the
// process; see `lockByFile`.
import { randomBytes } from "node:crypto";
import fs from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { DataDirError } from "./dataDirError.ts";

export interface DataDirLock {
  release(): Promise<void>;
}

export type LockKind = "socket" | "file";

/** Also the start of the names of a lock in the making. */
export const lockName = ".quorlet.lock";

/**
 * @throws {DataDirError} inUse, or io.
 */
export async function lockDirectory(
  directory: string,
  kind: LockKind = process.platform === "linux" || process.platform === "win32" ? "socket" : "file",
): Promise<DataDirLock> {
  try {
    return kind === "socket" ? await lockBySocket(directory) : await lockByFile(directory);
  } catch (error) {
    throw DataDirError.from(directory, error);
  }
}

async function lockBySocket(directory: string): Promise<DataDirLock> {
  const { dev, ino } = await fs.stat(directory, { bigint: true });
  const prefix = process.platform === "win32" ? "\\\\.\\pipe\\" : "\0";
  const server = net.createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      const inUse = "code" in error && error.code === "EADDRINUSE";
      reject(inUse ? new DataDirError({ kind: "inUse", directory }) : error);
    });
    server.listen(`${prefix}quorlet-${dev}-${ino}`, resolve);
  });
  // The lock alone keeps no process alive.
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}

// 1. A file of our own that names this process is linked to the lock's name: atomic, fails if taken.
// 2. A lock whose process is gone is removed, by who has linked its file to a second name: one at a time,
//    so that nobody removes what another has just taken.
// Who dies between the two leaves the second name, which the next one removes and gives up.
async function lockByFile(directory: string): Promise<DataDirLock> {
  const unique = `${process.pid}.${randomBytes(6).toString("hex")}`;
  const own = path.join(directory, `${lockName}.${unique}.tmp`);
  const lock = path.join(directory, lockName);
  await fs.writeFile(own, unique, { mode: 0o600 });
  try {
    if (!(await link(own, lock)) && !(await takeStale(own, lock))) {
      throw new DataDirError({ kind: "inUse", directory });
    }
  } finally {
    await fs.rm(own, { force: true });
  }
  return { release: () => fs.rm(lock, { force: true }) };
}

/** @returns false when the lock is held, or somebody else takes it. */
async function takeStale(own: string, lock: string): Promise<boolean> {
  const taking = `${lock}.taking`;
  if (await isHeld(lock)) return false;
  if (!(await link(own, taking))) {
    if (!(await isHeld(taking))) await fs.rm(taking, { force: true });
    return false;
  }
  try {
    // It may have changed hands before this process was the one to look.
    if (await isHeld(lock)) return false;
    await fs.rm(lock, { force: true });
    return await link(own, lock);
  } finally {
    await fs.rm(taking, { force: true });
  }
}

/** False when `to` exists. */
async function link(from: string, to: string): Promise<boolean> {
  try {
    await fs.link(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/** True when the file names a process that lives. */
async function isHeld(file: string): Promise<boolean> {
  const text = await fs.readFile(file, "utf8").catch(() => "");
  const pid = Number(text.split(".")[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and belongs to someone else.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
