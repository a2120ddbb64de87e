// Bugs of what watchers are told.
import type { Mutant } from "./mutant.ts";

const compaction = "compaction racing with watch, tombstones, hash";
/** Many watchers, and those that read seldom: history is read all the time. */
const busy = { load: { watchClients: 3, readUsMax: 50_000, thinkUsMax: 50_000 } } as const;
const slow = { load: { watchClients: 3, readUsMax: 700_000, thinkUsMax: 50_000 } } as const;
const compacted = { load: { ...slow.load, compact: 10 } } as const;

export const watchMutants: readonly Mutant[] = [
  {
    name: "a watcher that falls behind skips a revision",
    trap: "own",
    file: "src/watch/hub.ts",
    find: `        this.#fallBehind(watcher, message.first);`,
    replace: `        this.#fallBehind(watcher, message.first + 1);`,
    focus: slow,
  },
  {
    name: "a watcher that falls behind is told the last revision again",
    trap: "own",
    file: "src/watch/hub.ts",
    find: `        this.#fallBehind(watcher, message.first);`,
    replace: `        this.#fallBehind(watcher, message.first - 1);`,
    focus: slow,
  },
  {
    name: "a watcher of the past begins now",
    trap: "own",
    file: "src/watch/hub.ts",
    find: `    const next = spec.start === 0 ? revision + 1 : spec.start;`,
    replace: `    const next = Math.max(spec.start, revision + 1);`,
    focus: busy,
  },
  {
    name: "a watcher of the future is told of the present",
    trap: "watch starts at a future revision and gets old events",
    file: "src/watch/message.ts",
    find: `revision >= next && !(`,
    replace: `revision > 0 * next && !(`,
    focus: busy,
  },
  {
    name: "the pair before is the pair itself",
    trap: "own",
    file: "src/watch/event.ts",
    find: `coding.readRow(this.key, this.revision - 1)`,
    replace: `coding.readRow(this.key, this.revision)`,
    focus: busy,
  },
  {
    name: "a watcher below the compaction goes on",
    trap: compaction,
    file: "src/watch/catchUp.ts",
    find: `      if (watcher.next < floor) this.#host.onCompacted(watcher, floor);`,
    replace: `      if (watcher.next < floor - 5) this.#host.onCompacted(watcher, floor);`,
    focus: compacted,
  },
  {
    name: "progress is told although watchers are behind",
    trap: "own",
    file: "src/watch/hub.ts",
    find: `    if (stream.behindCount > 0 || stream.watchers.size === 0) return;`,
    replace: `    if (stream.watchers.size === 0) return;`,
    focus: slow,
  },
  {
    name: "who drained its stream is not served again",
    trap: "own",
    file: "src/watch/hub.ts",
    find: `      watcher.pace = Pace.behind;
      this.#behind.add(watcher);`,
    replace: `      watcher.pace = Pace.behind;`,
    focus: slow,
  },
  {
    name: "a revision is split over answers",
    trap: "own",
    file: "src/watch/message.ts",
    find: `      if (event.revision !== last) {`,
    replace: `      if (bytes > 0) break;
      if (event.revision !== last) {`,
    focus: busy,
  },
];
