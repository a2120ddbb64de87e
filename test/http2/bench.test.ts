// The benchmark of the door with tiny input, so that it cannot rot.
import assert from "node:assert/strict";
import { test } from "node:test";
import { measureDoor } from "../../bench/micro/door.ts";

test("measureDoor answers every call", () => {
  const few = measureDoor({ turns: 3, callsPerTurn: 10 });
  const more = measureDoor({ turns: 4, callsPerTurn: 10 });
  assert.equal(few.calls, 30);
  // Past the first answers, which fill the header table, each call costs the same bytes.
  assert.equal(more.bytesOut - few.bytesOut, 10 * (9 + 2 + 9 + 5 + 28 + 9 + 1));
});
