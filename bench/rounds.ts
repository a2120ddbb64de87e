// Rounds of a row: one target alone, or two in turn, one at a time, so that the machine's moods hit both.
import { runGoClient } from "./load/goClient.ts";
import type { BenchOptions, LoadVerb } from "./options.ts";
import { withProgress } from "./report/progress.ts";
import type { BenchResult } from "./result.ts";
import { type RunPlan, runBench } from "./run.ts";
import { openPeer, openTarget, type Target } from "./targets/target.ts";

/** One or two clusters that stay up for all rows. */
export class Contest implements AsyncDisposable {
  readonly #targets: readonly Target[];
  readonly #filled = new Set<string>();
  readonly results: BenchResult[] = [];
  readonly #onResult: (result: BenchResult) => void;

  private constructor(targets: readonly Target[], onResult: (result: BenchResult) => void) {
    this.#targets = targets;
    this.#onResult = onResult;
  }

  static async open(
    options: BenchOptions,
    onResult: (result: BenchResult) => void,
  ): Promise<Contest> {
    const first = await openTarget(options);
    try {
      const second = await openPeer(options);
      return new Contest(second === undefined ? [first] : [first, second], onResult);
    } catch (error) {
      await first[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Alone: one run. Two: `rounds` pairs, and who goes first changes with each. */
  async play(verb: LoadVerb, options: BenchOptions): Promise<void> {
    const rounds = this.#targets.length === 1 ? 1 : options.rounds;
    for (let round = 0; round < rounds; round++) {
      const turns = round % 2 === 0 ? this.#targets : this.#targets.toReversed();
      for (const target of turns) {
        const result = await this.#run({ verb, options, target, round });
        this.results.push(result);
        this.#onResult(result);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#targets.map((target) => target[Symbol.asyncDispose]()));
  }

  async #run(plan: Omit<RunPlan, "isFilled" | "watch">): Promise<BenchResult> {
    const { verb, options, target } = plan;
    const { keySize, valSize, keySpace } = options;
    const keys = `${target.name} ${keySize} ${valSize} ${keySpace}`;
    const isFilled = this.#filled.has(keys) || verb === "watch" || verb === "watch-latency";
    const whole = { ...plan, isFilled, watch: withProgress(target.name, verb, options) };
    const result = await (options.client === "go" ? runGoClient(whole) : runBench(whole));
    this.#filled.add(keys);
    return result;
  }
}
