// What goes wrong in a round and when: all of it drawn from the seed, before anything happens.
import { Prng } from "../../src/base/prng.ts";
import { memberNames, type Order, type Target } from "./orders.ts";

export interface Step {
  /** Since the round began. */
  readonly atMs: number;
  readonly act: Order | { readonly kind: "killProcess" };
}

/** Faults begin within this time; then everything heals. */
export const faultsMs = 900;
/** Of every so many seeds, one kills the whole process. */
export const processKillEvery = 10;
const faultsMin = 2;
const faultsSpread = 4;
const downMsMax = 500;
const pauseMsMin = 50;
const pauseMsSpread = 900;
const cutMsMin = 200;
const cutMsSpread = 900;
const stayMsMax = 900;

/** Weights: how often each is drawn. */
const kinds = {
  killOne: 3,
  killLeader: 3,
  killAll: 1,
  killAgain: 1,
  pauseOne: 2,
  pauseLeader: 3,
  pauseAll: 1,
  isolate: 2,
  isolateLeader: 3,
  cutPair: 2,
  cutOneWay: 2,
  mute: 2,
  deafen: 2,
  mend: 1,
  joinVoter: 2,
  joinLearner: 1,
} as const;
export type Kind = keyof typeof kinds;
const allKinds = Object.keys(kinds) as readonly Kind[];

/** @param only the kinds of harm to draw from. */
export function drawSchedule(seed: number, only: readonly Kind[] = allKinds): readonly Step[] {
  const random = new Prng(seed);
  const steps: Step[] = [];
  if (seed % processKillEvery === 0 && only === allKinds) {
    steps.push({ atMs: 100 + random.integer(faultsMs - 100), act: { kind: "killProcess" } });
  }
  const count = faultsMin + random.integer(faultsSpread);
  for (let i = 0; i < count; i++) steps.push(...drawFault(random, only));
  return steps.sort((a, b) => a.atMs - b.atMs);
}

function drawFault(random: Prng, only: readonly Kind[]): readonly Step[] {
  const atMs = 50 + random.integer(faultsMs - 50);
  const target = anyMember(random);
  switch (drawKind(random, only)) {
    case "killOne":
      return killed(atMs, target, random);
    case "killLeader":
      return [{ atMs, act: { kind: "kill", target: "leader" } }];
    case "killAll":
      return memberNames.flatMap((name) => killed(atMs, name, random));
    case "killAgain":
      return [
        { atMs, act: { kind: "kill", target } },
        { atMs: atMs + 1, act: { kind: "restart", target } },
        ...killed(atMs + 100 + random.integer(400), target, random),
      ];
    case "pauseOne":
      return [paused(atMs, target, random)];
    case "pauseLeader":
      return [paused(atMs, "leader", random)];
    case "pauseAll":
      return memberNames.map((name) => paused(atMs, name, random));
    case "isolate":
      return cut(atMs, { target, direction: "both" }, random);
    case "isolateLeader":
      return cut(atMs, { target: "leader", direction: "both" }, random);
    case "cutPair":
      return cut(atMs, { target, peer: another(target, random), direction: "both" }, random);
    case "cutOneWay":
      return cut(atMs, { target, peer: another(target, random), direction: "oneWay" }, random);
    case "mute":
      return cut(atMs, { target: leaderOr(target, random), direction: "oneWay" }, random);
    case "deafen":
      return cut(atMs, { target: leaderOr(target, random), direction: "deaf" }, random);
    case "mend":
      return [{ atMs, act: { kind: "mend" } }];
    case "joinVoter":
      return joined(atMs, { learner: false }, random);
    case "joinLearner":
      return joined(atMs, { learner: true }, random);
  }
}

const killed = (atMs: number, target: Target, random: Prng): readonly Step[] => [
  { atMs, act: { kind: "kill", target } },
  { atMs: atMs + 1 + random.integer(downMsMax), act: { kind: "restart", target } },
];

const paused = (atMs: number, target: Target, random: Prng): Step => ({
  atMs,
  act: { kind: "pause", target, ms: pauseMsMin + random.integer(pauseMsSpread) },
});

/** Every other one leaves again; the rest stay until the round is over. */
function joined(atMs: number, { learner }: { learner: boolean }, random: Prng): readonly Step[] {
  const join: Step = { atMs, act: { kind: "join", learner } };
  if (random.oneIn(2)) return [join];
  return [join, { atMs: atMs + random.integer(stayMsMax), act: { kind: "part" } }];
}

interface CutParts {
  readonly target: Target;
  readonly peer?: Target;
  readonly direction: "both" | "oneWay" | "deaf";
}

/** Cuts end together: whoever mends, mends everything. */
const cut = (
  atMs: number,
  { target, peer, direction }: CutParts,
  random: Prng,
): readonly Step[] => [
  { atMs, act: { kind: "cut", target, peer, direction } },
  { atMs: atMs + cutMsMin + random.integer(cutMsSpread), act: { kind: "mend" } },
];

const anyMember = (random: Prng): Target => memberNames[random.integer(memberNames.length)] ?? "m1";

const leaderOr = (target: Target, random: Prng): Target => (random.oneIn(2) ? "leader" : target);

function another(target: Target, random: Prng): Target {
  const others = memberNames.filter((name) => name !== target);
  return others[random.integer(others.length)] ?? "m1";
}

function drawKind(random: Prng, only: readonly Kind[]): Kind {
  const lots = only.flatMap((kind) => Array.from({ length: kinds[kind] }, () => kind));
  return lots[random.integer(lots.length)] ?? "killLeader";
}

export function describeStep({ act }: Step): string {
  switch (act.kind) {
    case "kill":
    case "restart":
      return `${act.kind} ${act.target}`;
    case "pause":
      return `pause ${act.target} for ${act.ms} ms`;
    case "cut": {
      const peer = act.peer ?? "all others";
      if (act.direction === "both") return `cut ${act.target} from ${peer}`;
      return act.direction === "deaf"
        ? `what ${peer} say to ${act.target} is lost`
        : `what ${act.target} says to ${peer} is lost`;
    }
    case "killProcess":
      return "kill -9 the process";
    case "join":
      return act.learner ? "add a learner" : "add a voter";
    default:
      return act.kind;
  }
}
