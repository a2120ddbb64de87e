// The Election service of etcd: whoever is first in the line leads, and its key holds what it says.
import { noLease } from "../base/brand.ts";
import {
  EtcdError,
  errElectionExpired,
  errElectionNoLeader,
  errElectionNotLeader,
  errLearnerRefuses,
  errMalformed,
  errNoLeaderKey,
} from "../base/errors.ts";
import type { StreamHandler, StreamMethod, UnaryCall, UnaryMethod } from "../grpc/call.ts";
import type { MemberService } from "../member/service.ts";
import {
  decodeCampaignRequest,
  decodeLeaderRequest,
  decodeProclaimRequest,
  decodeResignRequest,
  encodeCampaignResponse,
  encodeLeaderResponse,
  type LeaderKey,
} from "../proto/electionCodec.ts";
import { encodeCompactionResponse as encodeHeaderOnly } from "../proto/encodeResponses.ts";
import { Malformed } from "../proto/reader.ts";
import type { Writer } from "../proto/writer.ts";
import type { Headers } from "./header.ts";
import type { Line } from "./line.ts";
import { type KeyLife, letOut } from "./lineCommands.ts";
import { firstOf, ObserveCall } from "./observe.ts";

export class ElectionService {
  readonly #member: MemberService;
  readonly #line: Line;
  readonly #headers: Headers;
  readonly #writer: Writer;

  constructor(line: Line, headers: Headers, writer: Writer) {
    this.#member = line.member;
    this.#line = line;
    this.#headers = headers;
    this.#writer = writer;
  }

  /** Waits until the caller leads. */
  readonly campaign: UnaryMethod = (call, message) => {
    // A copy, as name and value are needed for as long as the call waits.
    const request = decodeCampaignRequest(Buffer.from(message));
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    const { name } = request;
    this.#line.enter(
      call,
      { ...request, errExpired: errElectionExpired },
      {
        // etcd's header is that of the command which stepped in.
        onTurn: ({ key, createRevision: revision, lease, enteredRevision }) =>
          call.respond(
            encodeCampaignResponse(this.#writer, this.#headers.at(enteredRevision), {
              name,
              key,
              revision,
              lease,
            }),
          ),
        onRefused: (error) => call.fail(error),
      },
    );
  };

  readonly proclaim: UnaryMethod = (call, message) => {
    // A copy, as a lease may have to be granted first.
    const request = decodeProclaimRequest(Buffer.from(message));
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    const { leader, value } = request;
    if (leader === undefined) return call.fail(errNoLeaderKey);
    if (leader.lease !== noLease) return this.#proclaim(call, leader, value);
    // Odd, but etcd's: such a word lasts as long as a lease that nobody renews.
    this.#line.commands.grant({
      onDone: ({ id: lease }) => this.#proclaim(call, { ...leader, lease }, value),
      onRefused: (error) => call.fail(letOut(error)),
    });
  };

  readonly leader: UnaryMethod = (call, message) => {
    const request = decodeLeaderRequest(Buffer.from(message));
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    this.#member.readIndex({
      onReady: () => {
        const first = firstOf(this.#member.state, request.name);
        if (first === undefined) call.fail(errElectionNoLeader);
        else this.#answerLeader(call, first);
      },
      onRefused: (error) => call.fail(letOut(error)),
    });
  };

  /** Also well when the caller leads no longer. */
  readonly resign: UnaryMethod = (call, message) => {
    const request = decodeResignRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    if (request.leader === undefined) return call.fail(errNoLeaderKey);
    this.#line.commands.stepOut(lifeOf(request.leader), {
      onDone: ({ revision }) => this.#answerHeader(call, revision),
      onRefused: (error) => call.fail(letOut(error)),
    });
  };

  readonly observe: StreamMethod = (call) => {
    if (!this.#member.isLearner) {
      return new ObserveCall(this.#member, call, (row, revision) =>
        encodeLeaderResponse(this.#writer, this.#headers.at(revision), row),
      );
    }
    call.fail(errLearnerRefuses);
    return deaf;
  };

  #proclaim(call: UnaryCall, leader: LeaderKey, value: Uint8Array): void {
    const { lease } = leader;
    this.#line.commands.say(
      lifeOf(leader),
      { value, lease },
      {
        onDone: ({ succeeded, revision }) => {
          if (succeeded) this.#answerHeader(call, revision);
          else call.fail(errElectionNotLeader);
        },
        onRefused: (error) => call.fail(letOut(error)),
      },
    );
  }

  #answerLeader(call: UnaryCall, { row, revision }: { row: Uint8Array; revision: number }): void {
    try {
      call.respond(encodeLeaderResponse(this.#writer, this.#headers.at(revision), row));
    } catch (error) {
      // An answer above the send limit.
      if (!(error instanceof EtcdError)) throw error;
      call.fail(error);
    }
  }

  #answerHeader(call: UnaryCall, revision: number): void {
    call.respond(encodeHeaderOnly(this.#writer, this.#headers.at(revision)));
  }
}

const deaf: StreamHandler = { onMessage() {}, onHalfClose() {}, onDrain() {}, onCancel() {} };

const lifeOf = ({ key, revision }: LeaderKey): KeyLife => ({ key, createRevision: revision });
