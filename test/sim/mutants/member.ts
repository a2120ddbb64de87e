// Bugs between consensus and callers: repeats, answers, the order of writing and telling.
import { lined } from "./corners.ts";
import type { Mutant } from "./mutant.ts";

export const memberMutants: readonly Mutant[] = [
  {
    name: "what promises durability leaves with the write, not behind it",
    trap: "own",
    file: "src/member/pump.ts",
    find: `    this.#unsaved.push(unsaved);`,
    replace: `    this.#outbox.add(unsaved.afterPersist.splice(0));\n    this.#unsaved.push(unsaved);`,
  },
  {
    name: "a promise without a write does not wait for the write before it",
    trap: "own",
    file: "src/member/pump.ts",
    find: `      if (last === undefined) this.#outbox.add`,
    replace: `      if (last !== undefined || this.#unsaved.length === 0) this.#outbox.add`,
  },
  {
    name: "a batch that is proposed twice is applied twice",
    trap: "own",
    file: "src/apply/origins.ts",
    find: `if (last !== undefined && !isNewer(origin, last)) return false;`,
    replace: `if (last !== undefined && isNewer(last, last)) return false;`,
  },
  {
    name: "a batch that was overtaken counts as new",
    trap: "own",
    file: "src/apply/origins.ts",
    find: `  return origin.sequence > last.sequence;`,
    replace: `  return origin.sequence !== last.sequence;`,
  },
  {
    name: "a batch is sent again under another sequence",
    trap: "own",
    file: "src/member/pending.ts",
    find: `      batch.sentTick = this.#tick;
      batch.resendTicks *= 2;`,
    replace: `      this.#waiting.delete(batch.sequence);
      batch.sequence = ++this.#sequence;
      batch.data = restampBatch(batch.data, batch.sequence);
      this.#waiting.set(batch.sequence, batch);
      batch.sentTick = this.#tick;
      batch.resendTicks *= 2;`,
  },
  {
    name: "every life of a member numbers its batches alike",
    trap: "own",
    file: "src/member/pending.ts",
    find: `    this.#incarnation = options.incarnation;`,
    replace: `    this.#incarnation = Math.min(1, options.incarnation);`,
  },
  {
    name: "outcomes go to the callers in reverse",
    trap: "own",
    file: "src/member/pending.ts",
    find: `    const outcome = outcomes[i];`,
    replace: `    const outcome = outcomes[outcomes.length - 1 - i];`,
  },
  {
    name: "a batch of another life is answered",
    trap: "own",
    file: "src/member/pending.ts",
    find: `if (origin.member !== this.#self || origin.incarnation !== this.#incarnation) return undefined;`,
    replace: `if (origin.member !== this.#self) return undefined;`,
  },
  {
    name: "a batch of another member is answered",
    trap: "own",
    file: "src/member/pending.ts",
    find: `if (origin.member !== this.#self || origin.incarnation !== this.#incarnation) return undefined;`,
    replace: `if (origin.incarnation !== this.#incarnation) return undefined;`,
  },
  {
    name: "late batches are never refused",
    trap: "own",
    file: "src/member/pending.ts",
    find: `    return this.#tick - bornTick >= this.#waitTicksMax;`,
    replace: `    return this.#tick - bornTick >= 100 * this.#waitTicksMax;`,
  },
  {
    name: "a lock is handed out without asking whether its lease is over",
    trap: "lock handed out although its lease had expired",
    file: "src/api/line.ts",
    find: `    else if (this.#hasWaited) this.#confirm(place);\n`,
    replace: ``,
    focus: lined,
  },
];
