// What the state machine counts as it applies: a few additions per command. It outlives the state when a
// snapshot replaces it.
import { exponentialBounds, Histogram } from "../base/histogram.ts";
import type { CommandKind } from "./command.ts";
import type { Outcome } from "./outcome.ts";

const kindsMax = 16;
const ttlBoundsSec = exponentialBounds(1, 2, 24);

export class ApplyTally {
  /** Commands by kind. */
  readonly done = new Float64Array(kindsMax);
  readonly refused = new Float64Array(kindsMax);
  leasesGranted = 0;
  /** Expired ones too. */
  leasesRevoked = 0;
  leasesExpired = 0;
  readonly leaseTtlSec = new Histogram(ttlBoundsSec);

  /** @param leasesGone that the command took away. */
  note(kind: CommandKind, outcome: Outcome | undefined, leasesGone: number): void {
    const isRefused = outcome?.kind === "refused";
    const counts = isRefused ? this.refused : this.done;
    counts[kind] = (counts[kind] ?? 0) + 1;
    this.leasesRevoked += leasesGone;
    if (outcome?.kind === "leaseDuty") this.leasesExpired += leasesGone;
    if (outcome?.kind !== "leaseGrant") return;
    this.leasesGranted++;
    this.leaseTtlSec.observe(outcome.ttlSec);
  }
}
