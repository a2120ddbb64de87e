// Corners of what seeds draw, in which certain bugs are met sooner.
import type { Focus } from "../focus.ts";
import { type FaultKind, faultKinds } from "../odds.ts";

/** No other faults than these. */
const only = (weights: Partial<Record<FaultKind, number>>): Record<FaultKind, number> => ({
  ...(Object.fromEntries(faultKinds.map((kind) => [kind, 0])) as Record<FaultKind, number>),
  ...weights,
});

const noChanges = { operator: { gapUs: 0 } } as const;
const quickDisk = { log: "memory", syncUsMax: 1_000, stall: 0, fail: 0, harm: 0 } as const;

/** Members that raised their terms alone, and ask first from some moment on. */
export const turnedOn: Focus = {
  ...noChanges,
  faultsUs: 15_000_000,
  preVoteFromUs: 9_000_000,
  faults: {
    gapUs: 4_000_000,
    downUsMax: 500_000,
    cutUsMax: 60_000_000,
    splitAtElection: 0,
    weights: only({ isolate: 4, cutOneWay: 1 }),
  },
};

/** A leader that hears old news while the others elect another, and clients that ask it. */
export const oldNews: Focus = {
  ...noChanges,
  members: 3,
  driftMax: 150,
  turnUsMax: 50,
  network: { delayUsMax: 2_000 },
  disk: quickDisk,
  load: { clients: 8, keys: 2, thinkUsMax: 20_000, serializable: 20 },
  faults: {
    gapUs: 1_000_000,
    downUsMax: 5_000,
    cutUsMax: 3_000_000,
    pauseUsMax: 3_000_000,
    weights: only({ sideline: 6, slowLink: 2, cutOneWay: 1, isolate: 1, pause: 2, crash: 2 }),
  },
};

/** Reads by lease; leaders that are cut off and go on, and followers that come back at once. */
export const leased: Focus = {
  ...oldNews,
  leaseReads: 1,
  faults: {
    ...oldNews.faults,
    downUsMax: 100_000,
    weights: only({ sideline: 3, isolateLeader: 4, cutOneWay: 2, crashAll: 1, crash: 2 }),
  },
};

/** Reads by lease, and members that stand still for longer than a lease lasts. */
export const leasedAndPaused: Focus = {
  ...leased,
  faults: {
    ...leased.faults,
    pauseUsMax: 3_000_000,
    weights: only({ pause: 6, isolateLeader: 1 }),
  },
};

/** Leaders with an end of the log that nobody else has, and others that are elected meanwhile. */
export const ownTails: Focus = {
  ...noChanges,
  members: 3,
  appendBytesMax: 1,
  network: { delayUsMax: 20_000, loss: 5 },
  load: { clients: 3, thinkUsMax: 300_000 },
  faults: {
    gapUs: 1_000_000,
    downUsMax: 500_000,
    cutUsMax: 3_000_000,
    splitAtElection: 2,
    weights: only({ isolateLeader: 4, crashLeader: 1, heal: 2 }),
  },
};

/** Four members: two leaders that each drop one share no majority. */
export const rivals: Focus = {
  members: 4,
  faultsUs: 10_000_000,
  network: { delayUsMax: 20_000, loss: 0 },
  operator: { gapUs: 1_500_000, spares: 1, strict: 0, promote: 0, removes: 40, asksLeaders: 1 },
  disk: { ...quickDisk, syncUsMax: 10_000 },
  load: { clients: 1, watchClients: 0, leaseClients: 0 },
  faults: {
    gapUs: 3_000_000,
    cutUsMax: 60_000_000,
    splitAtElection: 1,
    weights: only({ isolateLeader: 1 }),
  },
};

/** An operator who is never done, and who is refused nothing. */
export const restless: Focus = {
  operator: { gapUs: 300_000, spares: 3, strict: 0 },
  disk: { harm: 0 },
  faults: { gapUs: 300_000 },
};

/** Logs that are compacted all the time, and members that lag. */
export const lagging = {
  compactEntries: 2,
  load: { thinkUsMax: 50_000, watchClients: 2 },
  faults: { gapUs: 300_000 },
} as const;

/** Disks that are harmed with nearly every crash. */
export const harmed: Focus = { disk: { log: "pooled", harm: 1 }, faults: { gapUs: 300_000 } };

/** Batches of several sectors that a crash leaves in pieces, while others hold their entries. */
export const torn: Focus = {
  ...noChanges,
  members: 3,
  compactEntries: 0,
  disk: { log: "pooled", syncUsMax: 60_000, stall: 50, harm: 0 },
  load: { clients: 8, thinkUsMax: 20_000, large: 2 },
  faults: {
    gapUs: 300_000,
    downUsMax: 5_000,
    splitAtElection: 0,
    weights: only({ crash: 4, crashLeader: 1, crashAll: 1 }),
  },
};

/** Harm to disks, and members that are asked for what they have while they have not all of it. */
export const refilling: Focus = {
  ...noChanges,
  members: 3,
  disk: { log: "pooled", harm: 1 },
  load: { clients: 8, thinkUsMax: 20_000, serializable: 2 },
  faults: { gapUs: 300_000, downUsMax: 5_000, weights: only({ crash: 4, isolate: 1 }) },
};

/** Many leases whose remainders are noted. */
export const held = {
  load: { leaseClients: 8 },
  leaseCheckpointSec: 1,
  faults: { gapUs: 300_000 },
} as const;

/** Leases, and leaders that others have replaced, for as long as such a leader can go on. */
export const replaced: Focus = {
  ...noChanges,
  ...held,
  members: 3,
  driftMax: 150,
  load: { ...held.load, clients: 1, watchClients: 0 },
  faults: {
    gapUs: 1_500_000,
    downUsMax: 4_000_000,
    cutUsMax: 10_000_000,
    pauseUsMax: 3_000_000,
    weights: only({ sideline: 4, isolateLeader: 4, crashLeader: 2, pause: 2, heal: 1 }),
  },
};

/** Leases that are renewed while their end is on its way through a slow log. */
export const slowEnds: Focus = {
  ...replaced,
  network: { delayUsMax: 80_000 },
  disk: { syncUsMax: 60_000, stall: 50 },
};

/** Many who want one lock, and members that hear late of what became of it. */
export const lined: Focus = {
  ...noChanges,
  members: 3,
  load: { lockClients: 6, clients: 1, watchClients: 0 },
  faults: {
    gapUs: 1_000_000,
    cutUsMax: 3_000_000,
    weights: only({ slowLink: 4, isolate: 2, cutOneWay: 1, heal: 1 }),
  },
};

/** All heals at the end of a cut, and nobody asks for anything more. */
export const hushed: Focus = {
  ...noChanges,
  members: 3,
  load: { clients: 1, watchClients: 0, leaseClients: 0, lockClients: 0, afterUs: 0 },
  faults: { gapUs: 1_000_000, cutUsMax: 10_000_000, weights: only({ isolate: 1 }) },
};

/** Members that come back at once, and news that comes late: answers to questions of an earlier life. */
export const reborn: Focus = {
  ...noChanges,
  members: 3,
  faultsUs: 8_000_000,
  turnUsMax: 50,
  preVoteFromUs: 0,
  leaseReads: 0,
  network: { delayUsMax: 20_000, reorder: 0, loss: 0 },
  disk: quickDisk,
  load: { ...oldNews.load, watchClients: 0, leaseClients: 0, lockClients: 0 },
  faults: {
    gapUs: 150_000,
    downUsMax: 5_000,
    cutUsMax: 1_000_000,
    splitAtElection: 0,
    weights: only({ slowLink: 3, crash: 4 }),
  },
};
