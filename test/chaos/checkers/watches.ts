// A watcher was told of every change of its keys once, in order of revisions, whatever happened to the
// members that told it; those of one revision together (the watcher itself refuses a revision that comes
// in two messages).
import { Violation } from "../../sim/violation.ts";
import { describePair, isSamePair, type SeenPair } from "../call.ts";
import type { Past } from "../probe.ts";
import type { WatchedEvent, WatchRange } from "../watcher.ts";

const name = "watches";

/** @throws {Violation} for the first event that is wrong, missing, told again or too early. */
export function checkWatch(
  told: readonly WatchedEvent[],
  range: WatchRange,
  { keys, past }: { keys: readonly string[]; past: Past },
): void {
  const watched = keys.filter((key) => (range.to === undefined ? key === range.from : true));
  const wanted = changesOf(watched, past, range.prevKv);
  // What happens after the round was read back is nobody's to judge.
  const last = past.from + past.states.length - 1;
  const heard = inOrder(told.filter(({ revision }) => revision <= last));
  for (let i = 0; i < Math.max(wanted.length, heard.length); i++) {
    const [want, event] = [wanted[i], heard[i]];
    if (want !== undefined && event !== undefined && isSameEvent(want, event)) continue;
    const where = `${range.from}${range.to === undefined ? "" : ` to ${range.to}`}, event ${i + 1}`;
    throw new Violation(name, `${where}: told ${describe(event)} for ${describe(want)}`);
  }
}

function changesOf(
  keys: readonly string[],
  { from, states }: Past,
  prevKv: boolean,
): readonly WatchedEvent[] {
  return states.slice(1).flatMap((after, i) => {
    const before = states[i] ?? new Map<string, SeenPair>();
    return keys
      .filter((key) => !isSamePair(before.get(key), after.get(key)))
      .map((key) => ({
        revision: from + i + 1,
        key,
        pair: after.get(key),
        previous: prevKv ? before.get(key) : undefined,
      }));
  });
}

/** The events of one revision by key; the order of revisions stays as it was. */
function inOrder(events: readonly WatchedEvent[]): readonly WatchedEvent[] {
  const sorted: WatchedEvent[] = [];
  for (let from = 0; from < events.length; ) {
    const revision = events[from]?.revision;
    const next = events.findIndex((event, i) => i > from && event.revision !== revision);
    const to = next < 0 ? events.length : next;
    sorted.push(...events.slice(from, to).sort((a, b) => (a.key < b.key ? -1 : 1)));
    from = to;
  }
  return sorted;
}

const isSameEvent = (a: WatchedEvent, b: WatchedEvent): boolean =>
  a.revision === b.revision &&
  a.key === b.key &&
  isSamePair(a.pair, b.pair) &&
  isSamePair(a.previous, b.previous);

const describe = (event: WatchedEvent | undefined): string =>
  event === undefined
    ? "nothing"
    : `${event.key} at ${event.revision} as ${describePair(event.pair)}, before ${describePair(event.previous)}`;
