// One watcher, and the keys that it shares with others. A watcher is live, so that the hub hands it
// each change as it is applied, or behind: then it is nothing but the revision it needs next.
import type { Interval } from "../base/rangeTree.ts";
import type { WatchEvent } from "./event.ts";
import type { Backlog } from "./message.ts";
import type { WatchStream, WatchWants } from "./stream.ts";

/** A signed 64-bit id: a number within the safe integers, else a bigint. */
export type WatcherId = number | bigint;

/** What a watcher asked for, as bits of `Watcher.wants`. */
export const Want = { prevKv: 1, noPut: 2, noDelete: 4, fragment: 8, progress: 16 } as const;
/** Bits that decide which bytes a watcher gets: watchers equal in these share messages. */
export const sharedWants: number = Want.prevKv | Want.noPut | Want.noDelete | Want.fragment;

export function bitsOf(wants: WatchWants): number {
  return (
    (wants.prevKv ? Want.prevKv : 0) |
    (wants.noPut ? Want.noPut : 0) |
    (wants.noDelete ? Want.noDelete : 0) |
    (wants.fragment ? Want.fragment : 0) |
    (wants.progress ? Want.progress : 0)
  );
}

export const Pace = {
  /** Gets changes as they are applied. */
  live: 0,
  /** Waits for its turn to read history. */
  behind: 1,
  /** The same, but its stream takes nothing at the moment. */
  parked: 2,
} as const;
export type Pace = (typeof Pace)[keyof typeof Pace];

export class Watcher {
  readonly id: WatcherId;
  readonly stream: WatchStream;
  readonly span: Span;
  readonly wants: number;
  /** Behind: the first revision not sent yet. Live: nothing below this is sent. */
  next: number;
  pace: Pace = Pace.live;
  /** Where it stands in `span.live` or `span.behind`. */
  slot = 0;
  /** It was sent an event since its progress was last due. */
  spoke = false;

  constructor(parts: {
    readonly id: WatcherId;
    readonly stream: WatchStream;
    readonly span: Span;
    readonly wants: number;
    readonly next: number;
  }) {
    this.id = parts.id;
    this.stream = parts.stream;
    this.span = parts.span;
    this.wants = parts.wants;
    this.next = parts.next;
  }
}

/** Watchers of the same keys. */
export class Span {
  readonly interval: Interval;
  live: Watcher[] = noWatchers;
  behind: Watcher[] = noWatchers;
  /** Changes of this turn for the live ones. */
  fresh: WatchEvent[] | undefined = undefined;
  /** Changes that a round of reading found for those behind. */
  found: Backlog | undefined = undefined;

  constructor(interval: Interval) {
    this.interval = interval;
  }

  get isEmpty(): boolean {
    return this.live.length === 0 && this.behind.length === 0;
  }

  add(watcher: Watcher): void {
    // One array of exactly one: most spans never hold a second watcher.
    if (watcher.pace === Pace.live) this.live = appended(this.live, watcher);
    else this.behind = appended(this.behind, watcher);
  }

  remove(watcher: Watcher): void {
    const among = watcher.pace === Pace.live ? this.live : this.behind;
    const last = among.at(-1);
    if (last === undefined) return;
    among[watcher.slot] = last;
    last.slot = watcher.slot;
    among.length--;
  }
}

const noWatchers: Watcher[] = [];

function appended(among: Watcher[], watcher: Watcher): Watcher[] {
  watcher.slot = among.length;
  if (among === noWatchers) return [watcher];
  among.push(watcher);
  return among;
}
