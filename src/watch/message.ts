// Messages of events: what watchers with the same keys and wishes get alike. A revision is never
// split over two messages, unless its watcher allows fragments.
import type { EventCoding, WatchEvent } from "./event.ts";
import { sharedWants, Want } from "./watcher.ts";

/** Revisions in one message (etcd's own bound for watchers that catch up). */
export const messageRevisionsMax = 1000;
/** A message that has reached this takes no further revision. */
export const messageBytesMax = 1 << 20;
/** etcd's: 1.5 MiB for a request and 512 KiB for its envelope. Answers as long are fragmented. */
export const fragmentBytesMax = 2_097_152;

/** One answer for one or many watchers; who compares messages by identity encodes each once. */
export interface EventMessage {
  /** For the header. */
  readonly revision: number;
  /** Revisions of its first event, and its last. */
  readonly first: number;
  readonly last: number;
  /** Encoded events with the tag of their field. */
  readonly events: readonly Uint8Array[];
  readonly bytes: number;
  /** The next message continues this one. */
  readonly fragment: boolean;
}

export interface Wishes {
  /** Bits of Want. */
  readonly wants: number;
  /** First revision wanted. */
  readonly next: number;
}

/** Changes of one span in revision order, and the messages made of them so far. */
export class Backlog {
  readonly events: WatchEvent[];
  readonly #shared = new Map<number, readonly EventMessage[]>();

  constructor(events: WatchEvent[]) {
    this.events = events;
  }

  /** @param revision for the headers; undefined: each message's own last one. */
  messages(
    wishes: Wishes,
    coding: EventCoding,
    revision: number | undefined,
  ): readonly EventMessage[] {
    const [oldest] = this.events;
    // Everything is wanted, or a part that others with the same position may want as well.
    const next = oldest === undefined || wishes.next <= oldest.revision ? 0 : wishes.next;
    const name = next * (sharedWants + 1) + (wishes.wants & sharedWants);
    let messages = this.#shared.get(name);
    if (messages === undefined) {
      messages = cut(wanted(this.events, wishes), wishes.wants, coding, revision);
      this.#shared.set(name, messages);
    }
    return messages;
  }
}

function wanted(events: readonly WatchEvent[], { wants, next }: Wishes): readonly WatchEvent[] {
  const noPut = (wants & Want.noPut) !== 0;
  const noDelete = (wants & Want.noDelete) !== 0;
  return events.filter(
    ({ revision, kind }) => revision >= next && !(kind === "put" ? noPut : noDelete),
  );
}

function cut(
  events: readonly WatchEvent[],
  wants: number,
  coding: EventCoding,
  revision: number | undefined,
): readonly EventMessage[] {
  const messages: EventMessage[] = [];
  const prevKv = (wants & Want.prevKv) !== 0;
  let from = 0;
  while (from < events.length) {
    const encoded: Uint8Array[] = [];
    const first = events[from]?.revision ?? 0;
    let last = first;
    let revisions = 1;
    let bytes = 0;
    for (; from < events.length; from++) {
      const event = events[from];
      if (event === undefined) break;
      if (event.revision !== last) {
        if (revisions === messageRevisionsMax || bytes >= messageBytesMax) break;
        revisions++;
        last = event.revision;
      }
      const part = event.encoded(prevKv, coding);
      encoded.push(part);
      bytes += part.length;
    }
    const whole = {
      revision: revision ?? last,
      first,
      last,
      events: encoded,
      bytes,
      fragment: false,
    };
    if ((wants & Want.fragment) !== 0 && bytes >= fragmentBytesMax)
      messages.push(...fragments(whole));
    else messages.push(whole);
  }
  return messages;
}

/** Pieces below the limit; an event that is longer goes alone. */
function fragments(whole: EventMessage): EventMessage[] {
  const pieces: EventMessage[] = [];
  let events: Uint8Array[] = [];
  let bytes = 0;
  for (const event of whole.events) {
    if (events.length > 0 && bytes + event.length >= fragmentBytesMax) {
      pieces.push({ ...whole, events, bytes, fragment: true });
      events = [];
      bytes = 0;
    }
    events.push(event);
    bytes += event.length;
  }
  pieces.push({ ...whole, events, bytes });
  return pieces;
}
