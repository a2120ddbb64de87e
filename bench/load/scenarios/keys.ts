// Keys of the load, and messages made from a template: the key is patched in.
import { LeaseId } from "../../../src/base/brand.ts";
import { emptyBytes } from "../../../src/base/bytes.ts";
import type { Prng } from "../../../src/base/prng.ts";
import type { PutRequest } from "../../../src/proto/kv.ts";
import type { ScenarioOptions } from "../../options.ts";

/** Chooses keys at random, or each once in order. */
export class KeyPicker {
  readonly #random: Prng | undefined;
  readonly #keySpace: number;
  #next: number;

  /** @param random undefined: in order from `first`. */
  constructor({ keySpace, first = 0, random }: KeyOrder) {
    this.#keySpace = keySpace;
    this.#next = first;
    this.#random = random;
  }

  next(): number {
    return this.#random?.integer(this.#keySpace) ?? this.#next++ % this.#keySpace;
  }
}

export interface KeyOrder {
  readonly keySpace: number;
  readonly first?: number;
  readonly random?: Prng;
}

/** A message and the places of its keys, which are all marked by the same bytes at first. */
export class Template {
  readonly message: Buffer;
  readonly #keyOffsets: readonly number[];
  readonly #endOffsets: readonly number[];

  /** @param message encoded with `templateKey` wherever a key belongs, `templateEnd` where its end. */
  constructor(message: Uint8Array, keySize: number, head = "") {
    this.message = Buffer.from(message);
    this.#keyOffsets = offsetsOf(this.message, templateKey(keySize));
    this.#endOffsets = offsetsOf(this.message, templateEnd(keySize));
    for (const offset of this.#keyOffsets) this.message.write(head, offset + 8 - keySize, "latin1");
  }

  /** Writes one key number after the other. */
  fill(keys: Pick<KeyPicker, "next">, width = 0): Uint8Array {
    for (const [i, offset] of this.#keyOffsets.entries()) {
      const key = keys.next();
      writeKey(this.message, offset, key);
      const endOffset = this.#endOffsets[i];
      if (endOffset !== undefined) writeKey(this.message, endOffset, key + width);
    }
    return this.message;
  }
}

// The number sits in the last 8 bytes, the bytes before are the same in all keys.
function offsetsOf(message: Buffer, mark: Uint8Array): readonly number[] {
  const offsets: number[] = [];
  for (let at = message.indexOf(mark); at >= 0; at = message.indexOf(mark, at + 1)) {
    offsets.push(at + mark.length - 8);
  }
  return offsets;
}

function writeKey(message: Buffer, offset: number, key: number): void {
  message.writeUInt32BE(Math.floor(key / 0x1_0000_0000), offset);
  message.writeUInt32BE(key >>> 0, offset + 4);
}

/** Bytes that occur nowhere else in a request. */
export function templateKey(keySize: number): Uint8Array {
  return new Uint8Array(keySize).fill(0xa5);
}

/** The end of a range, in the same way; the bytes before the number are those of the keys. */
export function templateEnd(keySize: number): Uint8Array {
  const end = templateKey(keySize);
  return end.fill(0x5a, keySize - 8);
}

export function keyOf(keySize: number, number: number): Uint8Array {
  const key = Buffer.from(templateKey(keySize));
  writeKey(key, keySize - 8, number);
  return key;
}

/** A put of a marked key with a value that does not compress to nothing. */
export function templatePut({
  keySize,
  valSize,
}: Pick<ScenarioOptions, "keySize" | "valSize">): PutRequest {
  const value = Uint8Array.from({ length: valSize }, (_, i) => 32 + ((i * 31) % 90));
  return {
    key: templateKey(keySize),
    value: valSize === 0 ? emptyBytes : value,
    lease: LeaseId(0n),
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  };
}
