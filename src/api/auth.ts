// The Auth service of a cluster that has no users and no roles: it tells so as etcd does, refuses what
// needs one of them, and refuses to make one. Each answer waits for a quorum round, as etcd's for the log.
import {
  type EtcdError,
  errAuthNotEnabled,
  errAuthUnsupported,
  errInvalidAuthManagement,
  errMalformed,
  errPermissionNotGiven,
  errRoleEmpty,
  errRoleNotFound,
  errRootUserNotExist,
  errUserEmpty,
  errUserNotFound,
} from "../base/errors.ts";
import type { UnaryCall, UnaryMethod } from "../grpc/call.ts";
import type { MemberService, ReadCompletion } from "../member/service.ts";
import {
  decodeGrantRequest,
  decodeNamedRequest,
  encodeAuthStatusResponse,
  type KeyRange,
} from "../proto/authCodec.ts";
import { encodeCompactionResponse as encodeHeaderOnly } from "../proto/encodeResponses.ts";
import { decodeEmptyRequest } from "../proto/maintenanceCodec.ts";
import { Malformed } from "../proto/reader.ts";
import type { Writer } from "../proto/writer.ts";
import type { Headers } from "./header.ts";

/** That of a store which was never changed. */
const firstAuthRevision = 1;

export class AuthService {
  readonly #member: MemberService;
  readonly #headers: Headers;
  readonly #writer: Writer;

  constructor(member: MemberService, headers: Headers, writer: Writer) {
    this.#member = member;
    this.#headers = headers;
    this.#writer = writer;
  }

  readonly status: UnaryMethod = (call, message) =>
    this.#empty(call, message, () => {
      const answer = { enabled: false, authRevision: firstAuthRevision };
      return encodeAuthStatusResponse(this.#writer, this.#headers.current(), answer);
    });

  /** It is off, so there is nothing to do; a list is empty. */
  readonly nothing: UnaryMethod = (call, message) =>
    this.#empty(call, message, () => encodeHeaderOnly(this.#writer, this.#headers.current()));

  readonly enable: UnaryMethod = (call, message) =>
    this.#empty(call, message, () => errRootUserNotExist);

  readonly authenticate: UnaryMethod = (call, message) =>
    this.#named(call, message, () => errAuthNotEnabled);

  readonly userAdd: UnaryMethod = (call, message) =>
    this.#named(call, message, (name) => (name === "" ? errUserEmpty : errAuthUnsupported));

  readonly roleAdd: UnaryMethod = (call, message) =>
    this.#named(call, message, (name) => (name === "" ? errRoleEmpty : errAuthUnsupported));

  /** Whatever is asked of a user. */
  readonly ofUser: UnaryMethod = (call, message) =>
    this.#named(call, message, () => errUserNotFound);

  /** Whatever is asked of a role, but a grant. */
  readonly ofRole: UnaryMethod = (call, message) =>
    this.#named(call, message, () => errRoleNotFound);

  readonly grantPermission: UnaryMethod = (call, message) => {
    const request = decodeGrantRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    const refusal = refusalOf(request.permission);
    this.#settle(call, () => refusal);
  };

  #empty(call: UnaryCall, message: Uint8Array, settle: () => Uint8Array | EtcdError): void {
    const fault = decodeEmptyRequest(message);
    if (fault !== undefined) call.fail(errMalformed(fault.why));
    else this.#settle(call, settle);
  }

  #named(call: UnaryCall, message: Uint8Array, refuse: (name: string) => EtcdError): void {
    const name = decodeNamedRequest(message);
    if (name instanceof Malformed) call.fail(errMalformed(name.why));
    else this.#settle(call, () => refuse(name));
  }

  #settle(call: UnaryCall, settle: () => Uint8Array | EtcdError): void {
    const completion: ReadCompletion = {
      onReady: () => {
        const answer = settle();
        if (answer instanceof Uint8Array) call.respond(answer);
        else call.fail(answer);
      },
      onRefused: (error) => call.fail(error),
    };
    this.#member.readIndex(completion);
  }
}

// In etcd's order. An end of one zero byte stands for all that follows.
function refusalOf(permission: KeyRange | undefined): EtcdError {
  if (permission === undefined) return errPermissionNotGiven;
  return isRange(permission) ? errRoleNotFound : errInvalidAuthManagement;
}

function isRange({ key, rangeEnd }: KeyRange): boolean {
  if (key.length === 0) return false;
  if (rangeEnd.length === 0 || (rangeEnd.length === 1 && rangeEnd[0] === 0)) return true;
  return Buffer.compare(key, rangeEnd) < 0;
}
