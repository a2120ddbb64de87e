// Waiting without sleeping: turn the event loop until something holds.
import assert from "node:assert/strict";

/** Fails with `what` when `holds` stays false for `withinMs`, a bound for broken code only. */
export async function turnsUntil(
  holds: () => boolean,
  what: string,
  withinMs = 10_000,
): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!holds()) {
    assert.ok(performance.now() < endMs, `never came true: ${what}`);
    await new Promise(setImmediate);
  }
}
