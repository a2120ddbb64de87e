// The same random requests to Quorlet and to a real etcd, one after the other, until they disagree.
import { Prng } from "../../src/base/prng.ts";
import { canonicalAnswer, dump, encodingFault, isPlainlySame, revisionIn } from "./kvCompare.ts";
import { KvGenerator, type KvRequest } from "./kvGenerator.ts";
import { encodeMessage } from "./messages.ts";
import type { RunningCluster } from "./server.ts";
import { type WireAnswer, WireClient } from "./wireClient.ts";

export interface DifferentialRun {
  readonly seed: number;
  readonly requestCount: number;
  /** Fresh and empty, as the subject. */
  readonly oracle: RunningCluster;
  readonly subject: RunningCluster;
  /** Changes the subject's answers, to prove that changes are found. */
  readonly tamper?: (request: KvRequest, answer: WireAnswer, number: number) => WireAnswer;
}

export interface DifferentialTally {
  /** Answers per method and kind: "Put ok", "Txn error 3". */
  readonly counts: ReadonlyMap<string, number>;
  readonly revision: number;
}

/** Of a server that went away. */
const shownLinesMax = 30;
/** Far beyond the longest run. */
const leaseTtlSec = 9000;
const unimplemented = 12;
const leaseIds = ["7", "8"];

/** @throws at the first difference, with seed, request and both answers. */
export async function runDifferential(run: DifferentialRun): Promise<DifferentialTally> {
  const oracle = new WireClient(run.oracle.endpoints[0] ?? "");
  const subjects = run.subject.endpoints.map((endpoint) => new WireClient(endpoint));
  try {
    const [first] = subjects;
    // Without a lease service only unknown leases are tried.
    const leases = first !== undefined && (await grantLeases(first)) ? leaseIds : [];
    if (leases.length > 0) await grantLeases(oracle);
    return await compareAll(run, { oracle, subjects, leases });
  } finally {
    for (const client of [oracle, ...subjects]) client.close();
  }
}

/** @returns false when the server knows no leases at all. */
async function grantLeases(client: WireClient): Promise<boolean> {
  for (const ID of leaseIds) {
    const request = encodeMessage("LeaseGrantRequest", { ID, TTL: leaseTtlSec });
    const answer = await client.call("/etcdserverpb.Lease/LeaseGrant", request);
    if (answer.kind === "ok") continue;
    if (answer.code === unimplemented) return false;
    throw new Error(`no lease from ${client.endpoint}: ${answer.text}`);
  }
  return true;
}

interface Sides {
  readonly oracle: WireClient;
  readonly subjects: readonly WireClient[];
  readonly leases: readonly string[];
}

async function compareAll(
  run: DifferentialRun,
  { oracle, subjects, leases }: Sides,
): Promise<DifferentialTally> {
  const generator = new KvGenerator(run.seed, leases);
  const members = new Prng(run.seed + 1);
  const counts = new Map<string, number>();
  let aim = { revision: 1, compacted: -1 };
  let [subject] = subjects;
  for (let number = 1; number <= run.requestCount; number++) {
    const request = generator.next(aim);
    // A serializable read may lag anywhere but on the member that answered last.
    if (!mayBeStale(request)) subject = subjects[members.integer(subjects.length)];
    if (subject === undefined) throw new Error("the subject has no endpoints");
    const path = `/etcdserverpb.KV/${request.method}`;
    const [wanted, got] = await Promise.all([
      oracle.call(path, request.bytes),
      subject.call(path, request.bytes),
    ]);
    const judged = run.tamper?.(request, got, number) ?? got;
    judge({ run, number, request, endpoint: subject.endpoint, wanted, got: judged });
    const label = `${request.method} ${wanted.kind === "ok" ? "ok" : `error ${wanted.code}`}`;
    counts.set(label, (counts.get(label) ?? 0) + 1);
    aim = nextAim(aim, request, wanted);
  }
  return { counts, revision: aim.revision };
}

interface Judged {
  readonly run: DifferentialRun;
  readonly number: number;
  readonly request: KvRequest;
  readonly endpoint: string;
  readonly wanted: WireAnswer;
  readonly got: WireAnswer;
}

function judge({ run, number, request, endpoint, wanted, got }: Judged): void {
  const isSame = isPlainlySame(request, wanted, got);
  const want = isSame ? "" : canonicalAnswer(request, wanted);
  const have = isSame ? "" : canonicalAnswer(request, got);
  const fault = encodingFault(request.method, got);
  const gone = [wanted, got].some((answer) => answer.kind === "error" && answer.code === 14);
  if (want === have && fault === undefined && !gone) return;
  throw new Error(
    [
      `seed ${run.seed}, request ${number} of ${run.requestCount}, to ${endpoint}`,
      dump(request),
      `${run.oracle.name}: ${want}`,
      `${run.subject.name}: ${have}`,
      ...(fault === undefined ? [] : [fault]),
      ...(gone ? [lastLines(run.oracle.output), lastLines(run.subject.output)] : []),
      `Again: npm test -- wire/differential --seed ${run.seed}`,
    ].join("\n"),
  );
}

function lastLines(output: string): string {
  return output.split("\n").slice(-shownLinesMax).join("\n");
}

function nextAim(
  aim: { readonly revision: number; readonly compacted: number },
  request: KvRequest,
  answer: WireAnswer,
): { readonly revision: number; readonly compacted: number } {
  const revision = revisionIn(request, answer) ?? aim.revision;
  const compactedNow = request.method === "Compact" && answer.kind === "ok";
  return {
    revision,
    compacted: compactedNow ? Number(request.message.revision ?? 0) : aim.compacted,
  };
}

/** As a txn without operations: nothing in it asks for a linearizable read. */
function mayBeStale({ method, message }: KvRequest): boolean {
  const isEmptyTxn = method === "Txn" && !message.success && !message.failure;
  return isEmptyTxn || JSON.stringify(message).includes('"serializable":true');
}
