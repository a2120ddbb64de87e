// LogDisk in memory that outlives its thread: segments are shared buffers that main keeps. A member
// without a data directory so remembers, over a crash of its thread, what it promised to its peers.
import type { LogDisk, SegmentFile } from "./logDisk.ts";

/** Files by name. Main holds one for each member and gives it to every life of the thread. */
export type SharedFiles = Map<string, SharedArrayBuffer>;

export interface SharedDiskHooks {
  /** Main must keep this file before anything that is in it is answered for. */
  onCreate(name: string, buffer: SharedArrayBuffer): void;
  onRemove(name: string): void;
  /** Runs the function in a later turn. */
  defer(run: () => void): void;
}

export class SharedDisk implements LogDisk {
  readonly #files: SharedFiles;
  readonly #hooks: SharedDiskHooks;

  constructor(files: SharedFiles, hooks: SharedDiskHooks) {
    this.#files = files;
    this.#hooks = hooks;
  }

  list(): readonly string[] {
    return [...this.#files.keys()];
  }

  open(name: string): SegmentFile {
    const buffer = this.#files.get(name);
    if (buffer === undefined) throw Object.assign(new Error(`no file ${name}`), { code: "ENOENT" });
    return new SharedSegment(name, buffer, this.#hooks);
  }

  create(name: string, head: Uint8Array, bytes: number): SegmentFile {
    const buffer = new SharedArrayBuffer(bytes);
    new Uint8Array(buffer).set(head);
    this.#files.set(name, buffer);
    this.#hooks.onCreate(name, buffer);
    return new SharedSegment(name, buffer, this.#hooks);
  }

  /** Memory needs no preparation. */
  prepare(_bytes: number, _done: (error: Error | undefined) => void): void {}

  rename(from: string, to: string): void {
    const buffer = this.#files.get(from);
    if (buffer === undefined) return;
    this.#files.set(to, buffer);
    this.#hooks.onCreate(to, buffer);
    this.remove(from);
  }

  remove(name: string): void {
    if (this.#files.delete(name)) this.#hooks.onRemove(name);
  }

  close(): void {}
}

class SharedSegment implements SegmentFile {
  readonly name: string;
  readonly bytes: number;
  readonly #memory: Uint8Array;
  readonly #hooks: SharedDiskHooks;

  constructor(name: string, buffer: SharedArrayBuffer, hooks: SharedDiskHooks) {
    this.name = name;
    this.bytes = buffer.byteLength;
    this.#hooks = hooks;
    this.#memory = new Uint8Array(buffer);
  }

  read(into: Uint8Array, offset: number): number {
    const from = this.#memory.subarray(offset, offset + into.length);
    into.set(from);
    return from.length;
  }

  write(from: Uint8Array, count: number, offset: number): void {
    this.#memory.set(from.subarray(0, count), offset);
  }

  /** A write to shared memory is as durable as it will ever be. */
  syncNow(): void {}

  sync(done: (error: Error | undefined) => void): void {
    this.#hooks.defer(() => done(undefined));
  }

  close(): void {}
}
