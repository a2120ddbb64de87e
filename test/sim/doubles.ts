// Broken parts, one at a time, to see that the checkers see. Nothing else may be broken on purpose.
import { LogIndex, type MemberId, noMember } from "../../src/base/brand.ts";
import type { MemberService } from "../../src/member/service.ts";
import type { Message } from "../../src/raft/message.ts";
import type { Engine } from "../../src/storage/engine.ts";
import type { RaftLog } from "../../src/storage/log.ts";
import { decodeFrame, FrameWriter } from "../../src/transport/frame.ts";
import type { PeerLink } from "../../src/transport/link.ts";

/** Each takes the true part and gives the broken one. */
export interface Doubles {
  readonly log?: (log: RaftLog, later: Later) => RaftLog;
  readonly engine?: (engine: Engine) => Engine;
  readonly link?: (link: PeerLink, from: MemberId) => PeerLink;
  readonly service?: (member: MemberService) => MemberService;
}

type Later = (delayUs: number, run: () => void) => void;

/** Says "durable" long before it is true. */
export const hastyLog: Doubles = {
  log: (log, later) =>
    logWith(log, (write, mustSync, done) => {
      const isDurable = log.save(write, mustSync, () => {});
      if (!isDurable) later(1, () => done());
      return isDurable;
    }),
};

/** Forgets for whom it voted. */
export const forgetfulLog: Doubles = {
  log: (log) =>
    logWith(log, (write, mustSync, done) => {
      const { hardState } = write;
      const kept = hardState && { ...hardState, vote: noMember };
      return log.save({ ...write, hardState: kept }, mustSync, done);
    }),
};

/** Tells peers of a commit one further than it is. */
export const forgingLink: Doubles = {
  link: (link, from) =>
    linkWith(link, from, (message) =>
      message.kind === "append" && message.entries.length > 0
        ? { ...message, commit: LogIndex(message.prevIndex + message.entries.length) }
        : message,
    ),
};

/** Grants every vote. */
export const bribedLink: Doubles = {
  link: (link, from) =>
    linkWith(link, from, (message) =>
      message.kind === "voteReply" ? { ...message, granted: true } : message,
    ),
};

/** Loses every 50th put of a batch. */
export function leakyEngine(): Doubles {
  let puts = 0;
  return {
    engine: (engine) =>
      engineWith(engine, (batch, done) => {
        const kept = batch.puts.filter(() => ++puts % 50 !== 0);
        engine.submit({ ...batch, puts: kept }, done);
      }),
  };
}

/** Does not keep which batches were applied, so that a repeat is applied again after a restart. */
export const originlessEngine: Doubles = {
  engine: (engine) =>
    engineWith(engine, (batch, done) => {
      const puts = batch.puts.filter(({ key }) => !Buffer.from(key).includes("origin"));
      engine.submit({ ...batch, puts }, done);
    }),
};

/** Proposes some commands twice, as a batch would be that is proposed again under a new sequence. */
export function repeatingMember(): Doubles {
  let calls = 0;
  const nobody = { onOutcome: () => {}, onRefused: () => {} };
  return {
    service: (member) =>
      serviceWith(member, {
        propose: (kind, body, completion) => {
          member.propose(kind, body, completion);
          calls++;
          if (calls % 10 === 0) member.propose(kind, body, nobody);
        },
      }),
  };
}

/** Asks no quorum before it reads. */
export const hastyReader: Doubles = {
  service: (member) => serviceWith(member, { readIndex: (completion) => completion.onReady() }),
};

function logWith(log: RaftLog, save: RaftLog["save"]): RaftLog {
  return {
    save,
    initialState: () => log.initialState(),
    base: () => log.base(),
    firstIndex: () => log.firstIndex(),
    lastIndex: () => log.lastIndex(),
    term: (index) => log.term(index),
    entries: (range) => log.entries(range),
    visitSizes: (visit) => log.visitSizes(visit),
    compact: (index, membership) => log.compact(index, membership),
    restart: (base, floor) => log.restart(base, floor),
    close: () => log.close(),
  };
}

function engineWith(engine: Engine, submit: Engine["submit"]): Engine {
  return {
    submit,
    get: (table, key) => engine.get(table, key),
    rowCount: (table) => engine.rowCount(table),
    scan: (range, visit) => engine.scan(range, visit),
    size: () => engine.size(),
    pin: () => engine.pin(),
    close: () => engine.close(),
  };
}

function linkWith(link: PeerLink, from: MemberId, change: (message: Message) => Message): PeerLink {
  return {
    send: (to, bytes) => {
      const frame = decodeFrame({ from, to, bytes });
      if (frame.kind === "bad") {
        link.send(to, bytes);
        return;
      }
      const writer = new FrameWriter();
      for (const message of frame.messages) writer.add(change(message));
      link.send(to, writer.finish());
    },
    sendBulk: (to, bytes) => link.sendBulk(to, bytes),
    onFrame: undefined,
    connected: (peer) => link.connected(peer),
    close: () => link.close(),
  };
}

/** The member, asked in another way. */
export function serviceWith(
  member: MemberService,
  changed: Partial<Pick<MemberService, "propose" | "readIndex">>,
): MemberService {
  return {
    clusterId: member.clusterId,
    id: member.id,
    get term() {
      return member.term;
    },
    get isLearner() {
      return member.isLearner;
    },
    get state() {
      return member.state;
    },
    get times() {
      return member.times;
    },
    get watches() {
      return member.watches;
    },
    get leases() {
      return member.leases;
    },
    get snapshots() {
      return member.snapshots;
    },
    onLeaderLost: (onLost) => member.onLeaderLost(onLost),
    propose:
      changed.propose ?? ((kind, body, completion) => member.propose(kind, body, completion)),
    readIndex: changed.readIndex ?? ((completion) => member.readIndex(completion)),
    readOn: (completion) => member.readOn(completion),
    hashKv: (revision, completion) => member.hashKv(revision, completion),
    defragment: (completion) => member.defragment(completion),
    compactionSettled: (done) => member.compactionSettled(done),
    status: () => member.status(),
    alarms: () => member.alarms(),
    members: () => member.members(),
    changeMembership: (request, completion) => member.changeMembership(request, completion),
    transferLeadership: (to, completion) => member.transferLeadership(to, completion),
  };
}
