// The hand-written codecs against protobufjs over the same .proto files: nanoseconds and ratio.
//   tsx bench/micro/codec.ts [iterations]
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import { noLease } from "../../src/base/brand.ts";
import {
  decodePutRequest,
  decodeRangeRequest,
  decodeTxnRequest,
} from "../../src/proto/decodeRequests.ts";
import { decodePutResponse, decodeRangeResponse } from "../../src/proto/decodeResponses.ts";
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import {
  encodeHeaderIds,
  encodePutResponse,
  encodeRangeResponse,
} from "../../src/proto/encodeResponses.ts";
import { encodeKeyValue } from "../../src/proto/keyValue.ts";
import { Writer } from "../../src/proto/writer.ts";

type TypeByName = (name: string) => protobuf.Type;
type ResponseHeader = Parameters<typeof encodePutResponse>[1];

interface Contest {
  readonly name: string;
  readonly ours: () => unknown;
  readonly theirs: () => unknown;
}

const iterationsDefault = 300_000;
const rounds = 5;

/** Runs every contest; small `iterations` make it a test that it still runs. */
export function runCodecBench(iterations: number, print: (line: string) => void): void {
  print(`${"".padEnd(28)}   ours ns  protobufjs ns  ratio`);
  for (const { name, ours, theirs } of contests()) {
    // Alternated, and the best round of each taken: the machine is shared.
    let best = Number.POSITIVE_INFINITY;
    let theirBest = Number.POSITIVE_INFINITY;
    for (let round = 0; round < rounds; round++) {
      best = Math.min(best, nanoseconds(ours, iterations));
      theirBest = Math.min(theirBest, nanoseconds(theirs, iterations));
    }
    const ratio = (theirBest / best).toFixed(1);
    print(
      `${name.padEnd(28)} ${best.toFixed(0).padStart(9)} ${theirBest.toFixed(0).padStart(14)}   ${ratio}×`,
    );
  }
}

// Results land here, so that no call can be left out.
const sink: unknown[] = [undefined];

function nanoseconds(run: () => unknown, iterations: number): number {
  const started = process.hrtime.bigint();
  for (let i = 0; i < iterations; i++) sink[0] = run();
  return Number(process.hrtime.bigint() - started) / iterations;
}

const key = Buffer.from("benchmark/key/00012345");
const value = Buffer.alloc(256, 0x76);

function contests(): readonly Contest[] {
  const type = definitions();
  return [...requestContests(type), ...answerContests(type)];
}

function requestContests(type: TypeByName): readonly Contest[] {
  const writer = new Writer();
  const put = { key, value, lease: noLease, prevKv: false, ignoreValue: false, ignoreLease: false };
  const putBytes = Buffer.from(encodePutRequest(writer, put));
  const rangeBytes = encoded(type("RangeRequest"), { key });
  const txnBytes = encoded(type("TxnRequest"), {
    compare: [{ result: 0, target: 2, key, mod_revision: 4711 }],
    success: [{ request_put: { key, value } }],
    failure: [{ request_range: { key } }],
  });
  const theirPut = type("PutRequest");
  const putMessage = theirPut.fromObject({ key, value });
  return [
    {
      name: "encode PutRequest",
      ours: () => encodePutRequest(writer, put),
      theirs: () => theirPut.encode(putMessage).finish(),
    },
    {
      name: "decode PutRequest",
      ours: () => decodePutRequest(putBytes),
      theirs: () => theirPut.decode(putBytes),
    },
    {
      name: "decode RangeRequest",
      ours: () => decodeRangeRequest(rangeBytes),
      theirs: () => type("RangeRequest").decode(rangeBytes),
    },
    {
      name: "decode TxnRequest",
      ours: () => decodeTxnRequest(txnBytes),
      theirs: () => type("TxnRequest").decode(txnBytes),
    },
  ];
}

function answerContests(type: TypeByName): readonly Contest[] {
  const writer = new Writer();
  const ids = encodeHeaderIds(0xf234_5678_9abc_def0n, 0x8234_5678_9abc_def0n);
  const header = { ids, revision: 991_234, raftTerm: 3 };
  const pair = {
    key,
    createRevision: 4711,
    modRevision: 991_234,
    version: 17,
    value,
    lease: noLease,
  };
  const row = encodeKeyValue(pair);
  const theirPair = type("mvccpb.KeyValue");
  const pairMessage = theirPair.decode(row);
  const putAnswer = { kind: "put", revision: 991_234, prevRow: undefined } as const;
  const putAnswerBytes = Buffer.from(encodePutResponse(writer, header, putAnswer));
  const theirPutAnswer = type("PutResponse");
  const putAnswerMessage = theirPutAnswer.decode(putAnswerBytes);
  return [
    {
      name: "encode KeyValue",
      ours: () => encodeKeyValue(pair),
      theirs: () => theirPair.encode(pairMessage).finish(),
    },
    {
      name: "encode PutResponse",
      ours: () => encodePutResponse(writer, header, putAnswer),
      theirs: () => theirPutAnswer.encode(putAnswerMessage).finish(),
    },
    {
      name: "decode PutResponse",
      ours: () => decodePutResponse(putAnswerBytes),
      theirs: () => theirPutAnswer.decode(putAnswerBytes),
    },
    ...[1, 100].flatMap((rows) => rangeContests(type, { row, rows, header })),
  ];
}

function rangeContests(
  type: TypeByName,
  { row, rows, header }: { row: Uint8Array; rows: number; header: ResponseHeader },
): readonly Contest[] {
  const writer = new Writer();
  const answer = {
    kind: "range",
    revision: 991_234,
    more: false,
    rows: Array<Uint8Array>(rows).fill(row),
    count: rows,
  } as const;
  const bytes = Buffer.from(encodeRangeResponse(writer, header, answer));
  const theirs = type("RangeResponse");
  const message = theirs.decode(bytes);
  return [
    {
      name: `encode RangeResponse, ${rows}`,
      ours: () => encodeRangeResponse(writer, header, answer),
      theirs: () => theirs.encode(message).finish(),
    },
    {
      name: `decode RangeResponse, ${rows}`,
      ours: () => decodeRangeResponse(bytes),
      theirs: () => theirs.decode(bytes),
    },
  ];
}

function encoded(type: protobuf.Type, fields: object): Buffer {
  return Buffer.from(type.encode(type.fromObject(fields)).finish());
}

/** @returns a look-up that is done once per name. */
function definitions(): (name: string) => protobuf.Type {
  // What is built lies one folder deeper; the definitions are not built.
  const root = import.meta.filename.endsWith(".js") ? "../../.." : "../..";
  const folder = join(import.meta.dirname, root, "src/proto/");
  const types = new protobuf.Root();
  types.resolvePath = (_origin, target) => folder + target;
  types.loadSync(
    readdirSync(folder).filter((name) => name.endsWith(".proto")),
    { keepCase: true },
  );
  const found = new Map<string, protobuf.Type>();
  return (name) => {
    const type = found.get(name) ?? types.lookupType(name);
    found.set(name, type);
    return type;
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  runCodecBench(Number(process.argv[2] ?? iterationsDefault), console.log);
}
