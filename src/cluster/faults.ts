// Harm that can be done to a cluster in this process, for tests and for looking at what it does then:
// threads that die, members that stand still, links that lose frames. Nothing of it touches the data.
import type { MemberId } from "../base/brand.ts";
import type { Supervisor } from "./supervisor.ts";

/** Longest time that `pause` takes. */
export const pauseMsMax = 60_000;

export type CutDirection = "both" | "oneWay";

/** Members are meant by name: "m1". Every method throws RangeError for a name that is none. */
export class Faults {
  readonly #supervisors: readonly Supervisor[];
  /** Of each member: the peers that its frames do not reach. */
  readonly #mutedPeers = new Map<MemberId, Set<MemberId>>();
  /** What the threads of paused members wait at; 1 when the pauses are over before their time. */
  readonly #gates = new Map<MemberId, Int32Array>();

  constructor(supervisors: readonly Supervisor[]) {
    this.#supervisors = supervisors;
  }

  /** Crashes the member's thread, also a paused one. It stays down until `MemberHandle.restart`. */
  async kill(name: string): Promise<void> {
    const supervisor = this.#named(name);
    this.#open(supervisor.id);
    await supervisor.kill();
  }

  /**
   * The member's thread stands still: no timer, no socket, no frame, as after SIGSTOP. Only a write or
   * sync of the disk that is already under way goes on. Later pauses of the member begin after it.
   *
   * @param ms from 1 to `pauseMsMax`; begins when the thread is done with its present turn.
   */
  pause(name: string, ms: number): void {
    const supervisor = this.#named(name);
    if (!(ms >= 1 && ms <= pauseMsMax)) {
      throw new RangeError(`a pause takes 1 to ${pauseMsMax} ms, not ${ms}`);
    }
    const gate = this.#gates.get(supervisor.id) ?? new Int32Array(new SharedArrayBuffer(4));
    this.#gates.set(supervisor.id, gate);
    supervisor.post({ kind: "pause", ms, gate });
  }

  /**
   * The link loses every frame that `from` sends to `to`, until `mend`, also over restarts; "both": and
   * what `to` sends to `from`. Frames on their way arrive. Clients are not cut off.
   */
  cut(from: string, to: string, direction: CutDirection = "both"): void {
    const [a, b] = [this.#named(from), this.#named(to)];
    if (a === b) throw new RangeError(`${from} has no link to itself`);
    this.#mute(a, b);
    if (direction === "both") this.#mute(b, a);
  }

  /** All links deliver again and all pauses end. Members that were killed stay down. */
  mend(): void {
    for (const id of [...this.#gates.keys()]) this.#open(id);
    const muted = this.#supervisors.filter(({ id }) => this.#mutedPeers.delete(id));
    for (const supervisor of muted) this.#tell(supervisor);
  }

  /** A new life of a member begins: it must learn which of its links are cut. */
  onBound(supervisor: Supervisor): void {
    if (this.#mutedPeers.has(supervisor.id)) this.#tell(supervisor);
  }

  #mute(from: Supervisor, to: Supervisor): void {
    const peers = this.#mutedPeers.get(from.id) ?? new Set();
    this.#mutedPeers.set(from.id, peers.add(to.id));
    this.#tell(from);
  }

  #tell(supervisor: Supervisor): void {
    const peers = this.#mutedPeers.get(supervisor.id) ?? [];
    supervisor.post({ kind: "mute", peers: [...peers] });
  }

  #open(id: MemberId): void {
    const gate = this.#gates.get(id);
    this.#gates.delete(id);
    if (gate === undefined) return;
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
  }

  #named(name: string): Supervisor {
    const found = this.#supervisors.find((supervisor) => supervisor.name === name);
    if (found === undefined) throw new RangeError(`there is no member ${name}`);
    return found;
  }
}
