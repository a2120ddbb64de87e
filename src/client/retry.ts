// Trying again: which failures pass by themselves, and how long to wait.
import { EtcdError, errCanceled, errStopped, StatusCode } from "../base/errors.ts";

export const retryMsMin = 20;
export const retryMsMax = 1_000;

/** The member is gone, has no leader or is too busy: another try, perhaps elsewhere, may do. */
export function isTransient(error: unknown): boolean {
  // A member that stops says the same with an error of its own: this one means that our side is closed.
  if (!(error instanceof EtcdError) || error === errStopped) return false;
  if (error.code === StatusCode.unavailable) return true;
  return error.code === StatusCode.unknown && error.message.endsWith("too many requests");
}

/** A member ended a stream well that was to go on. */
export const errStreamEnded = new EtcdError(StatusCode.unavailable, "the stream was ended");

/** Pauses that double; the first try is at once, and half of each pause is chance. */
export class Backoff {
  #failures = 0;

  succeeded(): void {
    this.#failures = 0;
  }

  /** Notes a failure. @returns how long to wait before the next try. */
  failed(): number {
    this.#failures++;
    if (this.#failures === 1) return 0;
    const pauseMs = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(16, this.#failures - 2));
    return pauseMs * (0.5 + Math.random() / 2);
  }
}

/** Runs until it succeeds, fails for good, or `signal` is aborted. Only for what may run twice. */
export async function untilAnswered<T>(
  run: () => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  const backoff = new Backoff();
  for (;;) {
    if (signal?.aborted) throw errCanceled;
    try {
      return await run();
    } catch (error) {
      if (!isTransient(error)) throw error;
      await pause(backoff.failed(), signal);
    }
  }
}

/** Resolves after `delayMs`, or early when aborted. */
export function pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal?.addEventListener("abort", done, { once: true });
    if (signal?.aborted) done();
  });
}
