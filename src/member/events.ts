// What happens to a member from outside. Requests of clients come through MemberService instead.
import type { MemberId } from "../base/brand.ts";

export type MemberEvent =
  /** One heartbeat unit of time has passed. */
  | { readonly kind: "tick" }
  /** A frame of a peer; the bytes belong to the member. */
  | { readonly kind: "frame"; readonly from: MemberId; readonly bytes: Uint8Array }
  /** Campaign now, without waiting for the election timeout (start of a whole cluster). */
  | { readonly kind: "campaign" }
  /** No more requests and no more steps; everything that waits is refused. */
  | { readonly kind: "stop" };

/** All times in ticks of `tickMs`. */
export interface MemberTiming {
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
}

/** etcd's defaults: a heartbeat every 100 ms, an election after 1 to 2 s of silence. */
export const defaultTiming: MemberTiming = { tickMs: 100, electionTicks: 10, heartbeatTicks: 1 };

/** How long a client's request may wait: 5 s and two election timeouts (semantics, section 14). */
export function requestTicksMax(timing: MemberTiming): number {
  return Math.ceil(5_000 / timing.tickMs) + 2 * timing.electionTicks;
}
