// What one operation of a verb looks like on the wire, made from a template: the key is patched in.
import { LeaseId } from "../../src/base/brand.ts";
import { emptyBytes } from "../../src/base/bytes.ts";
import type { Prng } from "../../src/base/prng.ts";
import type { PutRequest } from "../../src/proto/kv.ts";

export interface Operation {
  readonly path: string;
  /** Valid until the next operation is made. */
  readonly message: Uint8Array;
}

export interface Scenario {
  next(): Operation;
}

/** The numbers that shape an operation. */
export interface ScenarioOptions {
  readonly keySize: number;
  readonly valSize: number;
  readonly keySpace: number;
  readonly serializable: boolean;
  readonly reads: number;
  readonly txnOps: number;
  readonly compare: boolean;
}

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

  /** @param message encoded with `templateKey` wherever a key belongs. */
  constructor(message: Uint8Array, keySize: number) {
    this.message = Buffer.from(message);
    const mark = Buffer.from(templateKey(keySize));
    const offsets: number[] = [];
    for (let at = this.message.indexOf(mark); at >= 0; at = this.message.indexOf(mark, at + 1)) {
      // The number sits in the last 8 bytes, the bytes before are the same in all keys.
      offsets.push(at + keySize - 8);
    }
    this.#keyOffsets = offsets;
  }

  /** Writes one key number after the other. */
  fill(keys: KeyPicker): Uint8Array {
    for (const offset of this.#keyOffsets) {
      const key = keys.next();
      this.message.writeUInt32BE(Math.floor(key / 0x1_0000_0000), offset);
      this.message.writeUInt32BE(key >>> 0, offset + 4);
    }
    return this.message;
  }
}

/** Bytes that occur nowhere else in a request. */
export function templateKey(keySize: number): Uint8Array {
  return new Uint8Array(keySize).fill(0xa5);
}

/** A put of a marked key with a value that does not compress to nothing. */
export function templatePut({ keySize, valSize }: ScenarioOptions): PutRequest {
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
