// Health pages over a member that is made unwell in every way.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LogIndex, MemberId, noMember, Revision, Term } from "../../src/base/brand.ts";
import { type EtcdError, errNoLeader, errTimeout } from "../../src/base/errors.ts";
import type { HttpReply } from "../../src/gateway/exchange.ts";
import { type HealthSource, HealthTally, healthPages } from "../../src/gateway/health.ts";
import type { MemberStatus } from "../../src/member/service.ts";
import { AlarmKind } from "../../src/proto/maintenanceCodec.ts";

const kinds = { NOSPACE: AlarmKind.noSpace, CORRUPT: AlarmKind.corrupt } as const;

interface Ailment {
  readonly alarms?: readonly (keyof typeof kinds)[];
  readonly leader?: MemberId;
  readonly isLearner?: boolean;
  readonly quorum?: EtcdError;
  readonly local?: EtcdError;
}

function ask(ailment: Ailment, url: string): { status: number; body: string; tally: HealthTally } {
  const tally = new HealthTally();
  const { pathname, searchParams } = new URL(url, "http://a");
  const page = healthPages(sourceOf(ailment, tally)).get(pathname);
  assert.ok(page, url);
  const answer = { status: 0, body: "", tally };
  const request = {
    ...{ method: "GET", path: pathname, query: searchParams, isSecure: false },
    header: () => undefined,
  };
  const reply: HttpReply = {
    isOver: false,
    backlogBytes: 0,
    whole(status, _fields, body) {
      assert.equal(answer.status, 0, "answered once");
      answer.status = status;
      answer.body = body;
    },
    begin: () => assert.fail(),
    write: () => assert.fail(),
    end: () => assert.fail(),
    abort: () => assert.fail(),
    listen: () => assert.fail(),
  };
  page(request, reply);
  return answer;
}

function sourceOf(ailment: Ailment, tally: HealthTally): HealthSource {
  const status: MemberStatus = {
    id: MemberId(1n),
    role: "follower",
    term: Term(1),
    leader: ailment.leader ?? MemberId(2n),
    commit: LogIndex(1),
    applied: LogIndex(1),
    revision: Revision(1),
    dbSizeBytes: 0,
    dbSizeInUseBytes: 0,
    isLearner: ailment.isLearner ?? false,
    isRefilling: false,
  };
  return {
    tally,
    member: {
      alarms: () => (ailment.alarms ?? []).map((name) => ({ memberId: 1n, kind: kinds[name] })),
      status: () => status,
      readIndex(completion) {
        if (ailment.quorum === undefined) completion.onReady();
        else completion.onRefused(ailment.quorum);
      },
      state: {
        revision: Revision(1),
        range() {
          if (ailment.local !== undefined) throw ailment.local;
          return { kind: "range", revision: Revision(1), rows: [], more: false, count: 0 };
        },
        beginRange: () => assert.fail(),
        stepRange: () => assert.fail(),
        readTxn: () => assert.fail(),
      },
    },
  };
}

const noLeader: Ailment = { leader: noMember, quorum: errTimeout };

test("health says why", () => {
  const rows: readonly (readonly [Ailment, string, number, string])[] = [
    [{}, "/health", 200, '{"health":"true","reason":""}'],
    [noLeader, "/health", 503, '{"health":"false","reason":"RAFT NO LEADER"}\n'],
    [noLeader, "/health?serializable=true", 200, '{"health":"true","reason":""}'],
    [
      { quorum: errTimeout },
      "/health",
      503,
      '{"health":"false","reason":"RANGE ERROR:etcdserver: request timed out"}\n',
    ],
    [{ alarms: ["NOSPACE"] }, "/health", 503, '{"health":"false","reason":"ALARM NOSPACE"}\n'],
    [{ alarms: ["NOSPACE"] }, "/health?exclude=NOSPACE", 200, '{"health":"true","reason":""}'],
    [
      { alarms: ["NOSPACE", "CORRUPT"], leader: noMember },
      "/health?exclude=NOSPACE",
      503,
      '{"health":"false","reason":"ALARM CORRUPT"}\n',
    ],
    [
      { local: errNoLeader },
      "/health?serializable=true",
      503,
      '{"health":"false","reason":"RANGE ERROR:etcdserver: no leader"}\n',
    ],
  ];
  for (const [ailment, url, status, body] of rows) {
    const answer = ask(ailment, url);
    assert.deepEqual([answer.status, answer.body], [status, body], url);
    const { successes, failures } = answer.tally;
    assert.deepEqual([successes, failures], status === 200 ? [1, 0] : [0, 1]);
  }
});

test("livez and readyz say which check", () => {
  const rows: readonly (readonly [Ailment, string, number, string])[] = [
    [{}, "/livez", 200, "ok\n"],
    [{}, "/livez?verbose", 200, "[+]serializable_read ok\nok\n"],
    [noLeader, "/livez", 200, "ok\n"],
    [{}, "/readyz/linearizable_read", 200, "ok\n"],
    [{}, "/readyz/non_learner?verbose", 200, "[+]non_learner ok\nok\n"],
    [
      noLeader,
      "/readyz",
      503,
      "[+]data_corruption ok\n[+]serializable_read ok\n" +
        "[-]linearizable_read failed: etcdserver: request timed out\n[+]non_learner ok\n\n",
    ],
    [noLeader, "/readyz?exclude=linearizable_read&exclude=nothing", 200, "ok\n"],
    [noLeader, "/readyz/serializable_read", 200, "ok\n"],
    [
      { alarms: ["CORRUPT"] },
      "/readyz/data_corruption",
      503,
      "[-]data_corruption failed: alarm activated: CORRUPT\n\n",
    ],
    [{ alarms: ["NOSPACE"] }, "/readyz", 200, "ok\n"],
    [
      { isLearner: true },
      "/readyz/non_learner",
      503,
      "[-]non_learner failed: not supported for learner\n\n",
    ],
  ];
  for (const [ailment, url, status, body] of rows) {
    const answer = ask(ailment, url);
    assert.deepEqual([answer.status, answer.body], [status, body], url);
  }
  const { checks } = ask(noLeader, "/readyz").tally;
  const { last, errors } = checks.get("readyz linearizable_read") ?? {};
  assert.deepEqual([last, errors], [false, 1]);
});
