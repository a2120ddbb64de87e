// The benchmarks of the door with tiny input, so that they cannot rot.
import assert from "node:assert/strict";
import { test } from "node:test";
import { measureDoor } from "../../bench/micro/door.ts";
import { benchHpack } from "../../bench/micro/hpack.ts";

test("measureDoor answers every call", () => {
  const few = measureDoor({ turns: 3, callsPerTurn: 10 });
  const more = measureDoor({ turns: 4, callsPerTurn: 10 });
  assert.equal(few.calls, 30);
  // Past the first answers, which fill the header table, each call costs the same bytes.
  assert.equal(more.bytesOut - few.bytesOut, 10 * (9 + 2 + 9 + 5 + 28 + 9 + 1));
});

test("benchHpack decodes both kinds of blocks", () => {
  const rows = benchHpack(20);
  assert.deepEqual(
    rows.map(({ name, fields }) => [name, fields]),
    [
      ["by index", 7],
      ["first of a connection", 7],
    ],
  );
  for (const { nanosecondsPerBlock } of rows) assert.ok(nanosecondsPerBlock > 0);
});
