// What Node and browsers do differently, for code that runs in both.

/** Runs after the events that are ready: whoever they resume may still join the turn. */
export const afterTurn: (run: () => void) => void =
  typeof setImmediate === "function" ? (run) => void setImmediate(run) : macrotasks();

/** A timer that does not keep a program alive. */
export function quietTimer(run: () => void, delayMs: number): { stop(): void } {
  const timer = setTimeout(run, delayMs);
  // A number in browsers.
  if (typeof timer === "object") timer.unref();
  return { stop: () => clearTimeout(timer) };
}

// A timer would wait four milliseconds, a microtask would not wait for callers that are resumed.
function macrotasks(): (run: () => void) => void {
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  Object.assign(port1, { onmessage: () => waiting.shift()?.() });
  return (run) => {
    waiting.push(run);
    port2.postMessage(0);
  };
}
