// The whole state as the file that etcd would keep it in: buckets of a bbolt file, made of pinned rows a
// bounded number at a time. Sizes and pages are bolt/'s; here is what lies in which bucket.
//
//   key              | main u64 | '_' | sub u64 | and a 't' behind it for a tombstone → mvccpb.KeyValue
//   lease            | id i64 |                                  → leasepb.Lease
//   members          id in hexadecimal                           → JSON
//   members_removed  id in hexadecimal                           → "removed"
//   meta             consistent_index, term u64; confState JSON; two revisions of compaction
//   cluster          clusterVersion
//   auth             authRevision u64, of which there is but the first
//   alarm            etcdserverpb.AlarmMember                    → nothing
//   authRoles, authUsers                                         nothing yet            all big endian
import { MemberId } from "../base/brand.ts";
import { asBuffer, compareBytes } from "../base/bytes.ts";
import type { BucketWriter } from "../bolt/bucketWriter.ts";
import type { DbFileWriter } from "../bolt/dbFile.ts";
import { leaseOfRow } from "../lease/lessor.ts";
import { mainOfKey, subOfKey } from "../mvcc/revision.ts";
import { isTombstone, rowKeyField, rowOfStored } from "../mvcc/row.ts";
import { decodeSavedState, freshState, savedStateKey } from "../mvcc/savedState.ts";
import { Writer } from "../proto/writer.ts";
import type { Membership } from "../raft/types.ts";
import { type PinnedRows, Table, type TableRow } from "../storage/engine.ts";
import { alarmOfRow } from "./alarms.ts";
import { configurationsKey, decodeConfigurations } from "./configurationRecord.ts";
import type { MemberAttributes } from "./memberRecord.ts";
import { memberOfRow } from "./members.ts";

/** Of the release whose files these are like; a server goes on from it or upgrades it. */
const clusterVersion = "3.5.0";

const keyBytes = 17;
const tombstoneMark = 0x74;
const underscore = 0x5f;
const noMembership: Membership = { voters: [], outgoing: [], learners: [] };

/** Rows of a bucket that are gathered before they are written, as their order is another one here. */
type Gathered = { readonly key: Uint8Array; readonly value: Uint8Array }[];

/** Reads pinned rows, from the first on, into a file. */
export class EtcdFile {
  readonly #rows: PinnedRows;
  readonly #file: DbFileWriter;
  readonly #members: MemberAttributes[] = [];
  readonly #removed: MemberId[] = [];
  readonly #alarms: Gathered = [];
  readonly #key = Buffer.alloc(keyBytes + 1, tombstoneMark);
  readonly #writer = new Writer();
  #table: Table = Table.meta;
  #bucket: BucketWriter | undefined;

  constructor(rows: PinnedRows, file: DbFileWriter) {
    this.#rows = rows;
    this.#file = file;
  }

  /**
   * Takes rows until `hasRoom`, which is asked behind each, says no.
   *
   * @returns true when every row is in a bucket; the file may be finished then.
   */
  step(hasRoom: () => boolean): boolean {
    const more = this.#rows.next((row) => {
      this.#take(row);
      return hasRoom();
    });
    if (!more) this.#writeRest();
    return !more;
  }

  #take({ table, key, value }: TableRow): void {
    switch (table) {
      case Table.key:
        this.#addRevision(key, value);
        break;
      case Table.lease:
        this.#bucketOf(table, "lease").add(key, this.#lease(key, value));
        break;
      case Table.members:
        this.#gatherMember(key, value);
        break;
      case Table.alarm:
        this.#alarms.push(row(this.#alarm(key, value), ""));
        break;
    }
  }

  #addRevision(key: Uint8Array, stored: Uint8Array): void {
    const to = this.#key;
    writeRevision(to, mainOfKey(key), subOfKey(key));
    const bucket = this.#bucketOf(Table.key, "key");
    // Of what was deleted etcd keeps the key alone.
    if (isTombstone(stored)) bucket.add(to, rowKeyField(rowOfStored(stored)));
    else bucket.add(to.subarray(0, keyBytes), rowOfStored(stored));
  }

  /** leasepb.Lease: id, TTL and what is left of it, in seconds. */
  #lease(key: Uint8Array, value: Uint8Array): Uint8Array {
    const { id, ttlSec, remainingSec } = leaseOfRow(key, value);
    this.#writer.integer(0x18, Math.ceil(remainingSec));
    this.#writer.integer(0x10, ttlSec);
    this.#writer.id(0x08, id);
    return this.#writer.finish();
  }

  /** AlarmMember: the member, and the kind. */
  #alarm(key: Uint8Array, value: Uint8Array): Uint8Array {
    const { memberId, kind } = alarmOfRow(key, value);
    this.#writer.integer(0x10, kind);
    this.#writer.id(0x08, memberId);
    return this.#writer.finish();
  }

  #bucketOf(table: Table, name: string): BucketWriter {
    if (this.#bucket === undefined || this.#table !== table) {
      this.#table = table;
      this.#bucket = this.#file.bucket(name);
    }
    return this.#bucket;
  }

  #gatherMember(key: Uint8Array, value: Uint8Array): void {
    const member = memberOfRow(value);
    if (member === undefined) this.#removed.push(MemberId(asBuffer(key).readBigUInt64BE(0)));
    else this.#members.push(member);
  }

  #writeRest(): void {
    const membership = this.#membership();
    const written = this.#bucket === undefined ? undefined : this.#table;
    if (written === undefined) this.#file.bucket("key");
    if (written !== Table.lease) this.#file.bucket("lease");
    this.#write(
      "members",
      this.#members.map((member) => {
        const isLearner = membership.learners.includes(member.id);
        return row(member.id.toString(16), memberJson(member, isLearner));
      }),
    );
    this.#write(
      "members_removed",
      this.#removed.map((id) => row(id.toString(16), "removed")),
    );
    this.#write("meta", this.#metaRows(membership));
    this.#write("cluster", [row("clusterVersion", clusterVersion)]);
    this.#write("auth", [row("authRevision", u64(1))]);
    this.#write("alarm", this.#alarms);
    for (const name of ["authRoles", "authUsers"]) this.#file.bucket(name);
  }

  #write(name: string, rows: Gathered): void {
    const bucket = this.#file.bucket(name);
    rows.sort((a, b) => compareBytes(a.key, b.key));
    for (const { key, value } of rows) bucket.add(key, value);
  }

  #membership(): Membership {
    const bytes = this.#rows.get(Table.meta, configurationsKey);
    const known = bytes === undefined ? [] : decodeConfigurations(bytes);
    return known.at(-1)?.membership ?? noMembership;
  }

  #metaRows(membership: Membership): Gathered {
    const bytes = this.#rows.get(Table.meta, savedStateKey);
    const { applied, compacted, swept } =
      bytes === undefined ? freshState : decodeSavedState(bytes);
    const rows = [
      row("consistent_index", u64(applied.index)),
      row("term", u64(applied.term)),
      row("confState", confStateJson(membership)),
    ];
    // What is not swept yet, a server that finds this sweeps at its start.
    if (compacted >= 0) rows.push(row("scheduledCompactRev", revisionOf(compacted)));
    if (swept >= 0) rows.push(row("finishedCompactRev", revisionOf(swept)));
    return rows;
  }
}

function row(key: string | Uint8Array, value: string | Uint8Array): Gathered[number] {
  return { key: Buffer.from(key), value: Buffer.from(value) };
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function writeRevision(to: Buffer, main: number, sub: number): void {
  to.writeUIntBE(Math.floor(main / 2 ** 32), 0, 4);
  to.writeUInt32BE(main >>> 0, 4);
  to[8] = underscore;
  to.writeUInt32BE(0, 9);
  to.writeUInt32BE(sub, 13);
}

function revisionOf(main: number): Buffer {
  const bytes = Buffer.alloc(keyBytes);
  writeRevision(bytes, main, 0);
  return bytes;
}

/** JSON has no numbers of 64 bits for us: ids are written by hand. */
const idsJson = (ids: readonly MemberId[]): string => `[${ids.join(",")}]`;

/** Lists without members are left out. */
function confStateJson({ voters, outgoing, learners }: Membership): string {
  const lists: readonly (readonly [string, readonly MemberId[]])[] = [
    ["voters", voters],
    ["learners", learners],
    ["voters_outgoing", outgoing],
  ];
  const told = lists.filter(([, ids]) => ids.length > 0);
  const fields = told.map(([name, ids]) => `"${name}":${idsJson(ids)},`);
  return `{${fields.join("")}"auto_leave":false}`;
}

/** What is empty is left out, but for the addresses of peers. */
function memberJson(
  { id, name, peerUrls, clientUrls }: MemberAttributes,
  isLearner: boolean,
): string {
  const fields = [`"id":${id}`, `"peerURLs":${JSON.stringify(peerUrls)}`];
  if (isLearner) fields.push('"isLearner":true');
  if (name !== "") fields.push(`"name":${JSON.stringify(name)}`);
  if (clientUrls.length > 0) fields.push(`"clientURLs":${JSON.stringify(clientUrls)}`);
  return `{${fields.join(",")}}`;
}
