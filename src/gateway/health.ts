// Health as etcd tells it: /health in one word and a reason, /livez and /readyz check by check.
import { noMember } from "../base/brand.ts";
import { EtcdError } from "../base/errors.ts";
import type { MemberService } from "../member/service.ts";
import { type RangeRequest, SortOrder, SortTarget } from "../proto/kv.ts";
import { AlarmKind } from "../proto/maintenanceCodec.ts";
import { type Fields, type HttpReply, type HttpRequest, plainType } from "./exchange.ts";
import type { Page } from "./server.ts";

export interface CheckTally {
  last: boolean;
  successes: number;
  errors: number;
}

/** What became of the questions; for metrics. */
export class HealthTally {
  successes = 0;
  failures = 0;
  /** By "livez name" or "readyz name". */
  readonly checks = new Map<string, CheckTally>();
}

export interface HealthSource {
  readonly member: Pick<MemberService, "status" | "readIndex" | "state" | "alarms">;
  readonly tally: HealthTally;
}

/** Undefined: well; otherwise why not. Called once, within the call or later. */
type Verdict = (why: string | undefined) => void;
type Check = (source: HealthSource, done: Verdict) => void;

const textFields: Fields = [["Content-Type", "text/plain; charset=utf-8"]];
/** The least that can be asked: one key without its value. */
const anyKey: RangeRequest = {
  key: new Uint8Array(1),
  rangeEnd: new Uint8Array(1),
  limit: 1,
  revision: 0,
  sortOrder: SortOrder.none,
  sortTarget: SortTarget.key,
  serializable: true,
  keysOnly: true,
  countOnly: false,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
};

const serializableRead: Check = ({ member }, done) => {
  try {
    member.state.range(anyKey);
    done(undefined);
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    done(error.message);
  }
};

const linearizableRead: Check = (source, done) => {
  source.member.readIndex({
    onReady: () => serializableRead(source, done),
    onRefused: (error) => done(error.message),
  });
};

const dataCorruption: Check = (source, done) => {
  done(alarmNames(source).includes("CORRUPT") ? "alarm activated: CORRUPT" : undefined);
};

/** Of those that are on anywhere in the cluster, the worse first. */
function alarmNames({ member }: HealthSource): readonly string[] {
  const kinds = new Set(member.alarms().map(({ kind }) => kind));
  const names = [
    [AlarmKind.corrupt, "CORRUPT"],
    [AlarmKind.noSpace, "NOSPACE"],
  ] as const;
  return names.filter(([kind]) => kinds.has(kind)).map(([, name]) => name);
}

const nonLearner: Check = ({ member }, done) => {
  done(member.status().isLearner ? "not supported for learner" : undefined);
};

const checks: Readonly<Record<"livez" | "readyz", ReadonlyMap<string, Check>>> = {
  livez: new Map([["serializable_read", serializableRead]]),
  readyz: new Map([
    ["data_corruption", dataCorruption],
    ["serializable_read", serializableRead],
    ["linearizable_read", linearizableRead],
    ["non_learner", nonLearner],
  ]),
};

/** All pages about health, by path. */
export function healthPages(source: HealthSource): ReadonlyMap<string, Page> {
  const pages = new Map<string, Page>([["/health", healthPage(source)]]);
  for (const type of ["livez", "readyz"] as const) {
    const all = checks[type];
    pages.set(`/${type}`, checksPage(source, type, all));
    for (const [name, check] of all) {
      pages.set(`/${type}/${name}`, checksPage(source, type, new Map([[name, check]])));
    }
  }
  return pages;
}

function healthPage(source: HealthSource): Page {
  return (request, reply) => {
    const answer = (reason: string): void => {
      const isWell = reason === "";
      if (isWell) source.tally.successes++;
      else source.tally.failures++;
      const body = JSON.stringify({ health: `${isWell}`, reason });
      if (isWell) reply.whole(200, textFields, body);
      else reply.whole(503, plainType, `${body}\n`);
    };
    const excluded = request.query.getAll("exclude");
    const alarm = alarmNames(source).find((name) => !excluded.includes(name));
    const isLocal = request.query.get("serializable") === "true";
    if (alarm !== undefined) answer(`ALARM ${alarm}`);
    else if (!isLocal && source.member.status().leader === noMember) answer("RAFT NO LEADER");
    else {
      const read = isLocal ? serializableRead : linearizableRead;
      read(source, (why) => answer(why === undefined ? "" : `RANGE ERROR:${why}`));
    }
  };
}

function checksPage(source: HealthSource, type: string, all: ReadonlyMap<string, Check>): Page {
  return (request, reply) => {
    const excluded = request.query.getAll("exclude");
    const wanted = [...all].filter(([name]) => !excluded.includes(name));
    const reasons = new Map<string, string | undefined>();
    const next = (): void => {
      const following = wanted[reasons.size];
      if (following === undefined) {
        answerChecks(request, reply, reasons);
        return;
      }
      const [name, check] = following;
      check(source, (why) => {
        count(source.tally, `${type} ${name}`, why === undefined);
        reasons.set(name, why);
        next();
      });
    };
    next();
  };
}

function answerChecks(
  request: HttpRequest,
  reply: HttpReply,
  reasons: ReadonlyMap<string, string | undefined>,
): void {
  const lines = [...reasons].map(([name, why]) =>
    why === undefined ? `[+]${name} ok\n` : `[-]${name} failed: ${why}\n`,
  );
  const isWell = [...reasons.values()].every((why) => why === undefined);
  if (!isWell) reply.whole(503, plainType, `${lines.join("")}\n`);
  else if (request.query.has("verbose")) reply.whole(200, textFields, `${lines.join("")}ok\n`);
  else reply.whole(200, textFields, "ok\n");
}

function count({ checks: counted }: HealthTally, key: string, isWell: boolean): void {
  const check = counted.get(key) ?? { last: isWell, successes: 0, errors: 0 };
  counted.set(key, check);
  check.last = isWell;
  if (isWell) check.successes++;
  else check.errors++;
}
