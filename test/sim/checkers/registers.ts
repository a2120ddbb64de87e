// Linearizability without revisions: each key is a register, and its operations must have an order that
// explains all answers (Wing and Gong, 1993; with the memo of Lowe, 2017). This judge knows nothing of
// revisions and nothing of the members, so it also finds a lie that all of those agree on.
import { describeOperation, type Operation } from "../operation.ts";
import { Violation } from "../violation.ts";

const name = "registers";
/** Orders looked at for one key; beyond these it is undecided, which is a failure. */
export const searchStepsMax = 1_000_000;

/** What an operation asks of a register and does to it; undefined is "no pair". */
export interface RegisterCall {
  readonly op: Operation;
  readonly callUs: number;
  /** Infinite without an answer: then it happened at some time after the call, or never. */
  readonly returnUs: number;
  /** Values that it must have found; absent: whatever. */
  readonly found?: { readonly value: string | undefined };
  readonly wrote?: { readonly value: string | undefined };
}

/** A beginning of an order: which calls are in it, and the value after them. */
interface Prefix {
  /** All answered calls before this one are in. */
  readonly low: number;
  /** Answered calls from `low` on that are in, ascending. */
  readonly ahead: readonly number[];
  /** Bits of the unanswered calls that are in. */
  readonly unanswered: bigint;
  readonly value: string | undefined;
}

/** @throws {Violation} when there is no order for the calls of this key, or none was found in time. */
export function checkRegister(key: string, calls: readonly RegisterCall[]): void {
  const search = new Search(calls);
  const stuck = search.run();
  if (stuck === undefined) return;
  const why =
    stuck === "undecided" ? "undecided" : `no order explains ${describeOperation(stuck.op)}`;
  throw new Violation(name, `${key}: ${why} among ${calls.length} operations`);
}

class Search {
  /** In order of calls. */
  readonly #answered: readonly RegisterCall[];
  readonly #unanswered: readonly RegisterCall[];
  readonly #seen = new Set<string>();
  #stack: Prefix[] = [];
  /** The furthest that any order came, for the message. */
  #lowMax = 0;

  constructor(calls: readonly RegisterCall[]) {
    const sorted = [...calls].sort((a, b) => a.callUs - b.callUs || a.op.id - b.op.id);
    const found = new Set(calls.flatMap((call) => call.found?.value ?? []));
    this.#answered = sorted.filter(({ returnUs }) => returnUs !== Number.POSITIVE_INFINITY);
    // Values are unique: a write that nobody found can always be left out.
    this.#unanswered = sorted.filter(
      ({ returnUs, wrote }) =>
        returnUs === Number.POSITIVE_INFINITY &&
        wrote !== undefined &&
        (wrote.value === undefined || found.has(wrote.value)),
    );
  }

  /** @returns undefined for an order, else the call that none could place. */
  run(): RegisterCall | "undecided" | undefined {
    this.#push({ low: 0, ahead: [], unanswered: 0n, value: undefined });
    for (let steps = 0; ; steps++) {
      const prefix = this.#stack.pop();
      if (prefix === undefined) return this.#answered[this.#lowMax];
      if (prefix.low === this.#answered.length) return undefined;
      if (steps > searchStepsMax) return "undecided";
      this.#lowMax = Math.max(this.#lowMax, prefix.low);
      this.#extend(prefix);
    }
  }

  /** Any call may be next that was made before the earliest return of those that are not in. */
  #extend(prefix: Prefix): void {
    const next: number[] = [];
    let returnUsMin = Number.POSITIVE_INFINITY;
    for (let i = prefix.low; i < this.#answered.length; i++) {
      const call = this.#answered[i];
      if (call === undefined || call.callUs > returnUsMin) break;
      if (prefix.ahead.includes(i)) continue;
      returnUsMin = Math.min(returnUsMin, call.returnUs);
      next.push(i);
    }
    // A read that fits now fits nowhere better.
    const read = next.find((i) => this.#isReadThatFits(i, prefix.value));
    if (read !== undefined) {
      this.#takeAnswered(prefix, read);
      return;
    }
    // Taken from the end of the stack: answered calls are tried first, in order of calls.
    for (const [bit, call] of this.#unanswered.entries()) {
      if (call.callUs <= returnUsMin) this.#takeUnanswered(prefix, bit, call);
    }
    for (const i of next.reverse()) this.#takeAnswered(prefix, i);
  }

  #isReadThatFits(i: number, value: string | undefined): boolean {
    const call = this.#answered[i];
    return call !== undefined && call.wrote === undefined && fits(call, value);
  }

  #takeAnswered(prefix: Prefix, i: number): void {
    const call = this.#answered[i];
    if (call === undefined || !fits(call, prefix.value)) return;
    const ahead = [...prefix.ahead, i].sort((a, b) => a - b);
    let { low } = prefix;
    while (ahead[0] === low) {
      ahead.shift();
      low++;
    }
    this.#push({ ...prefix, low, ahead, value: call.wrote ? call.wrote.value : prefix.value });
  }

  #takeUnanswered(prefix: Prefix, bit: number, call: RegisterCall): void {
    const mask = 1n << BigInt(bit);
    const isIn = (prefix.unanswered & mask) !== 0n;
    if (isIn || call.wrote?.value === prefix.value || !fits(call, prefix.value)) return;
    this.#push({ ...prefix, unanswered: prefix.unanswered | mask, value: call.wrote?.value });
  }

  #push(prefix: Prefix): void {
    const { low, ahead, unanswered, value } = prefix;
    const name = `${low};${ahead.join()};${unanswered};${value ?? ""}`;
    if (this.#seen.has(name)) return;
    this.#seen.add(name);
    this.#stack.push(prefix);
  }
}

const fits = ({ found }: RegisterCall, value: string | undefined): boolean =>
  found === undefined || found.value === value;
