// The replicated alarms: who raised which. Applied in the order of the log, so that all members refuse the
// same commands while one is on. One row each in Table.alarm:
//
//   key    | kind u8 | id of the member u64 BE |
//   value  | u8 = 1 |
import { assert } from "../base/assert.ts";
import { asBuffer } from "../base/bytes.ts";
import { type EtcdError, errCorrupt, errNoSpace, errTooManyAlarms } from "../base/errors.ts";
import type { RequestOp, TxnRequest } from "../proto/kv.ts";
import { AlarmAction, AlarmKind, type AlarmRequest } from "../proto/maintenanceCodec.ts";
import { type Engine, Table } from "../storage/engine.ts";
import type { Command, Gate, Gates } from "./gates.ts";
import type { StageRow } from "./members.ts";

export interface Alarm {
  /** Whoever raises an alarm names a member, and nobody asks whether it exists: etcd does neither. */
  readonly memberId: bigint;
  /** One of AlarmKind, but none. */
  readonly kind: number;
}

/** A cluster has few members and two kinds; more are somebody's mistake. */
export const alarmsMax = 1_024;
const formatVersion = 1;
const lowestKey = Buffer.of(0);

export class Alarms {
  /** By kind, then by member. */
  #all: readonly Alarm[] = [];
  #gates: Gates = {};

  static load(engine: Engine): Alarms {
    const alarms = new Alarms();
    const found: Alarm[] = [];
    engine.scan({ table: Table.alarm, from: lowestKey }, (key, value) => {
      found.push(alarmOfRow(key, value));
      return true;
    });
    alarms.#replace(found);
    return alarms;
  }

  /** Those of a kind; of `none`, all. */
  list(kind: number = AlarmKind.none): readonly Alarm[] {
    return this.#all.filter((one) => kind === AlarmKind.none || one.kind === kind);
  }

  /** What stands before commands now. */
  get gates(): Gates {
    return this.#gates;
  }

  /** True while nobody shall write anything, ends of leases included. */
  get isCorrupt(): boolean {
    return this.#gates.corrupt !== undefined;
  }

  /**
   * Raises an alarm or takes it away; `none` is neither, nor is a question.
   * @returns the alarms concerned, as etcd tells them: also one that was on before.
   */
  apply({ action, memberId, alarm }: AlarmRequest, stage: StageRow): readonly Alarm[] | EtcdError {
    if (action === AlarmAction.get) return this.list(alarm);
    if (alarm === AlarmKind.none) return [];
    const others = this.#all.filter((one) => one.kind !== alarm || one.memberId !== memberId);
    const isOn = others.length < this.#all.length;
    const concerned: Alarm = { memberId, kind: alarm };
    if (action === AlarmAction.deactivate) {
      if (!isOn) return [];
      this.#replace(others);
      stage(Table.alarm, rowKey(concerned), undefined);
    } else if (!isOn) {
      if (others.length >= alarmsMax) return errTooManyAlarms;
      this.#replace([...others, concerned]);
      stage(Table.alarm, rowKey(concerned), Buffer.of(formatVersion));
    }
    return [concerned];
  }

  #replace(all: readonly Alarm[]): void {
    this.#all = [...all].sort(
      (a, b) => a.kind - b.kind || (a.memberId < b.memberId ? -1 : Number(a.memberId > b.memberId)),
    );
    const isOn = (kind: number): boolean => all.some((one) => one.kind === kind);
    this.#gates = {
      ...(isOn(AlarmKind.corrupt) ? { corrupt: whileCorrupt } : {}),
      ...(isOn(AlarmKind.noSpace) ? { quota: withoutSpace } : {}),
    };
  }
}

const whileCorrupt: Gate = { refusal: () => errCorrupt };

/** What makes room, and what takes none, passes. */
const withoutSpace: Gate = {
  refusal: (command) => (takesSpace(command) ? errNoSpace : undefined),
};

function takesSpace(command: Command): boolean {
  if (command.kind === "txn") return putsInBranches(command.request);
  return command.kind === "put" || command.kind === "leaseGrant";
}

/** Whichever branch is taken; a put in a txn within does not count, as in etcd (observed, 3.5.30). */
function putsInBranches({ success, failure }: TxnRequest): boolean {
  const isPut = (op: RequestOp): boolean => op.kind === "put";
  return success.some(isPut) || failure.some(isPut);
}

/** @throws {Mistake} for another format. */
export function alarmOfRow(key: Uint8Array, value: Uint8Array): Alarm {
  assert(key.length === 9 && value[0] === formatVersion, "unknown format of an alarm");
  return { kind: asBuffer(key).readUInt8(0), memberId: asBuffer(key).readBigUInt64BE(1) };
}

function rowKey({ kind, memberId }: Alarm): Uint8Array {
  const key = Buffer.alloc(9);
  key[0] = kind;
  key.writeBigUInt64BE(memberId, 1);
  return key;
}
