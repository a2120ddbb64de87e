// The Maintenance service: how this member is, whether its state equals the others', alarms, its store built
// anew, the file of its state, and downgrades as far as there are none.
import { CommandKind } from "../apply/command.ts";
import { assert } from "../base/assert.ts";
import { MemberId, noMember } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import {
  type EtcdError,
  errDowngradeAction,
  errDowngradeTarget,
  errDowngradeUnsupported,
  errDowngradeVersionFormat,
  errMalformed,
  errNoDowngrade,
  errNoLeader,
  errUnknownAlarm,
} from "../base/errors.ts";
import type { StreamMethod, UnaryCall, UnaryMethod } from "../grpc/call.ts";
import type { HashResult, MemberService, MemberStatus } from "../member/service.ts";
import {
  type AlarmAnswer,
  AlarmKind,
  DowngradeAction,
  type DowngradeRequest,
  decodeAlarmRequest,
  decodeDowngradeRequest,
  decodeEmptyRequest,
  decodeHashKvRequest,
  decodeMoveLeaderRequest,
  encodeAlarmResponse,
  encodeHashKvResponse,
  encodeStatusResponse,
  type HashKvAnswer,
  isKnownAlarm,
} from "../proto/maintenanceCodec.ts";
import { Malformed } from "../proto/reader.ts";
import type { Writer } from "../proto/writer.ts";
import type { Headers } from "./header.ts";
import { SnapshotCall } from "./snapshot.ts";

/**
 * The release of etcd whose answers ours are compared with. Clients read it to learn what a server
 * can do (Kubernetes asks for 3.5.13 before it relies on watch progress); etcdctl only prints it.
 */
export const etcdVersion = "3.5.30";
/** The only version that a cluster of that release could go down to. */
const downgradeTarget = "3.4";

export class MaintenanceService {
  readonly #member: MemberService;
  readonly #headers: Headers;
  readonly #writer: Writer;

  constructor(member: MemberService, headers: Headers, writer: Writer) {
    this.#member = member;
    this.#headers = headers;
    this.#writer = writer;
  }

  /** Local: works without a leader. */
  readonly status: UnaryMethod = (call, message) => {
    const fault = decodeEmptyRequest(message);
    if (fault !== undefined) return call.fail(errMalformed(fault.why));
    const status = this.#member.status();
    const answer = {
      version: etcdVersion,
      dbSizeBytes: status.dbSizeBytes,
      leader: status.leader,
      raftIndex: status.commit,
      raftTerm: status.term,
      raftAppliedIndex: status.applied,
      errors: [...errorsOf(status), ...this.#member.alarms().map(alarmText)],
      dbSizeInUseBytes: status.dbSizeInUseBytes,
      isLearner: status.isLearner,
    };
    call.respond(encodeStatusResponse(this.#writer, this.#headers.current(), answer));
  };

  /** Questions enter the log too, as in etcd: an answer is as of that place in it. */
  readonly alarm: UnaryMethod = (call, message) => {
    const request = decodeAlarmRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    if (!isKnownAlarm(request)) return call.fail(errUnknownAlarm);
    this.#member.propose(CommandKind.alarm, message, {
      onOutcome: (outcome) => {
        if (outcome.kind === "refused") return call.fail(outcome.error);
        assert(outcome.kind === "alarm", "the outcome of another command");
        const header = this.#headers.at(outcome.revision);
        call.respond(encodeAlarmResponse(this.#writer, header, outcome.alarms));
      },
      onRefused: (error) => call.fail(error),
    });
  };

  /** Only at the leader; its answer is empty, header and all, as etcd's. */
  readonly moveLeader: UnaryMethod = (call, message) => {
    const target = decodeMoveLeaderRequest(message);
    if (target instanceof Malformed) return call.fail(errMalformed(target.why));
    this.#member.transferLeadership(MemberId(target), {
      onMoved: () => call.respond(emptyBytes),
      onRefused: (error: EtcdError) => call.fail(error),
    });
  };

  /** Of this member alone; its answer is empty, header and all, as etcd's. */
  readonly defragment: UnaryMethod = (call, message) => {
    const fault = decodeEmptyRequest(message);
    if (fault !== undefined) return call.fail(errMalformed(fault.why));
    this.#member.defragment({
      onDone: () => call.respond(emptyBytes),
      onRefused: (error: EtcdError) => call.fail(error),
    });
  };

  readonly hashKv: UnaryMethod = (call, message) => {
    const request = decodeHashKvRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    // Below 0 stands for "now" too, as in etcd.
    this.#hash(call, Math.max(0, request.revision), (result) => result);
  };

  /** etcd hashes its whole file, which differs from member to member; here it is all keys and their history. */
  readonly hash: UnaryMethod = (call, message) => {
    const fault = decodeEmptyRequest(message);
    if (fault !== undefined) return call.fail(errMalformed(fault.why));
    this.#hash(call, 0, ({ hash }) => ({ hash, compactRevision: 0, hashRevision: 0 }));
  };

  /** Local: works without a leader, and at a learner. */
  readonly snapshot: StreamMethod = (call) =>
    new SnapshotCall(this.#member.snapshots, call, this.#writer);

  /** No downgrade is under way and none can be begun; what etcd refuses is refused alike. */
  readonly downgrade: UnaryMethod = (call, message) => {
    const request = decodeDowngradeRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    const refuse = (): void => call.fail(refusalOf(request));
    this.#member.readIndex({ onReady: refuse, onRefused: (error) => call.fail(error) });
  };

  #hash(call: UnaryCall, revision: number, answerOf: (result: HashResult) => HashKvAnswer): void {
    this.#member.hashKv(revision, {
      onHash: (result: HashResult) => {
        const header = this.#headers.at(result.revision);
        call.respond(encodeHashKvResponse(this.#writer, header, answerOf(result)));
      },
      onRefused: (error: EtcdError) => call.fail(error),
    });
  }
}

function refusalOf({ action, version }: DowngradeRequest): EtcdError {
  switch (action) {
    case DowngradeAction.validate:
    case DowngradeAction.enable: {
      const [, major, minor] = versionText.exec(version) ?? [];
      if (major === undefined) return errDowngradeVersionFormat;
      const isTarget = `${Number(major)}.${Number(minor)}` === downgradeTarget;
      return isTarget ? errDowngradeUnsupported : errDowngradeTarget;
    }
    case DowngradeAction.cancel:
      return errNoDowngrade;
    default:
      return errDowngradeAction;
  }
}

/** Major and minor; what follows does not count. */
const versionText = /^(\d+)\.(\d+)(?:\.\d+(?:[-+].*)?)?$/;

/** As protobuf's text form has it, the blank at its end included. */
function alarmText({ memberId, kind }: AlarmAnswer): string {
  const member = memberId === 0n ? "" : `memberID:${memberId} `;
  return `${member}alarm:${kind === AlarmKind.corrupt ? "CORRUPT" : "NOSPACE"} `;
}

function errorsOf({ leader, isRefilling }: MemberStatus): readonly string[] {
  const errors = leader === noMember ? [errNoLeader.message] : [];
  if (isRefilling) errors.push("the log was damaged and is being refilled: no vote, no service");
  return errors;
}
