// LogDisk on real files. A file gets its name only when its contents are durable.
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import type { LogDisk, SegmentFile } from "./logDisk.ts";

/** Zeros are written in pieces, and synced every so often, to leave other syncs some of the disk. */
const pieceBytes = 1024 * 1024;
const piecesPerSync = 4;
const unfinished = ".tmp";
const zeros = Buffer.alloc(pieceBytes);

interface Spare {
  readonly fd: number;
  readonly bytes: number;
}

export class FsLogDisk implements LogDisk {
  readonly #directory: string;
  /** Its own, as another disk on the directory may come before this one's last spare is gone. */
  readonly #spareName = `spare-${randomBytes(4).toString("hex")}${unfinished}`;
  #spare: Spare | undefined;
  #preparing = false;
  #closed = false;

  /** Makes the directory if need be, and removes what an earlier run left unfinished. */
  constructor(directory: string) {
    this.#directory = directory;
    if (fs.mkdirSync(directory, { recursive: true, mode: 0o700 }))
      syncDirectory(path.dirname(directory));
    for (const name of fs.readdirSync(directory)) {
      if (name.endsWith(unfinished)) fs.unlinkSync(this.#path(name));
    }
  }

  list(): readonly string[] {
    return fs.readdirSync(this.#directory).filter((name) => !name.endsWith(unfinished));
  }

  open(name: string): SegmentFile {
    const fd = fs.openSync(this.#path(name), "r+");
    return new FsSegmentFile(name, fd, fs.fstatSync(fd).size);
  }

  create(name: string, head: Uint8Array, bytes: number): SegmentFile {
    const spare = this.#takeSpare(bytes);
    const temporary = this.#path(spare ? this.#spareName : name + unfinished);
    const fd = spare ? spare.fd : fs.openSync(temporary, "w+", 0o600);
    try {
      if (!spare) fillNow(fd, bytes);
      writeAll(fd, head, head.length, 0);
      fs.fsyncSync(fd);
      fs.renameSync(temporary, this.#path(name));
      syncDirectory(this.#directory);
    } catch (error) {
      fs.closeSync(fd);
      fs.rmSync(temporary, { force: true });
      throw error;
    }
    return new FsSegmentFile(name, fd, bytes);
  }

  prepare(bytes: number, done: (error: Error | undefined) => void): void {
    if (this.#preparing || this.#spare) {
      setImmediate(done, undefined);
      return;
    }
    this.#preparing = true;
    const file = this.#path(this.#spareName);
    fs.open(file, "w+", 0o600, (error, fd) => {
      if (error) {
        this.#prepared(error, undefined, done);
        return;
      }
      const fill = new Fill(fd, bytes, (failed) => {
        this.#prepared(failed, { fd, bytes }, done);
      });
      fill.step(() => this.#closed);
    });
  }

  rename(from: string, to: string): void {
    fs.renameSync(this.#path(from), this.#path(to));
    syncDirectory(this.#directory);
  }

  remove(name: string): void {
    fs.unlinkSync(this.#path(name));
    syncDirectory(this.#directory);
  }

  close(): void {
    this.#closed = true;
    this.#dropSpare(this.#spare);
    this.#spare = undefined;
  }

  #prepared(
    error: Error | undefined,
    spare: Spare | undefined,
    done: (error: Error | undefined) => void,
  ): void {
    this.#preparing = false;
    if (error || this.#closed) this.#dropSpare(spare);
    else this.#spare = spare;
    done(error);
  }

  #takeSpare(bytes: number): Spare | undefined {
    const spare = this.#spare;
    if (spare?.bytes !== bytes) return undefined;
    this.#spare = undefined;
    return spare;
  }

  #dropSpare(spare: Spare | undefined): void {
    if (!spare) return;
    fs.closeSync(spare.fd);
    fs.rmSync(this.#path(this.#spareName), { force: true });
  }

  #path(name: string): string {
    return path.join(this.#directory, name);
  }
}

class FsSegmentFile implements SegmentFile {
  readonly name: string;
  readonly bytes: number;
  readonly #fd: number;
  #syncing = 0;
  #closed = false;

  constructor(name: string, fd: number, bytes: number) {
    this.name = name;
    this.bytes = bytes;
    this.#fd = fd;
  }

  read(into: Uint8Array, offset: number): number {
    let got = 0;
    while (got < into.length) {
      const count = fs.readSync(this.#fd, into, got, into.length - got, offset + got);
      if (count === 0) break;
      got += count;
    }
    return got;
  }

  write(from: Uint8Array, count: number, offset: number): void {
    writeAll(this.#fd, from, count, offset);
  }

  syncNow(): void {
    fs.fdatasyncSync(this.#fd);
  }

  sync(done: (error: Error | undefined) => void): void {
    this.#syncing++;
    fs.fdatasync(this.#fd, (error) => {
      this.#syncing--;
      if (this.#closed && this.#syncing === 0) fs.closeSync(this.#fd);
      done(error ?? undefined);
    });
  }

  // The number of a closed file may be given to another one, so a sync must not outlive it.
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#syncing === 0) fs.closeSync(this.#fd);
  }
}

/** Fills a file with zeros, one piece per turn of the pool. */
class Fill {
  readonly #fd: number;
  readonly #bytes: number;
  readonly #done: (error: Error | undefined) => void;
  #written = 0;
  #pieces = 0;

  constructor(fd: number, bytes: number, done: (error: Error | undefined) => void) {
    this.#fd = fd;
    this.#bytes = bytes;
    this.#done = done;
  }

  step(isStopped: () => boolean): void {
    if (isStopped()) {
      this.#done(undefined);
      return;
    }
    if (this.#written === this.#bytes) {
      this.#sync(() => this.#done(undefined));
      return;
    }
    const count = Math.min(pieceBytes, this.#bytes - this.#written);
    fs.write(this.#fd, zeros, 0, count, this.#written, (error, written) => {
      if (error) {
        this.#done(error);
        return;
      }
      this.#written += written;
      this.#pieces++;
      const goOn = (): void => this.step(isStopped);
      if (this.#pieces % piecesPerSync === 0) this.#sync(goOn);
      else goOn();
    });
  }

  #sync(then: () => void): void {
    fs.fdatasync(this.#fd, (error) => {
      if (error) this.#done(error);
      else then();
    });
  }
}

function fillNow(fd: number, bytes: number): void {
  for (let offset = 0; offset < bytes; offset += pieceBytes) {
    writeAll(fd, zeros, Math.min(pieceBytes, bytes - offset), offset);
  }
}

function writeAll(fd: number, from: Uint8Array, count: number, offset: number): void {
  let written = 0;
  while (written < count) {
    written += fs.writeSync(fd, from, written, count - written, offset + written);
  }
}

/** Makes the names in a directory durable. */
export function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
