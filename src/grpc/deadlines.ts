// Deadlines of all calls in one timing wheel (Varghese and Lauck, 1987): adding and removing cost the
// same however many there are, and one alarm serves them all.
import type { Timers } from "../http2/timers.ts";

export interface Expiring {
  onDeadline(): void;
}

/** One armed deadline; a handle for `remove`. */
export class Deadline {
  readonly target: Expiring;
  readonly tick: number;
  /** Neighbours in a slot, a ring through the slot's own node. */
  previous: Deadline = this;
  next: Deadline = this;

  constructor(target: Expiring, tick: number) {
    this.target = target;
    this.tick = tick;
  }
}

const tickMs = 4;
const slotsPerLevel = 256;
const levelCount = 4;
/** 2^32 ticks, half a year: a longer deadline ends then. */
const ticksMax = slotsPerLevel ** levelCount - 1;
const nobody: Expiring = { onDeadline() {} };

export class DeadlineWheel {
  readonly #timers: Timers;
  readonly #startMs: number;
  // Level L holds what is due within 256^(L+1) ticks, by the digit L of the due tick.
  readonly #levels: readonly (readonly Deadline[])[];
  #now = 0;
  #count = 0;
  #alarmTick = 0;
  #cancelAlarm: (() => void) | undefined;

  constructor(timers: Timers) {
    this.#timers = timers;
    this.#startMs = timers.nowMs();
    this.#levels = Array.from({ length: levelCount }, () =>
      Array.from({ length: slotsPerLevel }, () => new Deadline(nobody, 0)),
    );
  }

  /** Armed deadlines. */
  get count(): number {
    return this.#count;
  }

  /** Calls `target.onDeadline` once, `delayMs` from now or up to 4 ms later, unless removed. */
  add(delayMs: number, target: Expiring): Deadline {
    const elapsedMs = this.#timers.nowMs() - this.#startMs;
    if (this.#count === 0) this.#now = Math.floor(elapsedMs / tickMs);
    const due = Math.ceil((elapsedMs + delayMs) / tickMs);
    const tick = Math.min(Math.max(due, this.#now + 1), this.#now + ticksMax);
    const deadline = new Deadline(target, tick);
    this.#place(deadline);
    this.#count += 1;
    this.#setAlarm(Math.min(tick, nextTurn(this.#now)));
    return deadline;
  }

  /** When it is due, armed or not; by the clock of the timers. */
  dueMs({ tick }: Deadline): number {
    return this.#startMs + tick * tickMs;
  }

  /** Disarms; does nothing for one that is removed or past. */
  remove(deadline: Deadline): void {
    if (deadline.next === deadline) return;
    unlink(deadline);
    this.#count -= 1;
  }

  #place(deadline: Deadline): void {
    const ahead = deadline.tick - this.#now;
    let level = 0;
    while (level < levelCount - 1 && ahead >= ticksPerSlot(level + 1)) level += 1;
    const slot = this.#slot(level, deadline.tick);
    deadline.previous = slot.previous;
    deadline.next = slot;
    slot.previous.next = deadline;
    slot.previous = deadline;
  }

  #slot(level: number, tick: number): Deadline {
    const digit = level === 0 ? tick : Math.floor(tick / ticksPerSlot(level));
    const slot = this.#levels[level]?.[digit % slotsPerLevel];
    if (slot === undefined) throw new RangeError("a digit names a slot");
    return slot;
  }

  #setAlarm(tick: number): void {
    if (this.#cancelAlarm !== undefined) {
      if (this.#alarmTick <= tick) return;
      this.#cancelAlarm();
    }
    this.#alarmTick = tick;
    const delayMs = this.#startMs + tick * tickMs - this.#timers.nowMs();
    this.#cancelAlarm = this.#timers.after(Math.max(1, Math.ceil(delayMs)), () => this.#onAlarm());
  }

  #onAlarm(): void {
    this.#cancelAlarm = undefined;
    const target = Math.floor((this.#timers.nowMs() - this.#startMs) / tickMs);
    while (this.#now < target && this.#count > 0) this.#step();
    if (this.#count > 0) this.#setAlarm(this.#nextTick());
  }

  #step(): void {
    this.#now += 1;
    if (this.#now % slotsPerLevel === 0) this.#refine();
    const slot = this.#slot(0, this.#now);
    // One by one: a target may remove others of the same slot, or add new ones.
    for (let due = slot.next; due !== slot; due = slot.next) {
      unlink(due);
      this.#count -= 1;
      due.target.onDeadline();
    }
  }

  // A turn of a level is over: the coarser one hands down a slot, coarsest first.
  #refine(): void {
    for (let level = levelCount - 1; level > 0; level--) {
      if (this.#now % ticksPerSlot(level) === 0) this.#spread(this.#slot(level, this.#now));
    }
  }

  // Moves the deadlines of a coarse slot to finer ones.
  #spread(slot: Deadline): void {
    for (let deadline = slot.next; deadline !== slot; deadline = slot.next) {
      unlink(deadline);
      this.#place(deadline);
    }
  }

  // The next tick with something due, or the next turn of the finest level.
  #nextTick(): number {
    const turn = nextTurn(this.#now);
    for (let tick = this.#now + 1; tick < turn; tick++) {
      const slot = this.#slot(0, tick);
      if (slot.next !== slot) return tick;
    }
    return turn;
  }
}

function ticksPerSlot(level: number): number {
  return slotsPerLevel ** level;
}

function nextTurn(tick: number): number {
  return (Math.floor(tick / slotsPerLevel) + 1) * slotsPerLevel;
}

function unlink(deadline: Deadline): void {
  deadline.previous.next = deadline.next;
  deadline.next.previous = deadline.previous;
  deadline.previous = deadline;
  deadline.next = deadline;
}

const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 0.001,
  n: 0.000001,
};

/** `grpc-timeout`: up to 8 digits and a unit. @returns milliseconds; undefined when malformed. */
export function parseTimeoutMs(text: string): number | undefined {
  if (!/^[0-9]{1,8}[HMSmun]$/.test(text)) return undefined;
  return Number(text.slice(0, -1)) * (unitMs[text.slice(-1)] ?? 0);
}
