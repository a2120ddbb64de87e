// A watcher is told of every change that it asked for: in order, each once, all of a revision together,
// with the pair as it became and, on request, as it was before. Where it goes on after a loss of its
// stream nothing is missing and nothing comes again. Progress and compactions are promises as well.
import { toLatin1 } from "../../../src/base/bytes.ts";
import type { KeyValue } from "../../../src/proto/kv.ts";
import { EventType, type WatchEventMessage } from "../../../src/proto/watch.ts";
import { check } from "../violation.ts";
import type { AppliedChange, History, Pair } from "./history.ts";

const name = "watches";

/** What a watcher asks for. */
export interface Watched {
  readonly from: string;
  /** undefined: the one key. */
  readonly to: string | undefined;
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
}

export class WatchJudge {
  readonly #history: History;
  /** Highest revision that anybody asked to compact. */
  #compacted = 0;
  /** Events that were judged. */
  events = 0;

  constructor(history: History) {
    this.#history = history;
  }

  get history(): History {
    return this.#history;
  }

  get compacted(): number {
    return this.#compacted;
  }

  onCompact(revision: number): void {
    this.#compacted = Math.max(this.#compacted, revision);
  }
}

/** One watcher over all of its streams. */
export class WatchView {
  readonly watched: Watched;
  readonly #title: string;
  readonly #judge: WatchJudge;
  /** Everything wanted below this has been told. */
  #next: number;
  /** Events of an answer that is not complete. */
  #pieces: WatchEventMessage[] = [];

  constructor(title: string, watched: Watched, parts: { judge: WatchJudge; next: number }) {
    this.watched = watched;
    this.#title = title;
    this.#judge = parts.judge;
    this.#next = parts.next;
  }

  /** Where it has to go on. */
  get next(): number {
    return this.#next;
  }

  /** Nothing that it wants is there and was not told. */
  get isComplete(): boolean {
    return this.#wanted(this.#judge.history.latest).length === 0;
  }

  /** Parts of an answer whose rest will not come count for nothing. */
  onStreamLost(): void {
    this.#pieces = [];
  }

  onEvents(
    events: readonly WatchEventMessage[],
    { revision, fragment }: { revision: number; fragment: boolean },
  ): void {
    this.#pieces.push(...events);
    if (fragment) return;
    const told = this.#pieces;
    this.#pieces = [];
    const last = revisionOf(told.at(-1));
    this.#check(told.length > 0, () => "an answer without events");
    this.#check(revision >= last, () => `events up to ${last} under the header of ${revision}`);
    this.#compare(told, this.#wanted(last));
    this.#judge.events += told.length;
    this.#next = last + 1;
  }

  /** Everything up to `revision` was told, it says. */
  onProgress(revision: number): void {
    const [missing] = this.#wanted(revision);
    this.#check(
      missing === undefined && this.#pieces.length === 0,
      () => `progress ${revision}, but ${missing?.change.key} changed at ${missing?.revision}`,
    );
    this.#next = Math.max(this.#next, revision + 1);
  }

  /** It cannot go on from where it was. */
  onCompacted(floor: number): void {
    const isHonest = this.#next < floor && floor <= this.#judge.compacted;
    this.#check(isHonest, () => `compacted ${floor}, the highest asked ${this.#judge.compacted}`);
    this.#next = floor;
  }

  #wanted(last: number): { readonly revision: number; readonly change: AppliedChange }[] {
    const wanted = [];
    for (let revision = this.#next; revision <= last; revision++) {
      for (const change of this.#judge.history.changesOf(revision)) {
        if (this.#wants(change)) wanted.push({ revision, change });
      }
    }
    return wanted;
  }

  #wants({ key, pair }: AppliedChange): boolean {
    const { from, to, noPut, noDelete } = this.watched;
    const isWithin = to === undefined ? key === from : key >= from && key < to;
    return isWithin && !(pair === undefined ? noDelete : noPut);
  }

  #compare(
    told: readonly WatchEventMessage[],
    wanted: readonly { readonly revision: number; readonly change: AppliedChange }[],
  ): void {
    for (let i = 0; i < Math.max(told.length, wanted.length); i++) {
      const [event, want] = [told[i], wanted[i]];
      const agrees =
        event !== undefined &&
        want !== undefined &&
        this.#isTrue(event, want.change, want.revision) &&
        this.#isPreviousTrue(event, want.change.key, want.revision);
      this.#check(
        agrees,
        () =>
          `told ${describeEvent(event)}, but ${want?.change.key} changed at ${want?.revision} to ` +
          `${want?.change.pair?.value.slice(0, 12) ?? "nothing"}`,
      );
    }
  }

  #isTrue({ type, kv }: WatchEventMessage, { key, pair }: AppliedChange, at: number): boolean {
    if (kv === undefined || toLatin1(kv.key) !== key || kv.modRevision !== at) return false;
    if (pair === undefined) return type === EventType.delete && kv.value.length === 0;
    return type === EventType.put && isPair(kv, pair);
  }

  /** It may be missing when it was compacted, and only then. */
  #isPreviousTrue({ prevKv }: WatchEventMessage, key: string, at: number): boolean {
    const before = this.watched.prevKv ? this.#judge.history.at(key, at - 1) : undefined;
    if (prevKv === undefined) return before === undefined || at - 1 < this.#judge.compacted;
    return before !== undefined && toLatin1(prevKv.key) === key && isPair(prevKv, before);
  }

  #check(condition: boolean, message: () => string): void {
    check(condition, name, () => `${this.#title}, next ${this.#next}: ${message()}`);
  }
}

const revisionOf = (event: WatchEventMessage | undefined): number => event?.kv?.modRevision ?? 0;

function isPair(kv: KeyValue, { value, created, modified, version }: Pair): boolean {
  return (
    kv.createRevision === created &&
    kv.modRevision === modified &&
    kv.version === version &&
    toLatin1(kv.value) === value
  );
}

const describeEvent = (event: WatchEventMessage | undefined): string =>
  event?.kv === undefined
    ? "nothing"
    : `${event.type === EventType.put ? "put" : "delete"} ${toLatin1(event.kv.key)} at ` +
      `${event.kv.modRevision} (before: ${event.prevKv?.modRevision ?? "nothing"})`;
