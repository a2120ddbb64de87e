// What a client wants next: a few keys, every value unique, guards from what the client has seen.
import type { Prng } from "../../src/base/prng.ts";
import type { History } from "./checkers/history.ts";
import type { LoadOdds } from "./odds.ts";
import { type Action, type Guard, keysFrom, type Operation } from "./operation.ts";

interface Sight {
  readonly value: string | undefined;
  /** 0 for no pair. */
  readonly modified: number;
}

/** How far back a client looks. */
const pastRevisionsMax = 30;
const largeValueBytes = 4_000;

export class Intents {
  readonly keys: readonly string[];
  readonly #random: Prng;
  readonly #odds: LoadOdds;
  readonly #history: History;
  readonly #sights = new Map<string, Sight>();
  #lastValue = 0;
  #compacted = 0;

  constructor(random: Prng, odds: LoadOdds, history: History) {
    this.#random = random;
    this.#odds = odds;
    this.#history = history;
    this.keys = Array.from({ length: odds.keys }, (_, i) => `${keysFrom}${i}`);
  }

  /** Highest revision that anybody asked to compact. */
  get compacted(): number {
    return this.#compacted;
  }

  next(client: number): Action {
    const random = this.#random;
    if (random.oneIn(this.#odds.compact)) return this.#compact();
    const kind = random.integer(100);
    const key = this.#key();
    if (kind < 10) return { kind: "delete", key };
    if (kind < 12) return { kind: "clear", value: this.#value() };
    if (kind < 20) return this.#pair();
    if (kind < 36)
      return { kind: "swap", key, guard: this.#guard(client, key), value: this.#value() };
    if (kind < 60) return { kind: "get", key, serializable: random.oneIn(this.#odds.serializable) };
    if (kind < 68) return { kind: "list", serializable: random.oneIn(this.#odds.serializable) };
    if (kind < 72) return this.#old(key);
    return this.put();
  }

  /** The same intent once more; with a value of its own, as the first try may have happened. */
  again(action: Action): Action {
    return "value" in action ? { ...action, value: this.#value() } : action;
  }

  put(): Action {
    return { kind: "put", key: this.#key(), value: this.#value() };
  }

  /** What a client read, it may build upon. */
  learn(client: number, op: Operation): void {
    const { action, seen, revision } = op;
    if (seen === undefined || action.kind === "old") return;
    const keys = "key" in action ? [action.key] : this.keys;
    for (const key of keys) {
      const pair = this.#history.at(key, revision);
      const sight = { value: pair?.value, modified: pair?.modified ?? 0 };
      this.#sights.set(`${client} ${key}`, sight);
    }
  }

  #key(): string {
    return this.keys[this.#random.integer(this.keys.length)] ?? keysFrom;
  }

  #value(): string {
    this.#lastValue++;
    const value = `v${this.#lastValue}`;
    return this.#random.oneIn(this.#odds.large) ? value.padEnd(largeValueBytes, ".") : value;
  }

  #pair(): Action {
    const [a, b] = [this.#key(), this.#key()];
    return a === b ? this.put() : { kind: "pair", keys: [a, b], value: this.#value() };
  }

  #guard(client: number, key: string): Guard {
    const { value, modified } = this.#sights.get(`${client} ${key}`) ?? {
      value: undefined,
      modified: 0,
    };
    if (this.#random.oneIn(2)) return { kind: "mod", revision: modified, value };
    return value === undefined ? { kind: "absent" } : { kind: "value", value };
  }

  #old(key: string): Action {
    const revision = this.#history.latest - this.#random.integer(pastRevisionsMax);
    return { kind: "old", key, revision: Math.max(1, revision) };
  }

  #compact(): Action {
    const back = this.#random.integer(pastRevisionsMax);
    const revision = Math.max(1, this.#history.latest - back);
    this.#compacted = Math.max(this.#compacted, revision);
    return { kind: "compact", revision };
  }
}
