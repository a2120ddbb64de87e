// The StoreHome contract in memory. A crash forgets what was not done.
import { assert } from "../base/assert.ts";
import type { EngineBatch, TableRow } from "./engine.ts";
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
      swap: (done) => this.#whenIdle(() => this.#take(incoming.engine), done),
      replace: (done) => this.#whenIdle(() => this.#engine.adopt(incoming.engine), done),
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

  #whenIdle(act: () => void, done: Done): void {
    this.#options.defer(() => {
      this.#engine.whenIdle(() => {
        if (this.#dead) return;
        act();
        this.#incoming = undefined;
        done(undefined);
      });
    });
  }

  #take(engine: MemoryEngine): void {
    this.#engine.closeNow();
    this.#engine = engine;
  }
}

/** What the incoming store asks of its home. */
interface Owner {
  swap(done: Done): void;
  replace(done: Done): void;
  onAbandon(): void;
}

class MemoryIncoming implements IncomingStore {
  readonly #options: MemoryEngineOptions;
  readonly engine: MemoryEngine;
  readonly #home: Owner;
  #step: "open" | "busy" | "finished" | "committing" | "gone" = "open";
  #finished: StoreMoment | undefined;

  constructor(options: MemoryEngineOptions, home: Owner) {
    this.#options = options;
    this.engine = new MemoryEngine(options);
    this.#home = home;
  }

  get finished(): StoreMoment | undefined {
    return this.#finished;
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
    this.#options.defer(() => {
      if (this.#step === "gone") return;
      this.#step = "finished";
      this.#finished = at;
      done(undefined);
    });
  }

  commit(done: Done): void {
    this.#beginSwap();
    this.#home.swap(done);
  }

  replace(done: Done): void {
    this.#beginSwap();
    this.#home.replace(done);
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
    return this.engine.afterCrash();
  }

  #beginSwap(): void {
    assert(this.#step === "finished", "only what is finished takes the place");
    this.#step = "committing";
  }
}
