// The replicated table of members: names and addresses, and who was removed for ever. Who votes and who
// learns is raft's to say; the memberships that were applied are kept beside the table, in the same
// batch of the store as the applied index, so that both agree after a crash.
//
//   Table.members   id u64 BE → | 1 | attributes (memberRecord.ts) |  or  | 2 |, removed
//   Table.meta      "change/" | member u64 BE → its last change that was applied (origins.ts)
import { assert } from "../base/assert.ts";
import { type LogIndex, MemberId } from "../base/brand.ts";
import { asBuffer } from "../base/bytes.ts";
import type { Configuration, Membership } from "../raft/types.ts";
import { type Engine, Table } from "../storage/engine.ts";
import type { BatchOrigin } from "./command.ts";
import {
  configurationsKey,
  decodeConfigurations,
  encodeConfigurations,
} from "./configurationRecord.ts";
import {
  type ChangeContext,
  decodeAttributes,
  encodeAttributes,
  type MemberAttributes,
} from "./memberRecord.ts";
import { Origins } from "./origins.ts";

/** Memberships of the past that are kept, for whoever compacts the log behind the applied index. */
export const configurationsMax = 16;

/** Puts a row into the store's next batch; both arrays are given away. */
export type StageRow = (table: Table, key: Uint8Array, value: Uint8Array) => void;

const Row = { member: 1, removed: 2 } as const;

export class Members {
  readonly #members = new Map<MemberId, MemberAttributes>();
  readonly #removed = new Set<MemberId>();
  readonly #changes: Origins;
  #configurations: readonly Configuration[];

  private constructor(changes: Origins, configurations: readonly Configuration[]) {
    this.#changes = changes;
    this.#configurations = configurations;
  }

  static load(engine: Engine): Members {
    const row = engine.get(Table.meta, configurationsKey);
    const changes = Origins.load(engine, "change");
    const members = new Members(changes, row === undefined ? [] : decodeConfigurations(row));
    engine.scan({ table: Table.members, from: Buffer.of(0) }, (key, value) => {
      members.#restore(MemberId(asBuffer(key).readBigUInt64BE(0)), value);
      return true;
    });
    return members;
  }

  /** False until the entry with which a cluster begins was applied. */
  get known(): boolean {
    return this.#configurations.length > 0;
  }

  /** Applied memberships, ascending by the entries that made them; the last is in force. */
  get configurations(): readonly Configuration[] {
    return this.#configurations;
  }

  get(id: MemberId): MemberAttributes | undefined {
    return this.#members.get(id);
  }

  /** Present members, in no order. */
  all(): readonly MemberAttributes[] {
    return [...this.#members.values()];
  }

  /** It was a member once and may never be again. */
  isRemoved(id: MemberId): boolean {
    return this.#removed.has(id);
  }

  /** The last change that this member asked for and that was applied. */
  lastChange(member: MemberId): BatchOrigin | undefined {
    return this.#changes.last(member);
  }

  /** A change of membership that raft has carried out with the entry at `index`. */
  apply(
    { index, membership }: { readonly index: LogIndex; readonly membership: Membership },
    { origin, members }: ChangeContext,
    stage: StageRow,
  ): void {
    if (origin !== undefined) this.#changes.advance(origin);
    this.#configurations = [...this.#configurations, { index, membership }].slice(
      -configurationsMax,
    );
    stage(Table.meta, configurationsKey, encodeConfigurations(this.#configurations));
    for (const { id, peerUrls, ...told } of members) {
      const { name, clientUrls } = this.#members.get(id) ?? told;
      this.#set({ id, name, peerUrls, clientUrls }, stage);
    }
    const ids = new Set([...membership.voters, ...membership.outgoing, ...membership.learners]);
    for (const id of ids) this.#ensure(id, stage);
    for (const id of this.#members.keys()) if (!ids.has(id)) this.#remove(id, stage);
  }

  /** A member tells its name and where clients find it. @returns false for one that is no member. */
  publish({ id, name, clientUrls }: MemberAttributes, stage: StageRow): boolean {
    const before = this.#members.get(id);
    if (before === undefined) return false;
    this.#set({ ...before, name, clientUrls }, stage);
    return true;
  }

  takeChanged(stage: StageRow): void {
    this.#changes.takeChanged((key, value) => stage(Table.meta, key, value));
  }

  #set(member: MemberAttributes, stage: StageRow): void {
    this.#members.set(member.id, member);
    const value = Buffer.concat([Buffer.of(Row.member), encodeAttributes(member)]);
    stage(Table.members, keyOf(member.id), value);
  }

  #ensure(id: MemberId, stage: StageRow): void {
    if (!this.#members.has(id)) this.#set({ id, name: "", peerUrls: [], clientUrls: [] }, stage);
  }

  #remove(id: MemberId, stage: StageRow): void {
    this.#members.delete(id);
    this.#removed.add(id);
    stage(Table.members, keyOf(id), Buffer.of(Row.removed));
  }

  #restore(id: MemberId, value: Uint8Array): void {
    if (value[0] === Row.removed) {
      this.#removed.add(id);
      return;
    }
    const member = value[0] === Row.member ? decodeAttributes(value.subarray(1)) : undefined;
    assert(member !== undefined, `unknown format ${value[0]} of a member`);
    this.#members.set(id, member);
  }
}

function keyOf(id: MemberId): Uint8Array {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(id);
  return key;
}
