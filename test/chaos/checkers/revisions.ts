// Every answer tells the truth about the state at the revision of its header, every write happens once,
// and revisions respect real time: the simulator's "answers" and "writes", judged from outside.
//
// When a round is over, the state as of each of its revisions is read back from the members. Revisions
// order all writes; a read's header names the state that it saw. An answer must fit the state at its
// revision, and lie above (writes) or at least at (reads) all revisions that anybody had heard of when it
// was called. Each revision must be explained by exactly one call.
import { describeOperation } from "../../sim/operation.ts";
import { check } from "../../sim/violation.ts";
import { type Call, describePair, isSamePair, type KeySpace, type SeenPair } from "../call.ts";
import type { Past } from "../probe.ts";

const name = "revisions";

type State = ReadonlyMap<string, SeenPair>;

/** @throws {Violation} */
export function checkRevisions(calls: readonly Call[], space: KeySpace, past: Past): void {
  const judge = new Judge(calls, space, past);
  for (const call of calls) if (call.state === "done") judge.answer(call);
  judge.explainAll();
}

class Judge {
  readonly #calls: readonly Call[];
  readonly #space: KeySpace;
  readonly #past: Past;
  readonly #byValue = new Map<string, Call>();
  /** Whose revision it is. */
  readonly #owners = new Map<number, Call>();
  readonly #happened = new Map<Call, number>();

  constructor(calls: readonly Call[], space: KeySpace, past: Past) {
    this.#calls = calls;
    this.#space = space;
    this.#past = past;
    for (const call of calls)
      if ("value" in call.action) this.#byValue.set(call.action.value, call);
  }

  answer(call: Call): void {
    const { action, revision } = call;
    switch (action.kind) {
      case "put":
        this.#wrote(call, [action.key], action.value);
        break;
      case "pair":
        this.#wrote(call, action.keys, action.value);
        break;
      case "delete":
        this.#deleted(call, action.key);
        break;
      case "swap": {
        const before = this.#at(call.swapped ? revision - 1 : revision, call).get(action.key);
        const { guard } = action;
        const holds =
          guard.kind === "mod"
            ? (before?.modified ?? 0) === guard.revision
            : before?.value === (guard.kind === "value" ? guard.value : undefined);
        check(
          holds === call.swapped,
          name,
          () => `${describeOperation(call)}: the guard decides wrongly at ${revision}`,
        );
        if (call.swapped) this.#wrote(call, [action.key], action.value);
        else this.#read(call, [action.key], { stale: false });
        break;
      }
      case "get":
        this.#read(call, [action.key], { stale: action.serializable });
        break;
      case "list":
        this.#read(call, this.#space.keys, { stale: action.serializable });
        break;
    }
  }

  /** Each revision that changed the keys of the round is the doing of one call, done or unanswered. */
  explainAll(): void {
    const { from, states } = this.#past;
    const deletes = this.#calls.filter(
      ({ action, state }) => action.kind === "delete" && state === "unknown",
    );
    for (let i = 1; i < states.length; i++) {
      const [revision, before, after] = [from + i, states[i - 1], states[i]];
      if (before === undefined || after === undefined) continue;
      const changed = this.#space.keys.filter(
        (key) => !isSamePair(before.get(key), after.get(key)),
      );
      if (changed.length === 0) continue;
      for (const key of changed) this.#checkLife(revision, key, before.get(key), after.get(key));
      this.#explain(revision, changed, after, deletes);
    }
  }

  #explain(revision: number, changed: readonly string[], after: State, deletes: Call[]): void {
    const put = changed.map((key) => after.get(key)).find((pair) => pair !== undefined);
    const [first = ""] = changed;
    if (put !== undefined) {
      const call = this.#byValue.get(put.value);
      check(call !== undefined, name, () => `nobody asked for ${put.value} at ${revision}`);
      this.#claim(call, revision);
      const { action } = call;
      const wanted = action.kind === "pair" ? action.keys : "key" in action ? [action.key] : [];
      const fits =
        [...wanted].sort().join() === [...changed].sort().join() &&
        changed.every((key) => after.get(key)?.value === put.value);
      check(fits, name, () => `${describeOperation(call)} did ${changed.join()} at ${revision}`);
      return;
    }
    if (this.#owners.has(revision)) return;
    // Only answers tell whose a deletion is; unanswered ones may happen late, any that fits is as good.
    const at = deletes.findIndex(
      ({ action, floor }) => action.kind === "delete" && action.key === first && floor < revision,
    );
    check(changed.length === 1 && at >= 0, name, () => `nobody deleted ${changed} at ${revision}`);
    deletes.splice(at, 1);
  }

  /** Create revision and version go on while a key lives, and begin anew after its death. */
  #checkLife(
    revision: number,
    key: string,
    before: SeenPair | undefined,
    after: SeenPair | undefined,
  ): void {
    if (after === undefined) return;
    const { value } = after;
    const created = before?.created ?? revision;
    const wanted = { value, created, modified: revision, version: (before?.version ?? 0) + 1 };
    check(
      isSamePair(after, wanted),
      name,
      () => `${key} at ${revision} is ${describePair(after)}, not ${describePair(wanted)}`,
    );
  }

  #wrote(call: Call, keys: readonly string[], value: string): void {
    const { revision } = call;
    for (const key of keys) {
      const pair = this.#at(revision, call).get(key);
      check(
        pair?.modified === revision && pair.value === value,
        name,
        () =>
          `${describeOperation(call)} is acknowledged at ${revision}, where ${key} is ${describePair(pair)}`,
      );
    }
    this.#claim(call, revision);
  }

  #deleted(call: Call, key: string): void {
    const { revision, deleted } = call;
    const after = this.#at(revision, call).get(key);
    check(
      after === undefined,
      name,
      () => `${describeOperation(call)} leaves ${describePair(after)} at ${revision}`,
    );
    if (deleted === 0) {
      this.#fresh(call);
      return;
    }
    const before = this.#at(revision - 1, call).get(key);
    check(
      deleted === 1 && before !== undefined,
      name,
      () => `${describeOperation(call)} deletes ${deleted} at ${revision}, where nothing was`,
    );
    this.#claim(call, revision);
  }

  #read(call: Call, keys: readonly string[], { stale }: { stale: boolean }): void {
    if (!stale) this.#fresh(call);
    // Older than the round: none of its keys was there.
    const isOld = stale && call.revision < this.#past.from;
    const state = isOld ? new Map<string, SeenPair>() : this.#at(call.revision, call);
    for (const key of keys) {
      const [found, want] = [call.pairs?.get(key), state.get(key)];
      check(
        isSamePair(found, want),
        name,
        () =>
          `${describeOperation(call)} sees ${key} as ${describePair(found)} at ${call.revision}, it is ${describePair(want)}`,
      );
    }
  }

  #claim(call: Call, revision: number): void {
    const before = this.#happened.get(call);
    check(
      before === undefined || before === revision,
      name,
      () => `${describeOperation(call)} happens at ${before} and at ${revision}`,
    );
    const owner = this.#owners.get(revision);
    check(
      owner === undefined || owner === call,
      name,
      () =>
        `revision ${revision} belongs to ${describeOperation(call)} and ${owner && describeOperation(owner)}`,
    );
    check(
      revision > call.floor,
      name,
      () => `${describeOperation(call)} happens at ${revision}, before it was asked for`,
    );
    check(
      call.state !== "failed",
      name,
      () => `${describeOperation(call)} was never sent and happens at ${revision}`,
    );
    this.#happened.set(call, revision);
    this.#owners.set(revision, call);
  }

  #fresh(call: Call): void {
    check(
      call.revision >= call.floor,
      name,
      () => `${describeOperation(call)} is answered from the past, at ${call.revision}`,
    );
  }

  #at(revision: number, call: Call): State {
    const state = this.#past.states[revision - this.#past.from];
    check(
      state !== undefined,
      name,
      () => `${describeOperation(call)} is answered at ${revision}, which is lost`,
    );
    return state;
  }
}
