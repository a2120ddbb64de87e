// Concurrent writers that remember every acknowledged write, and the judge who looks for them later.
import assert from "node:assert/strict";
import { KvClient, type StoredPair } from "./kvClient.ts";
import { untilAnswered } from "./turns.ts";

const writers = 24;
/** Few, so that most writes are overwrites. */
const keysPerWriter = 20;
/** Reads at the same time when the past is looked through. */
const historyReaders = 48;

interface AckedWrite {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
}

/** What the writers know after any number of crashes. */
export class AckedLoad {
  readonly #acked: AckedWrite[] = [];
  readonly #lastAckedOf = new Map<string, AckedWrite>();
  /** Values sent and never answered; each may or may not have become the key's value. */
  readonly #unansweredOf = new Map<string, Set<string>>();
  #sent = 0;
  #checkedCount = 0;

  get ackedCount(): number {
    return this.#acked.length;
  }

  get revisionMax(): number {
    return this.#acked.reduce((max, { revision }) => Math.max(max, revision), 0);
  }

  /**
   * Writes until the calls fail, which is how the writers learn of a crash.
   *
   * @param goOn asked after each acknowledged write, with their count in this call.
   */
  async write(endpoints: readonly string[], goOn: (count: number) => boolean): Promise<void> {
    const clients = endpoints.map((endpoint) => new KvClient(endpoint));
    const before = this.ackedCount;
    const writing = Array.from({ length: writers }, async (_, writer) => {
      const client = clients[writer % clients.length];
      if (client === undefined) throw new Error("no endpoints to write to");
      for (;;) {
        const key = `w${writer}k${this.#sent % keysPerWriter}`;
        if (!(await this.#put(client, key, `${++this.#sent}`))) return;
        if (!goOn(this.ackedCount - before)) return;
      }
    });
    await Promise.all(writing);
    for (const client of clients) client.close();
  }

  async #put(client: KvClient, key: string, value: string): Promise<boolean> {
    try {
      const revision = await client.put(key, value);
      const write = { key, value, revision };
      this.#acked.push(write);
      this.#lastAckedOf.set(key, write);
      return true;
    } catch {
      const unanswered = this.#unansweredOf.get(key) ?? new Set();
      this.#unansweredOf.set(key, unanswered.add(value));
      return false;
    }
  }

  /** @throws when an acknowledged write is lost, changed, or the members disagree. */
  async verify(endpoints: readonly string[]): Promise<void> {
    const clients = endpoints.map((endpoint) => new KvClient(endpoint));
    try {
      const revision = await this.#verifyRevisions(clients);
      for (const client of clients) await this.#verifyCurrent(client);
      await this.#verifyHistory(clients);
      const hashes = await Promise.all(clients.map((client) => client.hash(revision)));
      const [first] = hashes;
      for (const { hash } of hashes) assert.equal(hash, first?.hash, "the members hold the same");
    } finally {
      for (const client of clients) client.close();
    }
  }

  async #verifyRevisions(clients: readonly KvClient[]): Promise<number> {
    // Who was started last may be refilled yet, or know no leader.
    const ask = (client: KvClient): Promise<number> =>
      untilAnswered(() => client.revision(), `a revision of ${client.endpoint}`);
    const revisions = await Promise.all(clients.map(ask));
    const [revision = 0] = revisions;
    for (const other of revisions) assert.equal(other, revision, "one revision on all members");
    assert.ok(revision >= this.revisionMax, `revision ${revision} fell below ${this.revisionMax}`);
    const distinct = new Set(this.#acked.map((write) => write.revision));
    assert.equal(distinct.size, this.#acked.length, "no revision was given twice");
    return revision;
  }

  async #verifyCurrent(client: KvClient): Promise<void> {
    const stored = new Map((await client.all()).map((pair) => [pair.key, pair]));
    for (const [key, acked] of this.#lastAckedOf) {
      const pair = stored.get(key);
      assert.ok(pair, `${key} is gone, acknowledged at revision ${acked.revision}`);
      if (pair.modRevision === acked.revision) {
        assert.equal(pair.value, acked.value, `${key} at revision ${acked.revision}`);
        continue;
      }
      assert.ok(pair.modRevision > acked.revision, `${key} went back to ${pair.modRevision}`);
      const known = this.#unansweredOf.get(key)?.has(pair.value);
      assert.ok(known, `${key} holds ${pair.value}, which no writer sent after ${acked.value}`);
    }
  }

  /** Each acknowledged write since the last call, read at its own revision. */
  async #verifyHistory(clients: readonly KvClient[]): Promise<void> {
    const unchecked = this.#acked.slice(this.#checkedCount);
    this.#checkedCount = this.#acked.length;
    const readers = Array.from({ length: historyReaders }, async (_, reader) => {
      const client = clients[reader % clients.length];
      assert.ok(client);
      for (let i = reader; i < unchecked.length; i += historyReaders) {
        const { key, value, revision } = unchecked[i] ?? assert.fail("within the list");
        const pair: StoredPair | undefined = await client.get(key, revision);
        assert.deepEqual(pair, { key, value, modRevision: revision }, `lost on ${client.endpoint}`);
      }
    });
    await Promise.all(readers);
  }
}
