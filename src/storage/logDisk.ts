// LogDisk port: the few file operations that the log needs. diskFs.ts does them for real.

export interface LogDisk {
  /** Names of the files made by `create` and not removed since, in any order. */
  list(): readonly string[];
  /** @throws {Error} when it cannot be read. */
  open(name: string): SegmentFile;
  /**
   * A new file of `bytes` zeros behind `head`; its contents and its name are durable on return.
   * Uses the spare file when its length fits, so that this seldom writes much.
   * @throws {Error} with code ENOSPC when the disk is full; then nothing was created.
   */
  create(name: string, head: Uint8Array, bytes: number): SegmentFile;
  /**
   * Makes the spare file in the background, unless there is one. `done` is called in a later turn.
   */
  prepare(bytes: number, done: (error: Error | undefined) => void): void;
  /** Another name for a file, in place of one that has it; durable on return. */
  rename(from: string, to: string): void;
  /** @throws {Error} when it cannot be removed. A crash may bring the file back. */
  remove(name: string): void;
  /** Gives up the spare file. */
  close(): void;
}

export interface SegmentFile {
  readonly name: string;
  readonly bytes: number;
  /** Fills `into` from `offset`. @returns the count of bytes read, less only at the end. */
  read(into: Uint8Array, offset: number): number;
  /** Writes the first `count` bytes of `from`; not durable yet. @throws {Error} unless all went. */
  write(from: Uint8Array, count: number, offset: number): void;
  /** All writes so far become durable, blocking. @throws {Error} on failure. */
  syncNow(): void;
  /** All writes so far become durable; `done` is called in a later turn. */
  sync(done: (error: Error | undefined) => void): void;
  /** A sync under way is finished first, in the background. */
  close(): void;
}
