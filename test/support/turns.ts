// Waiting for what others come to: turn the event loop until something holds, ask until it is answered.
import assert from "node:assert/strict";

/** Turns at once; from then on threads beside this one get the processor in between. */
const quickTurns = 1_000;

/** Between two questions to other threads or processes, which need the processor to come to an answer. */
const askAgainMs = 5;

/**
 * Asks until it is answered: nothing tells a client when a member has come so far.
 *
 * @throws what the last question met, when `withinMs` is over: a bound for broken code only.
 */
export async function untilAnswered<T>(
  ask: () => Promise<T> | T,
  what: string,
  withinMs = 60_000,
): Promise<T> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (performance.now() > endMs) throw new Error(`never came true: ${what}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, askAgainMs));
    }
  }
}

/** Fails with `what` when `holds` stays false for `withinMs`, a bound for broken code only. */
export async function turnsUntil(
  holds: () => boolean,
  what: string,
  withinMs = 60_000,
): Promise<void> {
  const endMs = performance.now() + withinMs;
  for (let turn = 0; !holds(); turn++) {
    assert.ok(performance.now() < endMs, `never came true: ${what}`);
    await new Promise((resolve) =>
      turn < quickTurns ? setImmediate(resolve) : setTimeout(resolve, 1),
    );
  }
}
