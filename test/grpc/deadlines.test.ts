// The timing wheel against a plain list, and the header that arms it.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Deadline, DeadlineWheel, parseTimeoutMs } from "../../src/grpc/deadlines.ts";
import { ManualTimers } from "../http2/manualTimers.ts";

const tickMs = 4;

test("every deadline fires once, at its time or up to a tick later, unless removed", () => {
  const delay = fc.oneof(fc.nat(50), fc.nat(3000), fc.nat(400_000), fc.nat(2_000_000));
  const step = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), ms: delay }),
    fc.record({ kind: fc.constant("remove" as const), ms: fc.nat(20) }),
    fc.record({ kind: fc.constant("advance" as const), ms: fc.oneof(fc.nat(30), fc.nat(500_000)) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const timers = new ManualTimers();
      const wheel = new DeadlineWheel(timers);
      const armed: { deadline: Deadline; dueMs: number; fired: number }[] = [];
      const add = (ms: number): void => {
        const entry = { dueMs: timers.nowMs() + ms, fired: -1 };
        const onDeadline = (): void => {
          assert.equal(entry.fired, -1, "fired twice");
          entry.fired = timers.nowMs();
        };
        armed.push(Object.assign(entry, { deadline: wheel.add(ms, { onDeadline }) }));
      };
      for (const { kind, ms } of steps) {
        if (kind === "add") add(ms);
        if (kind === "advance") timers.advance(ms);
        const [removed] = kind === "remove" ? armed.splice(ms, 1) : [];
        if (removed !== undefined) wheel.remove(removed.deadline);
        assert.equal(wheel.count, armed.filter(({ fired }) => fired < 0).length);
      }
      timers.advance(3_000_000);
      for (const { dueMs, fired } of armed) {
        assert.ok(fired >= dueMs && fired <= dueMs + 2 * tickMs, `due ${dueMs}, fired ${fired}`);
      }
      assert.equal(timers.pending, 0, "no alarm for an empty wheel");
    }),
    { numRuns: 100 },
  );
});

test("a target may remove and add others while it fires", () => {
  const timers = new ManualTimers();
  const wheel = new DeadlineWheel(timers);
  const events: string[] = [];
  const neighbour = wheel.add(8, { onDeadline: () => void events.push("neighbour") });
  wheel.remove(neighbour);
  let second: Deadline | undefined;
  wheel.add(8, {
    onDeadline() {
      events.push("first");
      if (second !== undefined) wheel.remove(second);
      wheel.add(0, { onDeadline: () => void events.push("third") });
    },
  });
  second = wheel.add(8, { onDeadline: () => void events.push("second") });
  timers.advance(100);
  assert.deepEqual(events, ["first", "third"]);
  wheel.remove(neighbour);
  assert.equal(wheel.count, 0, "removing twice does nothing");
});

test("a deadline of a day, through all levels", () => {
  const timers = new ManualTimers();
  const wheel = new DeadlineWheel(timers);
  timers.advance(12_345);
  let firedMs = -1;
  const dayMs = 86_400_000;
  wheel.add(dayMs, {
    onDeadline() {
      firedMs = timers.nowMs();
    },
  });
  timers.advance(dayMs + 10);
  assert.ok(firedMs >= 12_345 + dayMs && firedMs <= 12_345 + dayMs + tickMs, `${firedMs}`);
});

test("many deadlines share one alarm", () => {
  const timers = new ManualTimers();
  const wheel = new DeadlineWheel(timers);
  for (let i = 0; i < 1000; i++) wheel.add(i * 10, { onDeadline() {} });
  assert.equal(timers.pending, 1);
});

test("grpc-timeout", () => {
  const rows = [
    { text: "1H", want: 3_600_000 },
    { text: "2M", want: 120_000 },
    { text: "3S", want: 3000 },
    { text: "40m", want: 40 },
    { text: "5000000u", want: 5000 },
    { text: "2000000n", want: 2 },
    { text: "0n", want: 0 },
    { text: "99999999H", want: 99_999_999 * 3_600_000 },
    { text: "100000000m", want: undefined },
    { text: "", want: undefined },
    { text: "5", want: undefined },
    { text: "m", want: undefined },
    { text: "-5m", want: undefined },
    { text: "5.5S", want: undefined },
    { text: "5s", want: undefined },
    { text: "5S ", want: undefined },
  ];
  for (const { text, want } of rows) assert.equal(parseTimeoutMs(text), want, JSON.stringify(text));
});
