// The Maintenance service: how this member is, whether its state equals the others', its alarms.
import { MemberId, noMember } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import { type EtcdError, errAlarmUnsupported, errMalformed, errNoLeader } from "../base/errors.ts";
import type { UnaryMethod } from "../grpc/call.ts";
import type { HashResult, MemberService, MemberStatus } from "../member/service.ts";
import { encodeCompactionResponse as encodeHeaderOnly } from "../proto/encodeResponses.ts";
import {
  AlarmAction,
  AlarmKind,
  type AlarmRequest,
  decodeAlarmRequest,
  decodeEmptyRequest,
  decodeHashKvRequest,
  decodeMoveLeaderRequest,
  encodeHashKvResponse,
  encodeStatusResponse,
} from "../proto/maintenanceCodec.ts";
import { Malformed } from "../proto/reader.ts";
import type { Writer } from "../proto/writer.ts";
import type { Headers } from "./header.ts";

/**
 * The release of etcd whose answers ours are compared with. Clients read it to learn what a server
 * can do (Kubernetes asks for 3.5.13 before it relies on watch progress); etcdctl only prints it.
 */
export const etcdVersion = "3.5.30";

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
      errors: errorsOf(status),
      dbSizeInUseBytes: status.dbSizeInUseBytes,
      isLearner: status.isLearner,
    };
    call.respond(encodeStatusResponse(this.#writer, this.#headers.current(), answer));
  };

  /** No alarm is ever on: so there are none to list or to take away, and that is the answer. */
  readonly alarm: UnaryMethod = (call, message) => {
    const request = decodeAlarmRequest(message);
    if (request instanceof Malformed) call.fail(errMalformed(request.why));
    else if (changesNothing(request)) {
      call.respond(encodeHeaderOnly(this.#writer, this.#headers.current()));
    } else call.fail(errAlarmUnsupported);
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

  readonly hashKv: UnaryMethod = (call, message) => {
    const request = decodeHashKvRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    // Below 0 stands for "now" too, as in etcd.
    this.#member.hashKv(Math.max(0, request.revision), {
      onHash: (result: HashResult) => {
        const header = this.#headers.at(result.revision);
        call.respond(encodeHashKvResponse(this.#writer, header, result));
      },
      onRefused: (error: EtcdError) => call.fail(error),
    });
  };
}

/** To raise an alarm would change something; an unknown action crashes etcd and is refused here. */
function changesNothing({ action, alarm }: AlarmRequest): boolean {
  switch (action) {
    case AlarmAction.get:
    case AlarmAction.deactivate:
      return true;
    case AlarmAction.activate:
      return alarm === AlarmKind.none;
    default:
      return false;
  }
}

function errorsOf({ leader, isRefilling }: MemberStatus): readonly string[] {
  const errors = leader === noMember ? [errNoLeader.message] : [];
  if (isRefilling) errors.push("the log was damaged and is being refilled: no vote, no service");
  return errors;
}
