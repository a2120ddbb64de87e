// The Cluster service: who is a member. Changes of membership are not served yet.
import { type EtcdError, errMalformed } from "../base/errors.ts";
import type { UnaryCall, UnaryMethod } from "../grpc/call.ts";
import type { MemberService, ReadCompletion } from "../member/service.ts";
import { decodeMemberListRequest, encodeMemberListResponse } from "../proto/clusterCodec.ts";
import { Malformed } from "../proto/reader.ts";
import type { Writer } from "../proto/writer.ts";
import type { Headers } from "./header.ts";

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
    if (!request.linearizable) return this.#answer(call);
    const completion: ReadCompletion = {
      onReady: () => this.#answer(call),
      onRefused: (error: EtcdError) => call.fail(error),
    };
    this.#member.readIndex(completion);
  };

  #answer(call: UnaryCall): void {
    const members = this.#member.members().toSorted(byId);
    const header = this.#headers.withoutRevision();
    call.respond(encodeMemberListResponse(this.#writer, header, { members }));
  }
}

const byId = (a: { readonly id: bigint }, b: { readonly id: bigint }): number =>
  a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
