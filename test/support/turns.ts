// Waiting without sleeping: turn the event loop until something holds.
import assert from "node:assert/strict";

/** Turns at once; from then on threads beside this one get the processor in between. */
const quickTurns = 1_000;

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
