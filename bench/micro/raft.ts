// What raft itself costs: three members in one thread, disks and links that cost nothing.
//   npx tsx bench/micro/raft.ts [turns]
import { LogIndex, MemberId, noMember, Term } from "../../src/base/brand.ts";
import { Prng } from "../../src/base/prng.ts";
import type { Message } from "../../src/raft/message.ts";
import { RaftNode } from "../../src/raft/node.ts";
import type { Entry, HardState, LogReader, Membership } from "../../src/raft/types.ts";

const entryBytes = 300;
const ids = [1n, 2n, 3n].map(MemberId);

/** Keeps everything in one array; durable as soon as it is told. */
class InstantLog implements LogReader {
  readonly #entries: Entry[] = [];

  initialState(): { hardState: HardState; membership: Membership } {
    const hardState = { term: Term(0), vote: noMember, commit: LogIndex(0) };
    return { hardState, membership: { voters: ids, outgoing: [], learners: [] } };
  }

  firstIndex(): LogIndex {
    return LogIndex(1);
  }

  lastIndex(): LogIndex {
    return LogIndex(this.#entries.length);
  }

  term(index: LogIndex): Term | undefined {
    return index === 0 ? Term(0) : this.#entries[index - 1]?.term;
  }

  entries({ from, to }: { from: LogIndex; to: LogIndex }): readonly Entry[] {
    return this.#entries.slice(from - 1, to - 1);
  }

  save(entries: readonly Entry[]): void {
    const [first] = entries;
    // Setting a length, even the same one, makes V8 trim and soon regrow the array.
    if (first && first.index <= this.#entries.length) this.#entries.length = first.index - 1;
    for (const entry of entries) this.#entries.push(entry);
  }
}

interface Party {
  readonly node: RaftNode;
  readonly log: InstantLog;
  inbox: Message[];
}

function newParties(): ReadonlyMap<MemberId, Party> {
  const parties = ids.map((id, i): [MemberId, Party] => {
    const log = new InstantLog();
    const config = {
      id,
      electionTicksMin: 10,
      heartbeatTicks: 1,
      maxAppendBytes: 1024 * 1024,
      inflightMax: 256,
      inflightBytesMax: 16 * 1024 * 1024,
      uncommittedBytesMax: 64 * 1024 * 1024,
      preVote: true,
      checkQuorum: true,
      readMode: "readIndex" as const,
      applied: LogIndex(0),
    };
    return [id, { node: new RaftNode(config, log, new Prng(i)), log, inbox: [] }];
  });
  return new Map(parties);
}

/** Carries out all duties; @returns how many messages left. */
function drain(parties: ReadonlyMap<MemberId, Party>, { node, log }: Party): number {
  let sent = 0;
  const send = (message: Message): void => {
    parties.get(message.to)?.inbox.push(message);
    sent++;
  };
  while (node.hasReady()) {
    const ready = node.ready();
    ready.messages.forEach(send);
    log.save(ready.entries);
    const last = ready.committed.at(-1);
    if (last) node.applied(last.index);
    node.advance();
    node.persisted(ready.persist);
    ready.messagesAfterPersist.forEach(send);
  }
  return sent;
}

/** One turn of the event loop after another on each member, until all are quiet. */
function settle(parties: ReadonlyMap<MemberId, Party>): number {
  let sent = 0;
  for (let moved = true; moved; ) {
    moved = false;
    for (const party of parties.values()) {
      const { inbox } = party;
      party.inbox = [];
      for (const message of inbox) party.node.step(message);
      const count = drain(parties, party);
      sent += count;
      moved ||= inbox.length > 0 || count > 0;
    }
  }
  return sent;
}

interface Figure {
  readonly batch: number;
  readonly turns: number;
  /** All three members together, per turn and per entry. */
  readonly usPerTurn: number;
  readonly usPerEntry: number;
  readonly messagesPerTurn: number;
}

export function benchRaft({ batch, turns }: { batch: number; turns: number }): Figure {
  const parties = newParties();
  const leader = parties.get(MemberId(1n));
  if (!leader) throw new Error("no leader");
  leader.node.campaign();
  settle(parties);
  const datas = Array.from({ length: batch }, () => new Uint8Array(entryBytes));
  let messages = 0;
  // CPU time, as the machine is shared.
  const started = process.cpuUsage();
  for (let turn = 0; turn < turns; turn++) {
    if (leader.node.propose(datas) !== "accepted") throw new Error("refused");
    messages += settle(parties);
  }
  const { user, system } = process.cpuUsage(started);
  const us = user + system;
  const { commit } = leader.node.status();
  if (commit !== turns * batch + 1) throw new Error(`committed ${commit}`);
  return {
    batch,
    turns,
    usPerTurn: round(us / turns),
    usPerEntry: round(us / turns / batch),
    messagesPerTurn: round(messages / turns),
  };
}

const round = (value: number): number => Math.round(value * 1000) / 1000;

if (process.argv[1]?.endsWith("raft.ts")) {
  const turns = Number(process.argv[2] ?? 20_000);
  for (const batch of [1, 64]) {
    benchRaft({ batch, turns: Math.ceil(turns / 10) });
    console.log(JSON.stringify(benchRaft({ batch, turns: Math.ceil(turns / Math.sqrt(batch)) })));
  }
}
