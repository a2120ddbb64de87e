// Entries as they come out of the log: batches of encoded puts, made before anything is timed.
import { BatchBuilder, CommandKind } from "../../src/apply/command.ts";
import { MemberId } from "../../src/base/brand.ts";
import { Prng } from "../../src/base/prng.ts";
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import { Writer } from "../../src/proto/writer.ts";
import { KeyPicker, Template, templatePut } from "../load/scenarios/keys.ts";
import type { ApplyOptions } from "../options.ts";

type Shape = Pick<ApplyOptions, "keySize" | "valSize" | "keySpace" | "batch" | "seed">;

/** Where a batch holds its sequence; see apply/command.ts. */
const sequenceAt = 15;

/** The first `count` numbers of a fixed walk that meets each of `keySpace` once. */
export function scattered(keySpace: number, seed: number): (i: number) => number {
  // A step without a common divisor visits all of them.
  let step = Math.floor(keySpace * 0.618) + seed;
  while (divisor(step, keySpace) !== 1) step++;
  return (i) => Number((BigInt(i) * BigInt(step)) % BigInt(keySpace));
}

/** Puts of keys 0 to `count`, each once, in an order that looks random. */
export function eachOnce(shape: Shape, count: number): readonly Uint8Array[] {
  const at = scattered(count, shape.seed);
  let i = 0;
  return entriesOf(shape, count, { next: () => at(i++) });
}

/** Puts of keys at random. */
export function atRandom(shape: Shape, count: number): readonly Uint8Array[] {
  const random = new Prng(shape.seed);
  return entriesOf(shape, count, new KeyPicker({ keySpace: shape.keySpace, random }));
}

function entriesOf(
  shape: Shape,
  count: number,
  keys: Pick<KeyPicker, "next">,
): readonly Uint8Array[] {
  const template = new Template(encodePutRequest(new Writer(), templatePut(shape)), shape.keySize);
  const builder = new BatchBuilder();
  const entries: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    builder.add(CommandKind.put, template.fill(keys));
    if (builder.count < shape.batch && i < count - 1) continue;
    entries.push(builder.finish({ member: MemberId(1n), incarnation: 1, sequence: 1 }));
  }
  return entries;
}

/** Makes an entry the next of its origin, in place: the same one may be applied again. */
export function stamp(entry: Uint8Array, sequence: number): Uint8Array {
  Buffer.from(entry.buffer, entry.byteOffset).writeUIntLE(sequence, sequenceAt, 6);
  return entry;
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}
