// Changes of membership are told once each, and lines for people are readable.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemberId } from "../../src/base/brand.ts";
import type { LogFields } from "../../src/base/ports.ts";
import { textLine } from "../../src/base/system.ts";
import type { LinkInfo } from "../../src/member/roster.ts";
import { MemberNews } from "../../workers/memberNews.ts";

test("added, promoted, moved and removed members are news, the first list is not", () => {
  const lines: string[] = [];
  const note = (message: string, fields: LogFields = {}): void =>
    void lines.push([message, ...Object.values(fields).slice(1)].join(" "));
  const news = new MemberNews({ debug() {}, info: note, warn: note, error: note }, 1n);
  const member = (id: number, url = `http://${id}`, isLearner = false): LinkInfo => ({
    ...{ id: MemberId(BigInt(id)), name: `m${id}`, peerUrls: [url], isLearner },
    ...{ birth: 0, clientUrls: [] },
  });
  const lists = [
    [member(1), member(2)],
    [member(1), member(2), member(3, "http://3", true)],
    [member(1), member(2), member(3, "http://3", true)],
    [member(1), member(2), member(3)],
    [member(1), member(2, "http://other"), member(3)],
    [member(1), member(3)],
  ];
  for (const list of lists) news.note(list);
  assert.deepEqual(lines, [
    ...["added member 3 http://3 true", "promoted member 3"],
    ...["updated member 2 http://other", "removed member 2"],
  ]);
});

test("a line for people", () => {
  const time = new Date("2026-01-02T03:04:05.678Z");
  const fields = { leader: 0xabcn, why: "no such file", isWell: false, empty: "" };
  assert.equal(
    textLine({ time, level: "warn", caller: "m1", message: "slow", fields }),
    '03:04:05.678 WARN  m1  slow  leader=abc  why="no such file"  isWell=false  empty=\n',
  );
  assert.equal(
    textLine({ time, level: "error", caller: "m1", message: "x" }),
    "03:04:05.678 ERROR m1  x\n",
  );
});
