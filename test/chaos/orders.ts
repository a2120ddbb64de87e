// What the test process and the process of the cluster say to each other, over the channel of a fork.
import type { CutDirection } from "../../src/cluster/faults.ts";

/** Fast enough for an election within a round, slow enough for a starved machine. */
export const chaosTiming = { tickMs: 25, electionTicks: 10, heartbeatTicks: 1 };

export const memberNames = ["m1", "m2", "m3"] as const;

/** A member that was there from the beginning, or whoever leads when the order arrives. */
export type Target = (typeof memberNames)[number] | "leader";

export type Order =
  /** Crashes the thread; it stays down. */
  | { readonly kind: "kill"; readonly target: Target }
  /** A member that is down starts again. */
  | { readonly kind: "restart"; readonly target: Target }
  | { readonly kind: "pause"; readonly target: Target; readonly ms: number }
  /** `peers` undefined: all others. "oneWay": what the target says is lost. "deaf": what it is told. */
  | {
      readonly kind: "cut";
      readonly target: Target;
      readonly peer: Target | undefined;
      readonly direction: CutDirection | "deaf";
    }
  | { readonly kind: "mend" }
  /** One more member, a thread with an empty log. Done at once: it comes when the cluster lets it. */
  | { readonly kind: "join"; readonly learner: boolean }
  /** The member that came last is to go. Done at once. */
  | { readonly kind: "part" }
  /** Mends everything, restarts who is down, makes voters of learners; done when all members serve. */
  | { readonly kind: "heal" }
  /** Removes all but those that were there from the beginning. */
  | { readonly kind: "shrink" };

export interface Request {
  readonly id: number;
  readonly order: Order;
}

/** Members with their client doors; the first three never go. */
export interface Place {
  readonly name: string;
  /** host:port. */
  readonly endpoint: string;
}

export type Report =
  /** First when the cluster serves, then whenever somebody comes or goes. */
  | { readonly kind: "members"; readonly places: readonly Place[] }
  | { readonly kind: "done"; readonly id: number; readonly whom: string }
  | { readonly kind: "failed"; readonly id: number; readonly why: string }
  /** A member went down that nobody killed. */
  | { readonly kind: "crash"; readonly name: string; readonly why: string };
