// The few typed calls that wire tests share, over the raw client. They throw on any refusal.
import { decodeMessage, encodeMessage } from "./messages.ts";
import { WireClient } from "./wireClient.ts";

export interface StoredPair {
  readonly key: string;
  readonly value: string;
  readonly modRevision: number;
}

export interface KeySpaceHash {
  readonly hash: number;
  readonly revision: number;
}

type Fields = Readonly<Record<string, unknown>>;

export class KvClient {
  readonly endpoint: string;
  readonly #wire: WireClient;

  constructor(endpoint: string) {
    this.endpoint = endpoint;
    this.#wire = new WireClient(endpoint);
  }

  /** @returns the revision that the put made. */
  async put(key: string, value: string): Promise<number> {
    const fields = { key: Buffer.from(key), value: Buffer.from(value) };
    return revisionOf(await this.#call("KV/Put", "PutRequest", fields, "PutResponse"));
  }

  async remove(key: string): Promise<void> {
    const fields = { key: Buffer.from(key) };
    await this.#call("KV/DeleteRange", "DeleteRangeRequest", fields, "DeleteRangeResponse");
  }

  /** @param revision undefined: now, linearizable. */
  async get(key: string, revision?: number): Promise<StoredPair | undefined> {
    const fields = { key: Buffer.from(key), revision };
    const answer = await this.#call("KV/Range", "RangeRequest", fields, "RangeResponse");
    return pairsOf(answer)[0];
  }

  /** Everything, linearizable. */
  async all(): Promise<readonly StoredPair[]> {
    const fields = { key: Buffer.from([0]), range_end: Buffer.from([0]) };
    return pairsOf(await this.#call("KV/Range", "RangeRequest", fields, "RangeResponse"));
  }

  /** @param revision hashed up to here; the member must have reached it. */
  async hash(revision: number): Promise<KeySpaceHash> {
    const fields = { revision };
    const answer = await this.#call(
      "Maintenance/HashKV",
      "HashKVRequest",
      fields,
      "HashKVResponse",
    );
    return { hash: Number(answer.hash), revision: revisionOf(answer) };
  }

  /** Id of the member that leads, as far as this one has heard; 0: nobody. */
  async leader(): Promise<bigint> {
    const answer = await this.#call("Maintenance/Status", "StatusRequest", {}, "StatusResponse");
    return BigInt(String(answer.leader ?? 0));
  }

  /** As far as this member knows. */
  async isLeader(): Promise<boolean> {
    const answer = await this.#call("Maintenance/Status", "StatusRequest", {}, "StatusResponse");
    const { member_id: id } = fieldsOf(answer.header);
    return id !== undefined && `${id}` === `${answer.leader}`;
  }

  /** Current revision after a quorum has confirmed it. */
  async revision(): Promise<number> {
    const fields = { key: Buffer.from([0]), count_only: true };
    return revisionOf(await this.#call("KV/Range", "RangeRequest", fields, "RangeResponse"));
  }

  close(): void {
    this.#wire.close();
  }

  async #call(method: string, request: string, fields: object, response: string): Promise<Fields> {
    const bytes = encodeMessage(request, fields);
    const answer = await this.#wire.call(`/etcdserverpb.${method}`, bytes);
    if (answer.kind === "ok") return decodeMessage(response, answer.message);
    throw new Error(`${method} at ${this.endpoint}: ${answer.code} ${answer.text}`);
  }
}

function revisionOf(answer: Fields): number {
  return Number(fieldsOf(answer.header).revision ?? 0);
}

function pairsOf(answer: Fields): readonly StoredPair[] {
  const list = Array.isArray(answer.kvs) ? answer.kvs : [];
  return list.map(fieldsOf).map(({ key, value, mod_revision }) => ({
    key: `${key}`,
    value: `${value ?? ""}`,
    modRevision: Number(mod_revision),
  }));
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}
