// What a round that failed tells: enough to see what happened, and to try it again.
import { describeAction } from "../sim/operation.ts";
import { Violation } from "../sim/violation.ts";
import type { Call } from "./call.ts";
import type { RoundReport } from "./round.ts";

/** Of the history, in a failure. */
const excerptLinesMax = 40;
/** Calls this far from the suspect one are shown. */
const nearUs = 500_000;

export function describeFailure(report: RoundReport): string {
  const { seed, failure, protocol } = report;
  const what = failure instanceof Violation ? `${failure.checker}: ${failure.message}` : failure;
  return [
    `seed ${seed}: ${what}`,
    `again: npm run chaos -- --from ${seed} --rounds 1 (threads are real: it may take some tries)`,
    "what was done:",
    ...protocol.map((line) => `  ${line}`),
    "part of the history (µs since the round began):",
    ...excerpt(report).map((line) => `  ${line}`),
    // Whoever sees only the end of a long report sees what it is about.
    `so failed seed ${seed}: ${what}`,
  ].join("\n");
}

export function describeRound({
  seed,
  ms,
  healMs,
  calls,
  revisions,
  events,
  streams,
  leases = 0,
}: RoundReport): string {
  const count = (state: Call["state"]): number =>
    calls.filter((call) => call.state === state).length;
  const figures = [
    `${count("done")} of ${calls.length} calls answered, ${count("unknown")} unknown`,
    `${revisions} revisions`,
    `${events} events over ${streams} streams`,
    `${leases} answers about leases`,
    `healed in ${Math.round(healMs)} ms`,
  ];
  return `seed ${seed}: ${(ms / 1000).toFixed(1)} s, ${figures.join(", ")}`;
}

/** Calls that have to do with what a violation names: same keys, about the same time. */
function excerpt({ calls, failure }: RoundReport): readonly string[] {
  const id = Number(/#(\d+)/.exec(failure?.message ?? "")?.[1] ?? 0);
  const suspect = calls.find((call) => call.id === id);
  const keys = suspect === undefined ? [] : keysOf(suspect);
  const near = calls.filter((call) => {
    if (suspect === undefined) return true;
    const touches = keys.length === 0 || keysOf(call).some((key) => keys.includes(key));
    return touches && Math.abs(call.callUs - suspect.callUs) < nearUs;
  });
  const at = suspect === undefined ? near.length : near.indexOf(suspect);
  const from = Math.max(
    0,
    Math.min(at - Math.floor(excerptLinesMax / 2), near.length - excerptLinesMax),
  );
  return near.slice(from, from + excerptLinesMax).map(describeCall);
}

function keysOf({ action }: Call): readonly string[] {
  if (action.kind === "pair") return action.keys;
  return "key" in action ? [action.key] : [];
}

function describeCall(call: Call): string {
  const { id, client, member, action, callUs, returnUs, state, revision, floor } = call;
  const times = `${callUs} to ${state === "done" ? returnUs : "?"}`;
  return `${times}: #${id} client ${client} at ${member} ${describeAction(action)}: ${outcome(call)} (at ${revision}, floor ${floor})`;
}

function outcome({ state, pairs, action, swapped, deleted }: Call): string {
  if (state !== "done") return state;
  if (action.kind === "delete") return `deleted ${deleted}`;
  if (action.kind === "swap" && swapped) return "swapped";
  if (pairs === undefined) return "done";
  return (
    [...pairs].map(([key, { value, modified }]) => `${key}=${value}@${modified}`).join() ||
    "nothing"
  );
}
