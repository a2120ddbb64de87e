// The replicated table of members: names and addresses, and who was removed. Who votes and who learns is
// raft's to say; the memberships that were applied are kept beside the table, in the same batch of the
// store as the applied index, so that both agree after a crash.
//
//   Table.members   id u64 BE → | 1 | attributes (memberRecord.ts) |
//                            or | 2 | index of the entry that removed it, u48 BE |
//   Table.meta      "change/" | member u64 BE → its last change that was applied (origins.ts)
import { assert } from "../base/assert.ts";
import { LogIndex, MemberId } from "../base/brand.ts";
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

/**
 * Removed ids that are remembered, the latest ones. A member that was removed longer ago is turned away
 * all the same, as one that nobody knows; and a new id is drawn from 64 bits.
 */
export const removedIdsMax = 1_024;

/** Puts a row into the store's next batch, without a value its deletion; the arrays are given away. */
export type StageRow = (table: Table, key: Uint8Array, value: Uint8Array | undefined) => void;

const Row = { member: 1, removed: 2 } as const;

export class Members {
  readonly #members = new Map<MemberId, MemberAttributes>();
  /** By which entry; oldest first. */
  #removed = new Map<MemberId, LogIndex>();
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
    members.#removed = new Map([...members.#removed].sort(([, a], [, b]) => a - b));
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

  /** How many are present. */
  get count(): number {
    return this.#members.size;
  }

  /** Present members, in no order. */
  all(): readonly MemberAttributes[] {
    return [...this.#members.values()];
  }

  /** It was a member once and may not be again; known of the last `removedIdsMax`. */
  isRemoved(id: MemberId): boolean {
    return this.#removed.has(id);
  }

  /** Oldest first, at most `removedIdsMax`. */
  removedIds(): readonly MemberId[] {
    return [...this.#removed.keys()];
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
    const ids = new Set([...membership.voters, ...membership.outgoing, ...membership.learners]);
    for (const told of members) {
      if (!ids.has(told.id)) continue;
      const { peerUrls } = told;
      this.#set({ ...(this.#members.get(told.id) ?? told), peerUrls }, stage);
    }
    for (const id of ids) this.#ensure(id, stage);
    for (const id of this.#members.keys()) if (!ids.has(id)) this.#remove(id, index, stage);
  }

  /** A member tells its name and where clients find it. @returns false for one that is no member. */
  publish({ id, birth, name, clientUrls }: MemberAttributes, stage: StageRow): boolean {
    const before = this.#members.get(id);
    if (before === undefined) return false;
    this.#set({ ...before, birth, name, clientUrls }, stage);
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
    if (this.#members.has(id)) return;
    this.#set({ id, birth: 0, name: "", peerUrls: [], clientUrls: [] }, stage);
  }

  #remove(id: MemberId, index: LogIndex, stage: StageRow): void {
    this.#members.delete(id);
    this.#removed.set(id, index);
    const value = Buffer.alloc(7);
    value[0] = Row.removed;
    value.writeUIntBE(index, 1, 6);
    stage(Table.members, keyOf(id), value);
    this.#changes.forget(id, (key) => stage(Table.meta, key, undefined));
    const [oldest] = this.#removed.keys();
    if (this.#removed.size <= removedIdsMax || oldest === undefined) return;
    this.#removed.delete(oldest);
    stage(Table.members, keyOf(oldest), undefined);
  }

  #restore(id: MemberId, value: Uint8Array): void {
    if (value[0] === Row.removed) {
      this.#removed.set(id, LogIndex(asBuffer(value).readUIntBE(1, 6)));
      return;
    }
    this.#members.set(id, presentMember(value));
  }
}

/** A row of Table.members; undefined for one that was removed. @throws {Mistake} for another format. */
export function memberOfRow(value: Uint8Array): MemberAttributes | undefined {
  return value[0] === Row.removed ? undefined : presentMember(value);
}

function presentMember(value: Uint8Array): MemberAttributes {
  const member = value[0] === Row.member ? decodeAttributes(value.subarray(1)) : undefined;
  assert(member !== undefined, `unknown format ${value[0]} of a member`);
  return member;
}

function keyOf(id: MemberId): Uint8Array {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(id);
  return key;
}
