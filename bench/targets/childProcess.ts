// A server process of the benchmark: started, waited for, stopped; what it printed is kept for errors.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const keptLinesMax = 100;
const readyMsMax = 60_000;
const stopMsMax = 15_000;

export class ChildServer {
  readonly #process: ChildProcess;
  readonly #lines: string[] = [];
  readonly #killOnExit = () => this.#process.kill("SIGKILL");

  constructor(command: string, args: readonly string[]) {
    this.#process = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#process.on("error", (error) => this.#keep(error.message));
    process.on("exit", this.#killOnExit);
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      if (stream) createInterface({ input: stream }).on("line", (line) => this.#keep(line));
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** @returns the match in the first line that fits. @throws when it ends, or does not come in time. */
  ready(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => end(() => reject(this.#failure("is not ready"))), readyMsMax);
      const look = (): void => {
        for (const line of this.#lines) {
          const match = pattern.exec(line);
          if (match) end(() => resolve(match));
        }
      };
      const onClose = () => end(() => reject(this.#failure("ended")));
      const end = (act: () => void): void => {
        clearTimeout(timer);
        this.#onLine = undefined;
        this.#process.off("close", onClose);
        act();
      };
      this.#process.once("close", onClose);
      this.#onLine = look;
      look();
    });
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    process.off("exit", this.#killOnExit);
    const { exitCode, signalCode } = this.#process;
    if (exitCode !== null || signalCode !== null || this.#process.pid === undefined) return;
    const closed = once(this.#process, "close");
    this.#process.kill(signal);
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), stopMsMax);
    await closed;
    clearTimeout(timer);
  }

  #onLine: (() => void) | undefined;

  #keep(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > keptLinesMax) this.#lines.shift();
    this.#onLine?.();
  }

  #failure(what: string): Error {
    const said = this.#lines.slice(-5).join("\n");
    return new Error(`${this.#process.spawnfile} ${what}. It printed:\n${said}`);
  }
}
