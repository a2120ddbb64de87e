// Header blocks of a gRPC call: nanoseconds a block. Run: npx tsx bench/micro/hpack.ts [blocks]
import { pathToFileURL } from "node:url";
import { HpackDecoder } from "../../src/http2/hpack.ts";

export interface HpackRow {
  readonly name: string;
  readonly fields: number;
  readonly nanosecondsPerBlock: number;
}

const listBytesMax = 65_536;
/** Indexes of the static table: `:method POST`, `:scheme http`. */
const [post, http] = [0x83, 0x86];

/** A literal that enters the table: its name by index of the static table, or in letters. */
function literal(name: number | string, value: string): Buffer {
  const text = (some: string): Buffer => Buffer.concat([Buffer.of(some.length), Buffer.from(some)]);
  const head = typeof name === "number" ? Buffer.of(0x40 | name) : Buffer.of(0x40);
  return Buffer.concat([head, ...(typeof name === "string" ? [text(name)] : []), text(value)]);
}

/** What a client says at its first call: five literals, which the table keeps. */
const firstBlock = Buffer.concat([
  Buffer.of(post, http),
  literal(4, "/etcdserverpb.KV/Put"),
  literal(1, "127.0.0.1:2379"),
  literal(31, "application/grpc"),
  literal(58, "grpc-go/1.59.0"),
  literal("te", "trailers"),
]);
/** The same by index, as at each call behind it. The last that entered the table is number 62. */
const laterBlock = Buffer.of(post, http, ...[66, 65, 64, 63, 62].map((index) => 0x80 | index));

/** @param blocks of each kind; a tenth as many warm up and do not count. */
export function benchHpack(blocks: number): readonly HpackRow[] {
  const known = new HpackDecoder({ listBytesMax });
  decode(known, firstBlock);
  return [
    measure("by index", blocks, () => decode(known, laterBlock)),
    measure("first of a connection", blocks, () =>
      decode(new HpackDecoder({ listBytesMax }), firstBlock),
    ),
  ];
}

function decode(decoder: HpackDecoder, block: Buffer): number {
  if (!decoder.decode(block, 0, block.length)) throw new Error("the list is too large");
  return decoder.count;
}

function measure(name: string, blocks: number, run: () => number): HpackRow {
  const fields = run();
  for (let i = 0; i < blocks / 10; i++) run();
  const startedMs = performance.now();
  let seen = 0;
  for (let i = 0; i < blocks; i++) seen += run();
  const nanosecondsPerBlock = ((performance.now() - startedMs) * 1e6) / blocks;
  if (seen !== fields * blocks) throw new Error("a field was lost");
  return { name, fields, nanosecondsPerBlock };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const { name, fields, nanosecondsPerBlock } of benchHpack(
    Number(process.argv[2] ?? 200_000),
  ))
    console.log(`${name}: ${fields} fields, ${nanosecondsPerBlock.toFixed(0)} ns`);
}
