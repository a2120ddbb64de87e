// Slow work is told in the log with etcd's keys: each request once, without its values, within bounds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandKind } from "../../src/apply/command.ts";
import { MemberId } from "../../src/base/brand.ts";
import { pacedLinesMax, pacedMs } from "../../src/base/pacedLog.ts";
import type { Log, LogFields } from "../../src/base/ports.ts";
import { SeldomLog } from "../../src/base/seldomLog.ts";
import { bindMethods } from "../../src/grpc/bind.ts";
import { Pending } from "../../src/member/pending.ts";
import { RequestTimes, slowApplyMs } from "../../src/member/requestTimes.ts";
import { MemberTally } from "../../src/member/tally.ts";
import { requestTextMax } from "../../src/proto/requestText.ts";
import type { Table } from "../../src/storage/engine.ts";
import { MemoryEngine, type MemoryEngineOptions } from "../../src/storage/memory.ts";
import { FakeCall } from "../api/fakeMember.ts";
import { LocalCluster } from "../support/localCluster.ts";
import { encodeMessage } from "../support/messages.ts";

type Lines = [message: string, fields?: LogFields][];

function memoryLog(): { readonly log: Log; readonly lines: Lines } {
  const lines: Lines = [];
  const note = (message: string, fields?: LogFields): void =>
    void lines.push(fields === undefined ? [message] : [message, fields]);
  return { log: { debug() {}, info() {}, warn: note, error: note }, lines };
}

/** A disk that takes its time for every row that is read from it. */
class SlowEngine extends MemoryEngine {
  readonly #onGet: () => void;

  constructor(options: MemoryEngineOptions, onGet: () => void) {
    super(options);
    this.#onGet = onGet;
  }

  override get(table: Table, key: Uint8Array): Uint8Array | undefined {
    this.#onGet();
    return super.get(table, key);
  }
}

/** One member that keeps no row in memory, with a few keys on its disk. */
function slowMember(): {
  readonly cluster: LocalCluster;
  readonly lines: Lines;
  /** What a read of one row takes. */
  readonly disk: { getMs: number };
  readonly ask: (method: string, type: string, request: object) => void;
  readonly put: (key: string, value: string, more?: object) => void;
} {
  const { log, lines } = memoryLog();
  const disk = { getMs: 0 };
  const cluster: LocalCluster = new LocalCluster(1, 1, {
    ...{ log, recentBytesMax: 0 },
    engineOf: (options) =>
      new SlowEngine(options, () => disk.getMs > 0 && cluster.pass(disk.getMs)),
  });
  cluster.tick(50);
  const { unary } = bindMethods(cluster.leader());
  const ask = (method: string, type: string, request: object): void => {
    const call = new FakeCall();
    unary.get(`/etcdserverpb.${method}`)?.(call, encodeMessage(type, request));
    cluster.settle();
    assert.equal(call.answers.length, 1, method);
  };
  const put = (key: string, value: string, more: object = {}): void =>
    ask("KV/Put", "PutRequest", { key: Buffer.from(key), value: Buffer.from(value), ...more });
  for (const key of "abcdefg") put(key, "secret");
  cluster.tick(20);
  return { cluster, lines, disk, ask, put };
}

const took = "apply request took too long";

test("a request that the store makes slow is told once, as etcd tells it", () => {
  const { cluster, lines, disk, ask, put } = slowMember();
  assert.equal(lines.length, 0);
  // A row that was read once stays in memory: each request has a key of its own.
  const key = (name: string): Buffer => Buffer.from(name, "latin1");
  disk.getMs = slowApplyMs;
  ask("KV/Range", "RangeRequest", { key: key("a") });
  assert.equal(lines.length, 0, "just within what is expected");
  disk.getMs = 150;
  put("b", "hidden", { prev_kv: true });
  put("new", "quick");
  ask("KV/Range", "RangeRequest", { key: key("c"), serializable: true });
  ask("KV/Range", "RangeRequest", { key: key("d"), range_end: key("x"), limit: 1 });
  const reads = ["e", "z"].map((name) => ({ request_range: { key: key(name) } }));
  ask("KV/Txn", "TxnRequest", { success: reads });
  const value = key("guess");
  const request_put = { key: key('"\0\xff'), value };
  ask("KV/Txn", "TxnRequest", {
    compare: [{ target: "VALUE", key: key("f"), value }],
    success: [{ request_put }],
    failure: [{ request_put }, { request_delete_range: { key: key("q") } }],
  });
  ask("KV/DeleteRange", "DeleteRangeRequest", { key: key("g"), prev_kv: true });
  const facts = lines.map(([message, fields = {}]) => {
    assert.equal(message, took);
    const { took: time, "expected-duration": expected, prefix, request, response } = fields;
    assert.equal(expected, "100ms");
    return [time, `${prefix}${request}`, response];
  });
  assert.deepEqual(facts, [
    ["150.000ms", 'put:<key:"b" value_size:6 prev_kv:true>', "size:23"],
    ["150.000ms", 'read-only range key:"c" serializable:true', "range_response_count:1 size:31"],
    [
      "150.000ms",
      'read-only range key:"d" range_end:"x" limit:1',
      "range_response_count:1 size:33",
    ],
    [
      "150.000ms",
      'read-only txn compare:<> success:<request_range:<key:"e"> request_range:<key:"z">> failure:<>',
      "responses:<range_response_count:1 range_response_count:0> size:49",
    ],
    [
      "150.000ms",
      'txn:<compare:<target:VALUE key:"f" value_size:5> success:<request_put:<key:"\\"\\000\\377" value_size:5>> ' +
        'failure:<request_put:<key:"\\"\\000\\377" value_size:5> request_delete_range:<key:"q">>>',
      "size:20",
    ],
    ["150.000ms", 'delete_range:<key:"g" prev_kv:true>', "size:25"],
  ]);
  assert.equal(cluster.leader().numbers().tally.slowApplies, facts.length);
  assert.doesNotMatch(JSON.stringify(lines), /secret|hidden|guess|quick/);
});

test("slow requests by the hundred make few lines, and large ones short lines", () => {
  const { lines, disk, ask, cluster } = slowMember();
  disk.getMs = 0;
  // All of one moment: a clock that only the disk moves would let the second pass.
  const { times } = cluster.leader();
  for (let i = 0; i < 100; i++) {
    times.tell(150, () => ({ prefix: "", request: `${i}`, response: "" }));
  }
  assert.equal(lines.length, pacedLinesMax);
  assert.equal(cluster.leader().numbers().tally.slowApplies, 100);
  cluster.pass(pacedMs);
  disk.getMs = 150;
  const key = Buffer.alloc(2_000, "k");
  const many = Array(100).fill({ request_range: { key } });
  ask("KV/Txn", "TxnRequest", { success: [{ request_range: { key: Buffer.from("a") } }, ...many] });
  const [, fields] = lines.at(-1) ?? [];
  assert.equal(lines.length, pacedLinesMax + 1);
  assert.equal(fields?.["lines skipped"], 100 - pacedLinesMax);
  assert.ok(`${fields?.request}`.length <= requestTextMax + 3, `${fields?.request}`.slice(0, 99));
});

test("a slow round of small entries, a silent quorum round, commands that wait", () => {
  const { log, lines } = memoryLog();
  const tally = new MemberTally();
  const times = new RequestTimes({ clock: { nowMs: () => 0 }, log }, tally);
  times.onRound(3, slowApplyMs);
  times.onRound(3, slowApplyMs + 1);
  // What is left when the one that was slow by itself is taken away.
  times.onSlow({ kind: CommandKind.put, body: Buffer.alloc(0), outcome: undefined, tookMs: 150 });
  times.onRound(3, 200);
  assert.equal(tally.slowApplies, 2);
  const seldom = new SeldomLog(log, { nowMs: () => 0 });
  for (const slowReads of [0, 1, 1, 2]) tally.onReadsTick(slowReads, seldom);
  tally.onOutcome(5, 299, seldom);
  tally.onOutcome(5, 300, seldom);
  tally.onOutcome(7, 400, seldom);
  assert.equal(tally.slowCommands, 12);
  const more = { "expected-duration": "100ms", prefix: "", response: "" };
  assert.deepEqual(lines, [
    [took, { took: "101.000ms", ...more, request: "entries:3" }],
    [took, { took: "150.000ms", ...more, request: "put:<>" }],
    ["waiting for ReadIndex response took too long, retrying", { "retry-timeout": "500ms" }],
    ["request stats", { "time spent": "300ms", "expected-duration": "300ms", "request count": 5 }],
  ]);
});
test("whoever takes a batch's outcome says how long its first command waited", () => {
  const told: string[] = [];
  const pending = new Pending({
    ...{ self: MemberId(7n), incarnation: 3, waitTicksMax: 70, resendTicksMin: 20 },
    onOutcome: (commands, ticks) => void told.push(`${commands} ${ticks}`),
  });
  const proposed: Uint8Array[] = [];
  const propose = (datas: readonly Uint8Array[]): void => void proposed.push(...datas);
  for (const key of ["a", "b"]) {
    const completion = { onOutcome() {}, onRefused() {} };
    pending.add(CommandKind.put, Buffer.from(key), completion);
  }
  pending.proposeTurn(propose);
  for (let tick = 0; tick < 4; tick++) pending.tick(propose);
  pending.take(proposed[0] ?? new Uint8Array(0));
  assert.deepEqual(told, ["2 4"]);
});
