// The codec benchmark still runs, and both sides of each contest still do.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runCodecBench } from "../../bench/micro/codec.ts";

test("the codec benchmark runs with tiny input", () => {
  const lines: string[] = [];
  runCodecBench(5, (line) => lines.push(line));
  assert.equal(lines.length, 12);
  for (const line of lines.slice(1)) assert.match(line, /^\S.* \d+ +\d+ +[\d.]+×$/);
});
