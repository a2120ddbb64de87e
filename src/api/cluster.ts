// The Cluster service: who is a member, and how that changes.
import { createHash } from "node:crypto";
import { MemberId } from "../base/brand.ts";
import { type EtcdError, errMalformed, errMemberBadUrls } from "../base/errors.ts";
import type { UnaryCall, UnaryMethod } from "../grpc/call.ts";
import type { ChangeRequest } from "../member/changeRequest.ts";
import type {
  ChangeCompletion,
  MemberInfo,
  MemberService,
  ReadCompletion,
} from "../member/service.ts";
import {
  decodeMemberAddRequest,
  decodeMemberIdRequest,
  decodeMemberListRequest,
  encodeMemberAddResponse,
  encodeMemberListResponse,
} from "../proto/clusterCodec.ts";
import { Malformed } from "../proto/reader.ts";
import type { Writer } from "../proto/writer.ts";
import type { Headers } from "./header.ts";
import { checkPeerUrls } from "./peerUrls.ts";

export class ClusterService {
  readonly #member: MemberService;
  readonly #headers: Headers;
  readonly #writer: Writer;

  constructor(member: MemberService, headers: Headers, writer: Writer) {
    this.#member = member;
    this.#headers = headers;
    this.#writer = writer;
  }

  /** Local, unless the caller asks for a linearizable list. */
  readonly memberList: UnaryMethod = (call, message) => {
    const request = decodeMemberListRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    if (!request.linearizable) return this.#answer(call, this.#member.members());
    const completion: ReadCompletion = {
      onReady: () => this.#answer(call, this.#member.members()),
      onRefused: (error: EtcdError) => call.fail(error),
    };
    this.#member.readIndex(completion);
  };

  readonly memberAdd: UnaryMethod = (call, message) => {
    const request = decodeMemberAddRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    const peerUrls = checkPeerUrls(request.peerUrls);
    if (peerUrls === undefined) return call.fail(errMemberBadUrls);
    const id = newMemberId(peerUrls, Math.floor(Date.now() / 1000));
    const kind = request.isLearner ? "addLearner" : "addVoter";
    this.#member.changeMembership(
      { kind, id, peerUrls },
      {
        onChanged: (members) => this.#answerAdd(call, id, members),
        onRefused: (error: EtcdError) => call.fail(error),
      },
    );
  };

  readonly memberRemove: UnaryMethod = (call, message) => {
    const request = decodeMemberIdRequest(message);
    if (request instanceof Malformed) call.fail(errMalformed(request.why));
    else this.#change(call, { kind: "remove", id: MemberId(request.id) });
  };

  readonly memberPromote: UnaryMethod = (call, message) => {
    const request = decodeMemberIdRequest(message);
    if (request instanceof Malformed) call.fail(errMalformed(request.why));
    else this.#change(call, { kind: "promote", id: MemberId(request.id) });
  };

  readonly memberUpdate: UnaryMethod = (call, message) => {
    const request = decodeMemberIdRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    const { peerUrls } = request;
    this.#change(call, { kind: "update", id: MemberId(request.id), peerUrls });
  };

  #change(call: UnaryCall, request: ChangeRequest): void {
    const completion: ChangeCompletion = {
      onChanged: (members) => this.#answer(call, members),
      onRefused: (error: EtcdError) => call.fail(error),
    };
    this.#member.changeMembership(request, completion);
  }

  #answer(call: UnaryCall, members: readonly MemberInfo[]): void {
    const header = this.#headers.withoutRevision();
    const answer = { members: members.toSorted(byId) };
    call.respond(encodeMemberListResponse(this.#writer, header, answer));
  }

  #answerAdd(call: UnaryCall, id: MemberId, members: readonly MemberInfo[]): void {
    const member = members.find((one) => one.id === id);
    // Removed again in between: the answer is about what it was told to do.
    const added = member ?? { id, name: "", peerUrls: [], clientUrls: [], isLearner: false };
    const header = this.#headers.withoutRevision();
    const answer = { member: added, members: members.toSorted(byId) };
    call.respond(encodeMemberAddResponse(this.#writer, header, answer));
  }
}

/** As etcd makes it: first 8 bytes of SHA-1 over sorted URLs, an empty name and the time. */
function newMemberId(peerUrls: readonly string[], epochSec: number): MemberId {
  const hash = createHash("sha1").update(`${peerUrls.join("")}${epochSec}`);
  return MemberId(hash.digest().readBigUInt64BE(0));
}

const byId = (a: { readonly id: bigint }, b: { readonly id: bigint }): number =>
  a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
