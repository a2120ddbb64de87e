// The StoreHome contract in memory. A crash forgets what was not done.
import { assert } from "../base/assert.ts";
import type { TableRow } from "./engine.ts";
import { MemoryEngine, type MemoryEngineOptions } from "./memory.ts";
import { type IncomingStore, incomingFate, type StoreHome, type StoreMoment } from "./storeHome.ts";

type Done = (error: Error | undefined) => void;

export class MemoryStoreHome implements StoreHome {
  readonly #options: MemoryEngineOptions;
  #engine: MemoryEngine;
  #incoming: MemoryIncoming | undefined;
  #dead = false;

  constructor(options: MemoryEngineOptions, engine: MemoryEngine = new MemoryEngine(options)) {
    this.#options = options;
    this.#engine = engine;
  }

  get engine(): MemoryEngine {
    return this.#engine;
  }

  begin(): IncomingStore {
    assert(this.#incoming === undefined, "one incoming store at a time");
    const incoming = new MemoryIncoming(this.#options, {
      swap: (engine, done) => this.#swap(engine, done),
      onAbandon: () => {
        this.#incoming = undefined;
      },
    });
    this.#incoming = incoming;
    return incoming;
  }

  /** What a restart finds after a crash. This home is dead from then on. */
  afterCrash(logBase: StoreMoment): MemoryStoreHome {
    this.#dead = true;
    const finished = this.#incoming?.finished;
    const incoming = this.#incoming?.die();
    const engine = this.#engine.afterCrash();
    const isTaken = incomingFate(finished, logBase) === "take";
    return new MemoryStoreHome(this.#options, isTaken ? incoming : engine);
  }

  close(): Promise<void> {
    this.#dead = true;
    this.#incoming?.die();
    return this.#engine.close();
  }

  #swap(engine: MemoryEngine, done: Done): void {
    this.#options.defer(() => {
      this.#engine.whenIdle(() => {
        if (this.#dead) return;
        this.#engine.closeNow();
        this.#engine = engine;
        this.#incoming = undefined;
        done(undefined);
      });
    });
  }
}

class MemoryIncoming implements IncomingStore {
  readonly #options: MemoryEngineOptions;
  readonly #engine: MemoryEngine;
  readonly #home: { swap(engine: MemoryEngine, done: Done): void; onAbandon(): void };
  #step: "open" | "busy" | "finished" | "committing" | "gone" = "open";
  #finished: StoreMoment | undefined;

  constructor(
    options: MemoryEngineOptions,
    home: { swap(engine: MemoryEngine, done: Done): void; onAbandon(): void },
  ) {
    this.#options = options;
    this.#engine = new MemoryEngine(options);
    this.#home = home;
  }

  get finished(): StoreMoment | undefined {
    return this.#finished;
  }

  add(rows: readonly TableRow[], done: Done): void {
    assert(this.#step === "open", "one step at a time");
    this.#step = "busy";
    this.#engine.submit({ puts: rows, deletes: [] }, (error) => {
      if (this.#step === "gone") return;
      this.#step = "open";
      done(error);
    });
  }

  finish(at: StoreMoment, done: Done): void {
    assert(this.#step === "open", "one step at a time");
    this.#step = "busy";
    this.#options.defer(() => {
      if (this.#step === "gone") return;
      this.#step = "finished";
      this.#finished = at;
      done(undefined);
    });
  }

  commit(done: Done): void {
    assert(this.#step === "finished", "only what is finished takes the place");
    this.#step = "committing";
    this.#home.swap(this.#engine, done);
  }

  abandon(): void {
    if (this.#step === "gone") return;
    assert(this.#step !== "committing", "a commit cannot be undone");
    this.#step = "gone";
    this.#home.onAbandon();
  }

  /** What a crash leaves of it. */
  die(): MemoryEngine {
    this.#step = "gone";
    return this.#engine.afterCrash();
  }
}
