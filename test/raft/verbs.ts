// The verbs of raft transcripts, one row each with an example.
import { LogIndex, MemberId } from "../../src/base/brand.ts";
import type { RaftConfig } from "../../src/raft/config.ts";
import { describeMembership } from "../../src/raft/describe.ts";
import type { MembershipChange } from "../../src/raft/membership.ts";
import type { Message } from "../../src/raft/message.ts";
import type { Command } from "../support/transcript.ts";
import { parseCommand } from "../support/transcript.ts";
import { Stage, type Start } from "./stage.ts";

type Act = (stage: Stage, command: Command) => void;
type Show = (stage: Stage, command: Command) => readonly string[];

/** Make something happen; the stage tells what. */
const acts: Readonly<Record<string, Act>> = {
  // campaign 1
  campaign: (stage, { words }) => stage.act(idAt(words, 0), ({ node }) => node.campaign()),
  // tick 1 10 | tick all 3
  tick: (stage, { words }) => stage.tick(idsAt(stage, words[0]), Number(words[1] ?? 1)),
  // elect 1: campaign and settle, told by nobody
  elect: (stage, { words }) => stage.elect(idAt(words, 0)),
  // read 2 7: request id 7
  read: (stage, { words }) =>
    stage.act(idAt(words, 0), ({ node }) => node.readIndex(Number(words[1]))),
  // deliver | deliver 2 | deliver 1>2: what is under way now, not what follows from it
  deliver: (stage, { words }) => stage.deliver(picked(words)),
  // settle | settle quietly: until nothing is under way
  settle,
  // hold 1, later persist 1, release 1: its writes wait to become durable
  hold: (stage, { words }) => stage.hold(idAt(words, 0)),
  persist: (stage, { words }) => stage.act(idAt(words, 0), (member) => member.persist()),
  release: (stage, { words }) => stage.release(idAt(words, 0)),
  // restart 1 survivors=1 preVote checkQuorum: survivors are writes that made it to the disk
  restart: (stage, command) => {
    const survivors = Number(command.options.get("survivors") ?? 0);
    stage.restart(idAt(command.words, 0), configOf(command), survivors);
  },
  // wipe 4: comes back without its disk
  wipe: (stage, { words }) => stage.wipe(idAt(words, 0)),
  // damage 3 1,1 | damage 3: comes back with entries of these terms, and knows that there were more
  damage: (stage, { words }) =>
    stage.damage(idAt(words, 0), words[1]?.split(",").map(Number) ?? []),
  // isolate 3 | heal
  isolate: (stage, { words }) => stage.cut(words.map(toId)),
  heal: (stage) => stage.heal(),
  // transfer 1 2
  transfer: (stage, { words }) =>
    stage.act(idAt(words, 0), ({ node }) => node.transferLeadership(idAt(words, 1))),
  // compact 1 4: its log forgets entries up to 4
  compact,
};

/** Answer a question, or say how an act went. */
const shows: Readonly<Record<string, Show>> = {
  // propose 1 a b: two entries
  propose: (stage, { words }) => {
    const result = stage.propose(idAt(words, 0), ...words.slice(1));
    return result === "accepted" || result === "forwarded" ? [] : [`refused: ${result}`];
  },
  // drop 1>2: what `deliver` would deliver, lost
  drop: (stage, { words }) => [`dropped ${stage.take(picked(words)).length}`],
  // change 1 addVoter 4 | change 1 joint 1,2,4 learners=3
  change,
  // status | status 1
  status: (stage, { words }) => idsAt(stage, words[0]).map((id) => statusOf(stage, id)),
  // log 1
  log: (stage, { words }) => idsAt(stage, words[0]).map((id) => logOf(stage, id)),
  // peers 1: what a leader knows
  peers: (stage, { words }) =>
    stage
      .member(idAt(words, 0))
      .node.peers()
      .map(({ id, state, match }) => `${id} ${state} match=${match}`),
};

/** One scenario; `members` comes first. */
export function newInterpreter(): (line: string) => readonly string[] {
  let stage = new Stage();
  return (line) => {
    const command = parseCommand(line);
    if (command.verb === "members") {
      stage = newStage(command);
      return [];
    }
    const show = shows[command.verb];
    const act = acts[command.verb];
    if (!show && !act) throw new Error(`no verb ${command.verb}`);
    act?.(stage, command);
    const answer = show?.(stage, command) ?? [];
    return [...stage.tell(), ...answer];
  };
}

/** members 3 preVote checkQuorum learners=4 log(1)=1,1,2 term(1)=3 commit(1)=2 snapshot(1)=2 */
function newStage(command: Command): Stage {
  const { words, options } = command;
  const stage = new Stage(configOf(command));
  const voters = Array.from({ length: Number(words[0]) }, (_, i) => MemberId(BigInt(i + 1)));
  const learners = listOf(options.get("learners"));
  const strangers = listOf(options.get("strangers"));
  for (const id of [...voters, ...learners, ...strangers]) {
    stage.add(id, { voters, learners }, startOf(options, id));
  }
  return stage;
}

function startOf(options: ReadonlyMap<string, string>, id: MemberId): Start {
  const number = (name: string): number | undefined => {
    const text = options.get(`${name}(${id})`);
    return text === undefined ? undefined : Number(text);
  };
  const term = number("term");
  const terms = options.get(`log(${id})`)?.split(",").map(Number) ?? [];
  return {
    terms,
    ...(term === undefined ? {} : { term }),
    vote: MemberId(BigInt(number("vote") ?? 0)),
    commit: number("commit") ?? 0,
    snapshot: number("snapshot") ?? 0,
  };
}

function configOf({ words, options }: Command): Partial<RaftConfig> {
  const inflight = options.get("inflight");
  const appendBytes = options.get("appendBytes");
  return {
    ...(words.includes("preVote") ? { preVote: true } : {}),
    ...(words.includes("checkQuorum") ? { checkQuorum: true } : {}),
    ...(words.includes("lease") ? { readMode: "lease", checkQuorum: true } : {}),
    ...(inflight === undefined ? {} : { inflightMax: Number(inflight) }),
    ...(appendBytes === undefined ? {} : { maxAppendBytes: Number(appendBytes) }),
  };
}

function settle(stage: Stage, { words }: Command): void {
  stage.settle();
  if (words[0] === "quietly") stage.tell();
}

function change(stage: Stage, { words, options }: Command): readonly string[] {
  let result = "";
  stage.act(idAt(words, 0), ({ node }) => {
    result = node.proposeMembership(changeOf(words, options));
  });
  return [`change: ${result}`];
}

function changeOf(
  words: readonly string[],
  options: ReadonlyMap<string, string>,
): MembershipChange {
  const [, kind, ids] = words;
  if (kind === "joint") {
    return { kind, voters: listOf(ids), learners: listOf(options.get("learners")) };
  }
  if (kind === "addVoter" || kind === "addLearner" || kind === "promote" || kind === "remove") {
    return { kind, id: toId(ids ?? "0") };
  }
  throw new Error(`no change ${kind}`);
}

function compact(stage: Stage, { words }: Command): void {
  const { log, node } = stage.member(idAt(words, 0));
  log.compact(LogIndex(Number(words[1])), node.membership);
}

function statusOf(stage: Stage, id: MemberId): string {
  const { node } = stage.member(id);
  const { role, term, commit, applied, lastIndex } = node.status();
  const place = `commit=${commit} applied=${applied} last=${lastIndex}`;
  return `${id} ${role} term=${term} ${place} ${describeMembership(node.membership)}`;
}

function logOf(stage: Stage, id: MemberId): string {
  const first = stage.member(id).log.firstIndex();
  return `${id} from ${first}: ${stage.terms(id).join(",")}`;
}

const toId = (text: string): MemberId => MemberId(BigInt(text));

const idAt = (words: readonly string[], at: number): MemberId => toId(words[at] ?? "0");

const listOf = (text: string | undefined): readonly MemberId[] =>
  text === undefined ? [] : text.split(",").map(toId);

const idsAt = (stage: Stage, word: string | undefined): readonly MemberId[] =>
  word === undefined || word === "all" ? stage.ids : listOf(word);

/** "2": to member 2; "1>2": on that way; nothing: all. */
function picked(words: readonly string[]): (message: Message) => boolean {
  if (words.length === 0) return () => true;
  const ways = words.map((word) => word.split(">"));
  return ({ from, to }) =>
    ways.some(([a, b]) => (b === undefined ? String(to) === a : `${from}>${to}` === `${a}>${b}`));
}
