// A child process that keeps what it printed, so that every failure can show it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** Lines kept for a failure message; older ones are dropped. */
const keptLinesMax = 400;
/** How long a process may take to leave after SIGTERM. */
const stopTimeoutMs = 15_000;

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface LineWait {
  readonly pattern: RegExp;
  readonly timeoutMs: number;
}

export class Child {
  readonly #process: ChildProcess;
  readonly #title: string;
  readonly #lines: string[] = [];
  readonly #listeners = new Set<(line: string) => void>();
  readonly #killOnExit = () => this.#process.kill("SIGKILL");
  #exit: string | undefined;

  constructor({ command, args, env = {} }: ChildOptions) {
    this.#title = [command, ...args].join(" ");
    this.#process = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      if (stream) createInterface({ input: stream }).on("line", (line) => this.#onLine(line));
    }
    this.#process.on("error", (error) => this.#onExit(`could not start: ${error.message}`));
    // "close" comes after the last line, "exit" may come before it.
    this.#process.on("close", (code, signal) => this.#onExit(`ended with ${signal ?? code}`));
    process.on("exit", this.#killOnExit);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get running(): boolean {
    return this.#exit === undefined;
  }

  /** How it ended: "ended with" its code or signal; undefined while it runs. */
  get ending(): string | undefined {
    return this.#exit;
  }

  /** Everything it printed lately, both streams. */
  get output(): string {
    return this.#lines.join("\n");
  }

  /** @returns the match in the first line, printed before or after the call, that fits. */
  line({ pattern, timeoutMs }: LineWait): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const finish = (act: () => void) => {
        clearTimeout(deadline);
        this.#listeners.delete(onLine);
        this.#process.off("close", onClose);
        this.#process.off("error", onClose);
        act();
      };
      const onLine = (line: string) => {
        const match = pattern.exec(line);
        if (match) finish(() => resolve(match));
      };
      const onClose = () => finish(() => reject(this.#failure(`no line like ${pattern}`)));
      const deadline = setTimeout(
        () => finish(() => reject(this.#failure(`no line like ${pattern} in ${timeoutMs} ms`))),
        timeoutMs,
      );
      this.#listeners.add(onLine);
      this.#process.on("close", onClose);
      this.#process.on("error", onClose);
      for (const line of [...this.#lines]) onLine(line);
      if (!this.running) onClose();
    });
  }

  /** @returns `ending`, once it left by itself. @throws when it does not in time. */
  async ended({ timeoutMs }: { readonly timeoutMs: number }): Promise<string> {
    if (this.#exit === undefined) {
      await once(this.#process, "close", { signal: AbortSignal.timeout(timeoutMs) }).catch(() => {
        throw this.#failure(`still there after ${timeoutMs} ms`);
      });
    }
    return this.#exit ?? "";
  }

  /** SIGTERM, then waits. @throws when it does not leave in time; it is killed then. */
  async stop(): Promise<void> {
    if (!this.running) return;
    const closed = once(this.#process, "close", { signal: AbortSignal.timeout(stopTimeoutMs) });
    this.#process.kill("SIGTERM");
    try {
      await closed;
    } catch {
      await this.kill9();
      throw this.#failure(`still there ${stopTimeoutMs} ms after SIGTERM`);
    }
  }

  async kill9(): Promise<void> {
    if (!this.running) return;
    const closed = once(this.#process, "close");
    this.#process.kill("SIGKILL");
    await closed;
  }

  #onLine(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > keptLinesMax) this.#lines.shift();
    for (const listener of [...this.#listeners]) listener(line);
  }

  #onExit(how: string): void {
    this.#exit ??= how;
    process.off("exit", this.#killOnExit);
  }

  #failure(what: string): Error {
    const state = this.#exit ?? "still running";
    return new Error(`${this.#title}\n${what}; ${state}. It printed:\n${this.output}`);
  }
}
