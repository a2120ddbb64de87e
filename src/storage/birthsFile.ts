// With which log each peer began, as it told first: a few lines of JSON beside log and store. Written
// before the peer is believed, so that it is held to it also after a restart of this member.
import fs from "node:fs";
import path from "node:path";
import { MemberId } from "../base/brand.ts";
import { DataDirError } from "./dataDirError.ts";

export const birthsName = "births.json";
/** Every member that ever joined leaves a line; the oldest go. */
const peersMax = 1_024;

export class BirthsFile {
  readonly #file: string;
  readonly #births: Map<MemberId, number>;

  /** @throws {DataDirError} for a file that cannot be read, or is damaged. */
  constructor(directory: string) {
    this.#file = path.join(directory, birthsName);
    this.#births = read(this.#file);
  }

  get(peer: MemberId): number | undefined {
    return this.#births.get(peer);
  }

  /** Durable on return. @throws {DataDirError} when it could not be written. */
  set(peer: MemberId, birth: number): void {
    const births = new Map(this.#births).set(peer, birth);
    while (births.size > peersMax) {
      const [oldest] = births.keys();
      if (oldest !== undefined) births.delete(oldest);
    }
    const json = Object.fromEntries([...births].map(([id, first]) => [id.toString(16), first]));
    try {
      write(this.#file, `${JSON.stringify(json, undefined, 2)}\n`);
    } catch (error) {
      throw DataDirError.from(path.dirname(this.#file), error);
    }
    this.#births.set(peer, birth);
  }
}

function read(file: string): Map<MemberId, number> {
  let text: string;
  try {
    text = fs.readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return new Map();
    throw DataDirError.from(path.dirname(file), error);
  }
  const births = parse(text);
  if (births === undefined) throw new DataDirError({ kind: "damaged", file });
  return births;
}

function parse(text: string): Map<MemberId, number> | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof json !== "object" || json === null) return undefined;
  const births = new Map<MemberId, number>();
  for (const [id, birth] of Object.entries(json)) {
    if (!/^[0-9a-f]{1,16}$/.test(id) || !Number.isSafeInteger(birth)) return undefined;
    births.set(MemberId(BigInt(`0x${id}`)), Number(birth));
  }
  return births;
}

// Beside the file first: it is the old one or the new one, also after a power cut.
function write(file: string, text: string): void {
  const temporary = `${file}.tmp`;
  const handle = fs.openSync(temporary, "w", 0o600);
  try {
    fs.writeFileSync(handle, text);
    fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
  fs.renameSync(temporary, file);
  const directory = fs.openSync(path.dirname(file), "r");
  try {
    fs.fsyncSync(directory);
  } finally {
    fs.closeSync(directory);
  }
}
