// Streams with the header `hasleader: true`: refused without a leader, ended when it stays away.
import { noMember } from "../base/brand.ts";
import { type EtcdError, errNoLeader } from "../base/errors.ts";
import type { MemberService } from "../member/service.ts";
import type { StreamCall, StreamHandler, StreamMethod } from "./call.ts";

export function ledStream(member: MemberService, method: StreamMethod): StreamMethod {
  return (call) => {
    if (call.metadata("hasleader") !== "true") return method(call);
    if (member.status().leader !== noMember) return new LedStream(member, call, method);
    call.fail(errNoLeader);
    return deaf;
  };
}

const deaf: StreamHandler = { onMessage() {}, onHalfClose() {}, onDrain() {}, onCancel() {} };

/** Stands between the call and its method, so that either may end it. */
class LedStream implements StreamCall, StreamHandler {
  readonly #call: StreamCall;
  readonly #withdraw: () => void;
  readonly #handler: StreamHandler;
  #over = false;

  constructor(member: MemberService, call: StreamCall, method: StreamMethod) {
    this.#call = call;
    this.#withdraw = member.onLeaderLost(() => this.#onLost());
    this.#handler = method(this);
  }

  get cancelled(): boolean {
    return this.#over || this.#call.cancelled;
  }

  get backlogBytes(): number {
    return this.#call.backlogBytes;
  }

  metadata(name: string): string | undefined {
    return this.#call.metadata(name);
  }

  write(message: Uint8Array): boolean {
    return !this.#over && this.#call.write(message);
  }

  end(): void {
    if (this.#finish()) this.#call.end();
  }

  fail(error: EtcdError): void {
    if (this.#finish()) this.#call.fail(error);
  }

  onMessage(message: Uint8Array): void {
    if (!this.#over) this.#handler.onMessage(message);
  }

  onHalfClose(): void {
    if (!this.#over) this.#handler.onHalfClose();
  }

  onDrain(): void {
    if (!this.#over) this.#handler.onDrain();
  }

  onCancel(): void {
    if (this.#finish()) this.#handler.onCancel();
  }

  #onLost(): void {
    if (!this.#finish()) return;
    this.#call.fail(errNoLeader);
    this.#handler.onCancel();
  }

  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#withdraw();
    return true;
  }
}
