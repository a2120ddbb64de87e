// Stores of one member on disk: the one in use, and the one that is built beside it.
//
//   <member>/store/data.mdb, lock.mdb            in use
//   <member>/store.incoming-N/data.mdb, lock.mdb
//   <member>/store.incoming-N/complete.json      index and term of the moment; written when all rows are
//
// A commit or a replacement is one rename of data.mdb. What a crash leaves before and behind it, `incomingFate` decides.
import fs from "node:fs";
import path from "node:path";
import { assert } from "../base/assert.ts";
import type { ThreadGate } from "../base/threadGate.ts";
import type { EngineBatch, TableRow } from "./engine.ts";
import { writeJson } from "./jsonFile.ts";
import { LmdbEngine } from "./lmdb.ts";
import {
  dataName,
  markerName,
  prepareStore,
  type StoreBootOptions,
  takePlace,
} from "./lmdbBoot.ts";
import { faultOf } from "./lmdbFault.ts";
import type { StoreOwner } from "./lmdbOwner.ts";
import type { IncomingStore, StoreHome, StoreMoment } from "./storeHome.ts";

/** Where tests let a process die, in this order. */
export type HomeStep =
  | ("begun" | "synced" | "finished")
  | ("closed" | "renamed" | "opened" | "removed");

export interface LmdbHomeOptions extends StoreBootOptions {
  readonly mapBytes: number;
  readonly owner: StoreOwner;
  readonly gate?: ThreadGate;
  readonly onStep?: (step: HomeStep) => void;
}

type Done = (error: Error | undefined) => void;
type SwapKind = "commit" | "replace";

/** @throws {EngineFault} when the store is another's, cannot be opened, or is lost for good. */
export function openLmdbHome(options: LmdbHomeOptions): LmdbStoreHome {
  let isChecked = false;
  try {
    isChecked = prepareStore(options);
  } catch (error) {
    throw faultOf(error, options.directory);
  }
  return new LmdbStoreHome(options, new LmdbEngine({ ...options, isChecked }));
}

export class LmdbStoreHome implements StoreHome {
  readonly #options: LmdbHomeOptions;
  #engine: LmdbEngine;
  #incoming: LmdbIncoming | undefined;
  #nextNumber = 1;
  #dead = false;
  /** Ends of abandoned stores, and files that are let go of on the pool. */
  readonly #endings = new Set<Promise<void>>();

  /** Use `openLmdbHome`. */
  constructor(options: LmdbHomeOptions, engine: LmdbEngine) {
    this.#options = options;
    this.#engine = engine;
  }

  get engine(): LmdbEngine {
    return this.#engine;
  }

  begin(): IncomingStore {
    assert(this.#incoming === undefined, "one incoming store at a time");
    const { directory, mapBytes, owner, gate, onStep } = this.#options;
    const number = this.#nextNumber++;
    const place = `${directory}.incoming-${number}`;
    const incoming = new LmdbIncoming(
      { directory: place, mapBytes, owner, onStep, ...(gate && { gate }) },
      path.join(directory, dataName),
      {
        swap: (kind, done) => this.#swap(incoming, kind, done),
        onAbandon: () => {
          this.#incoming = undefined;
          this.#await(incoming.remove());
        },
      },
    );
    this.#incoming = incoming;
    return incoming;
  }

  async close(): Promise<void> {
    this.#dead = true;
    await this.#incoming?.close();
    await this.#engine.close();
    await Promise.all(this.#endings);
  }

  #swap(incoming: LmdbIncoming, kind: SwapKind, done: Done): void {
    setImmediate(() => this.#engine.whenIdle(() => this.#swapNow(incoming, kind, done)));
  }

  // Without a turn in between: nobody may find the old engine closed and the new one not there.
  #swapNow(incoming: LmdbIncoming, kind: SwapKind, done: Done): void {
    if (this.#dead) return;
    const { directory, onStep } = this.#options;
    const rename = (): void => {
      onStep?.("closed");
      takePlace(incoming.directory, directory);
      onStep?.("renamed");
    };
    try {
      incoming.engine.closeNow();
      if (kind === "replace") this.#engine.reopen(rename);
      else {
        this.#engine.closeNow();
        rename();
        this.#engine = new LmdbEngine(this.#options);
      }
      onStep?.("opened");
      this.#incoming = undefined;
      removeQuietly(incoming.directory);
      onStep?.("removed");
      this.#await(incoming.close());
    } catch (error) {
      done(faultOf(error, directory));
      return;
    }
    done(undefined);
  }

  // What cannot be removed now is removed by the next start.
  #await(ending: Promise<void>): void {
    const forget = (): void => void this.#endings.delete(ended);
    const ended: Promise<void> = ending.then(forget, forget);
    this.#endings.add(ended);
  }
}

/** What the incoming store asks of its home. */
interface Owner {
  swap(kind: SwapKind, done: Done): void;
  onAbandon(): void;
}

class LmdbIncoming implements IncomingStore {
  readonly directory: string;
  readonly engine: LmdbEngine;
  readonly #home: Owner;
  readonly #oldPath: string;
  /** From when all rows are there until the old file has lost its place. */
  #oldFile: fs.promises.FileHandle | undefined;
  readonly #onStep: ((step: HomeStep) => void) | undefined;
  #step: "open" | "busy" | "finished" | "committing" | "gone" = "open";
  #finishing: Promise<void> = Promise.resolve();

  constructor(
    options: {
      directory: string;
      mapBytes: number;
      owner: StoreOwner;
      gate?: ThreadGate;
      onStep: ((step: HomeStep) => void) | undefined;
    },
    oldPath: string,
    home: Owner,
  ) {
    this.#oldPath = oldPath;
    this.directory = options.directory;
    this.#onStep = options.onStep;
    this.#home = home;
    this.engine = new LmdbEngine(options);
    this.#onStep?.("begun");
  }

  add(rows: readonly TableRow[], done: Done): void {
    this.change({ puts: rows, deletes: [] }, done);
  }

  change(batch: EngineBatch, done: Done): void {
    assert(this.#step === "open", "one step at a time");
    this.#step = "busy";
    this.engine.submit(batch, (error) => {
      if (this.#step === "gone") return;
      this.#step = "open";
      done(error);
    });
  }

  finish(at: StoreMoment, done: Done): void {
    assert(this.#step === "open", "one step at a time");
    this.#step = "busy";
    this.#finishing = this.#finish(at).then(
      () => this.#finished("finished", () => done(undefined)),
      (error: unknown) => this.#finished("busy", () => done(faultOf(error, this.directory))),
    );
  }

  commit(done: Done): void {
    this.#swap("commit", done);
  }

  replace(done: Done): void {
    this.#swap("replace", done);
  }

  abandon(): void {
    if (this.#step === "gone") return;
    assert(this.#step !== "committing", "a commit cannot be undone");
    this.#step = "gone";
    this.#home.onAbandon();
  }

  /** Stays on disk as it is. */
  async close(): Promise<void> {
    this.#step = "gone";
    await this.#finishing;
    await this.#oldFile?.close();
    await this.engine.close();
  }

  async remove(): Promise<void> {
    await this.close();
    await fs.promises.rm(this.directory, { recursive: true, force: true });
  }

  #swap(kind: SwapKind, done: Done): void {
    assert(this.#step === "finished", "only what is finished takes the place");
    this.#step = "committing";
    this.#home.swap(kind, done);
  }

  // The environment leaves its last meta page to the next sync (noMetaSync): here it is.
  async #finish({ index, term }: StoreMoment): Promise<void> {
    // Kept open, the old file is not taken apart within the rename; that may take long. And what fails
    // here is refused; a swap that fails is the end of the member.
    this.#oldFile = await fs.promises.open(this.#oldPath, "r");
    const file = await fs.promises.open(path.join(this.directory, dataName), "r");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    this.#onStep?.("synced");
    await writeJson(path.join(this.directory, markerName), { index, term });
    await fs.promises.open(path.dirname(this.directory), "r").then(syncAndClose);
    this.#onStep?.("finished");
  }

  #finished(step: "finished" | "busy", tell: () => void): void {
    // Out of the promise: what `done` throws must reach the thread as any other mistake.
    setImmediate(() => {
      if (this.#step === "gone") return;
      this.#step = step;
      tell();
    });
  }
}

// The next start removes it.
function removeQuietly(directory: string): void {
  try {
    fs.rmSync(directory, { recursive: true, force: true });
  } catch {
    return;
  }
}

async function syncAndClose(directory: fs.promises.FileHandle): Promise<void> {
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
