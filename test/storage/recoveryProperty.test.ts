// Random saves, truncations and crashes: what was acknowledged is never lost, and what comes back is
// always what the log was after one of its saves.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LogIndex } from "../../src/base/brand.ts";
import { Prng } from "../../src/base/prng.ts";
import { type DiskRaftLog, openRaftLog } from "../../src/storage/raftLog.ts";
import { segmentHeadBytes } from "../../src/storage/segment.ts";
import { FaultyDisk, sector } from "./faultyDisk.ts";
import { entries, hardState, membership, options, pictureOf } from "./logFixture.ts";

type Step =
  | {
      readonly kind: "save";
      readonly back: number;
      readonly count: number;
      readonly bytes: number;
      readonly newTerm: boolean;
    }
  | { readonly kind: "vote"; readonly vote: number }
  | { readonly kind: "snapshot"; readonly ahead: number }
  | { readonly kind: "compact"; readonly back: number }
  | { readonly kind: "completeSync" }
  | { readonly kind: "crash"; readonly seed: number; readonly lostOneIn: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("save" as const),
      back: fc.nat({ max: 4 }),
      count: fc.integer({ min: 1, max: 5 }),
      bytes: fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 1500 })),
      newTerm: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("vote" as const),
      vote: fc.integer({ min: 1, max: 9 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("snapshot" as const), ahead: fc.nat({ max: 20 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("compact" as const), back: fc.nat({ max: 5 }) }),
  },
  { weight: 4, arbitrary: fc.constant<Step>({ kind: "completeSync" }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("crash" as const),
      seed: fc.nat(),
      lostOneIn: fc.constantFrom(1, 2, 10),
    }),
  },
);

interface Picture {
  readonly log: string;
  readonly vote: string;
}

/** A log, the disk below it, and every state that it may come back to. */
class Run {
  #disk = new FaultyDisk();
  #log: DiskRaftLog;
  #term = 1;
  #saves = 0;
  /** States after each save since the last acknowledged one, which is first. */
  #states: { readonly id: number; readonly picture: Picture }[];
  readonly #sync: "inline" | "pooled";

  constructor(sync: "inline" | "pooled") {
    this.#sync = sync;
    this.#log = this.#open(true);
    this.#states = [{ id: 0, picture: this.#picture() }];
  }

  take(step: Step): void {
    switch (step.kind) {
      case "save": {
        if (step.newTerm) this.#term++;
        const from = Math.max(this.#log.firstIndex(), this.#log.lastIndex() + 1 - step.back);
        const write = {
          hardState: step.newTerm ? hardState(this.#term, 0n, 0) : undefined,
          entries: entries(from, from + step.count, this.#term, step.bytes),
        };
        this.#save(write);
        break;
      }
      case "vote":
        this.#save({ hardState: hardState(this.#term, BigInt(step.vote), 0), entries: [] });
        break;
      case "snapshot": {
        const index = LogIndex(this.#log.lastIndex() + step.ahead);
        const { term } = hardState(this.#term, 0n, 0);
        this.#save({ snapshot: { index, term, membership }, entries: [] });
        this.#acknowledgeAll();
        break;
      }
      case "compact": {
        const index = LogIndex(Math.max(0, this.#log.lastIndex() - step.back));
        const held = index > this.#log.base().index;
        this.#log.compact(index, membership);
        if (held) this.#acknowledgeAll();
        break;
      }
      case "completeSync":
        this.#disk.completeSync();
        break;
      case "crash":
        this.#crash(step.seed, step.lostOneIn);
        break;
    }
  }

  #save(write: Parameters<DiskRaftLog["save"]>[0]): void {
    const id = ++this.#saves;
    const durable = this.#log.save(write, true, (error) => {
      assert.equal(error, undefined);
      this.#acknowledge(id);
    });
    this.#states.push({ id, picture: this.#picture() });
    if (durable) this.#acknowledge(id);
  }

  #acknowledge(id: number): void {
    this.#states = this.#states.filter((state) => state.id >= id);
  }

  #acknowledgeAll(): void {
    this.#states = [{ id: this.#saves, picture: this.#picture() }];
  }

  #crash(seed: number, lostOneIn: number): void {
    const random = new Prng(seed);
    this.#disk = this.#disk.crash(() => !random.oneIn(lostOneIn));
    this.#log = this.#open(false);
    const found = this.#picture();
    // A vote may come back that was on its way behind the entries that do.
    const at = this.#states.findIndex(({ picture }) => picture.log === found.log);
    const allowed = this.#states.map(({ picture }) => `${picture.log} ${picture.vote}`);
    const why = `came back as\n${found.log} ${found.vote}\nnot one of\n${allowed.join("\n")}`;
    assert.ok(at >= 0, why);
    assert.ok(
      this.#states.slice(at).some(({ picture }) => picture.vote === found.vote),
      why,
    );
    this.#acknowledgeAll();
  }

  #open(mayCreate: boolean): DiskRaftLog {
    const segmentBytesMax = segmentHeadBytes + 12 * sector;
    const changed = { sync: this.#sync, mayCreate, segmentBytesMax, recentBytesMax: 1000 };
    return openRaftLog(options(this.#disk, changed));
  }

  // Without the commit, which a restart may move within its bounds.
  #picture(): Picture {
    const { state, ...log } = pictureOf(this.#log);
    const text = JSON.stringify(log, (_, value) =>
      typeof value === "bigint" ? `${value}` : value,
    );
    return { log: text, vote: `${state.vote} in term ${state.term}` };
  }
}

for (const sync of ["inline", "pooled"] as const) {
  test(`a crash never loses what was acknowledged: ${sync}`, () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
        const run = new Run(sync);
        for (const next of steps) run.take(next);
        run.take({ kind: "crash", seed: 1, lostOneIn: 2 });
      }),
      { numRuns: 1000 },
    );
  });
}
