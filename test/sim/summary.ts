// Sums over many seeds, for the closing lines.
import type { Verdict } from "./runSeed.ts";
import { allSites } from "./sites.ts";

/** Until then the threads compile what they run: what follows tells the speed of a long run. */
const coldSeeds = 1_000;
/** With as many seeds everything has happened: what has not cannot happen any more. */
const allSitesSeedsMin = 1_500;

/** A moment from which speed is told. */
interface Mark {
  readonly ms: number;
  readonly cpu: NodeJS.CpuUsage;
  readonly simulatedUs: number;
}

export class Summary {
  readonly #faults = new Map<string, number>();
  readonly #violations: string[] = [];
  #seeds = 0;
  #steps = 0;
  #simulatedUs = 0;
  #operations = 0;
  #answered = 0;
  #entries = 0;
  readonly #start = this.#markNow();
  /** Behind `coldSeeds`. */
  #warm: Mark | undefined;

  get seeds(): number {
    return this.#seeds;
  }

  get failures(): number {
    return this.#violations.length;
  }

  /** Sites that were never hit, once there were enough seeds to tell. */
  get missed(): readonly string[] {
    if (this.#seeds < allSitesSeedsMin) return [];
    return allSites.filter((site) => !this.#faults.has(site));
  }

  add(verdict: Verdict): void {
    this.#seeds++;
    this.#steps += verdict.steps;
    this.#simulatedUs += verdict.simulatedUs;
    if (this.#seeds === coldSeeds) this.#warm = this.#markNow();
    this.#operations += verdict.operations;
    this.#answered += verdict.answered;
    this.#entries += verdict.entries;
    for (const [name, count] of verdict.faults) {
      this.#faults.set(name, (this.#faults.get(name) ?? 0) + count);
    }
    const { seed, violation } = verdict;
    if (violation) this.#violations.push(`${violation.checker}: seed ${seed}`);
  }

  /**
   * Time that passed for the clusters, by real time and by time of processors, of all threads and of
   * their start: the latter says the same on a machine that does something else as well.
   */
  speed(): string {
    return this.#speedSince(this.#start);
  }

  lines(): readonly string[] {
    const faults = [...this.#faults].sort(([a], [b]) => (a < b ? -1 : 1));
    return [
      `${this.#seeds} seeds, ${(this.#simulatedUs / 1e6).toFixed(0)} s, ${this.speed()}`,
      ...(this.#warm === undefined || this.#seeds < 2 * coldSeeds
        ? []
        : [`behind the first ${coldSeeds}: ${this.#speedSince(this.#warm)}`]),
      `${this.#steps} steps, ${this.#entries} entries committed`,
      `${this.#operations} operations, ${this.#answered} answered`,
      `faults: ${faults.map(([name, count]) => `${name} ${count}`).join(", ")}`,
      ...(this.missed.length === 0 ? [] : [`never happened: ${this.missed.join(", ")}`]),
      this.#violations.length === 0
        ? "no violations"
        : `violations: ${this.#violations.join(", ")}`,
    ];
  }

  #markNow(): Mark {
    return { ms: performance.now(), cpu: process.cpuUsage(), simulatedUs: this.#simulatedUs };
  }

  #speedSince({ ms, cpu, simulatedUs }: Mark): string {
    const seconds = (performance.now() - ms) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const sum = (this.#simulatedUs - simulatedUs) / 1e6;
    const per = (time: number): string => (sum / time).toFixed(0);
    return `${per(seconds)} simulated seconds per second, ${per((user + system) / 1e6)} per second of CPU`;
  }
}
