// Liveness: once everything is healed, every request ends, every member serves, and all states agree.
import type { SimCluster } from "../cluster.ts";
import type { SimMember } from "../simMember.ts";
import { check } from "../violation.ts";

const name = "progress";
/** For what a member that died had asked for. */
const lateUs = 2_000_000;
/** A request may wait for its time and once more for the batches before it, on a slow clock. */
const requestsEndUs = 20_000_000;
const serveUs = 10_000_000;
const stepUs = 20_000;

/** What is left of the longest lease, once more for a new leader, and the way through the log. */
const leasesEndUs = 30_000_000;

/** Runs the healed cluster. @throws {Violation} when it does not come to rest as it should. */
export function checkProgress(cluster: SimCluster): void {
  const { workload, members, watchClients } = cluster;
  // What a slow disk was given before it healed still takes its time.
  const slowUs = Math.max(...members.map(({ disk }) => disk.idleUs - cluster.queue.nowUs), 0);
  cluster.run(slowUs + cluster.odds.load.afterUs);
  workload.end();
  for (const client of watchClients) client.settle();
  for (const client of cluster.leaseClients) client.end();
  for (const client of cluster.lockClients) client.end();
  waitFor(
    cluster,
    requestsEndUs,
    () => workload.openCount === 0,
    () => `${workload.openCount} requests do not end`,
  );
  waitFor(
    cluster,
    requestsEndUs,
    () => cluster.operator.openCount === 0,
    () => `${cluster.operator.openCount} changes of membership do not end`,
  );
  // What a member that died had asked for may still be on its way.
  cluster.run(lateUs);
  waitFor(
    cluster,
    serveUs,
    () => members.every(({ member }) => member?.status().isRefilling === false),
    () => "members are not refilled",
  );
  // Nobody asks for anything: what was lost on the way has to be sent again all the same.
  waitFor(
    cluster,
    serveUs,
    () => haveAppliedAlike(members),
    () => "a quiet member lags behind",
  );
  for (const member of members) checkServes(cluster, member);
  if (cluster.leaseClients.length + cluster.lockClients.length > 0) checkLeasesEnd(cluster);
  waitFor(
    cluster,
    serveUs,
    () => haveAppliedAlike(members),
    () => "members do not apply what others did",
  );
  checkHashes(cluster);
  for (const client of watchClients) {
    waitFor(
      cluster,
      serveUs,
      () => client.isComplete,
      () => client.describe(),
    );
  }
}

function checkLeasesEnd(cluster: SimCluster): void {
  const { judges, members } = cluster;
  const livingKeys = (): readonly string[] => [
    ...judges.leases.livingKeys,
    ...judges.locks.livingKeys,
  ];
  waitFor(
    cluster,
    leasesEndUs,
    () => livingKeys().length === 0,
    () => `${livingKeys().join()} stay behind the end of their leases`,
  );
  waitFor(
    cluster,
    leasesEndUs,
    () => members.every(({ member }) => member?.leases.list().length === 0),
    () => "leases that nobody keeps alive do not end",
  );
}

function waitFor(
  cluster: SimCluster,
  us: number,
  isDone: () => boolean,
  message: () => string,
): void {
  const endUs = cluster.queue.nowUs + us;
  while (!isDone()) {
    check(cluster.queue.nowUs < endUs, name, () => `after healing ${message()}`);
    cluster.run(stepUs);
  }
}

function checkServes(cluster: SimCluster, member: SimMember): void {
  // It may still die of what went wrong before: nobody can be asked then.
  waitFor(
    cluster,
    serveUs,
    () => member.isUp,
    () => `m${member.id} is down`,
  );
  let state = "open";
  cluster.workload.probe(member, (end) => {
    state = end;
  });
  waitFor(
    cluster,
    serveUs,
    () => state !== "open",
    () => `m${member.id} does not answer`,
  );
  check(state === "done", name, () => `after healing m${member.id} refuses a put`);
}

function haveAppliedAlike(members: readonly SimMember[]): boolean {
  const applied = members.map(({ applier }) => applier?.applied);
  return applied.every((index) => index !== undefined && index === applied[0]);
}

/** By content, over all rows: unlike the running digest it reads what the store gives. */
function checkHashes(cluster: SimCluster): void {
  const hashes = new Map<bigint, string>();
  let floor = 0;
  for (const member of cluster.members) {
    member.visit((service) =>
      service.hashKv(0, {
        onHash: ({ hash, revision, compactRevision }) => {
          floor = Math.max(floor, compactRevision);
          hashes.set(member.id, `${hash} at ${revision}, compacted ${compactRevision}`);
        },
        onRefused: (error) => void hashes.set(member.id, error.message),
      }),
    );
  }
  waitFor(
    cluster,
    serveUs,
    () => hashes.size === cluster.members.length,
    () => "hashes are missing",
  );
  const [first] = hashes.values();
  for (const [id, hash] of hashes) {
    check(hash === first, name, () => `m${id} holds hash ${hash}, m1 ${first}`);
  }
  // What was compacted leaves the stores too, in steps.
  const rows = cluster.judges.history.rowsBehind(floor);
  for (const { id, disk } of cluster.members) {
    waitFor(
      cluster,
      serveUs,
      () => disk.storedRows === rows,
      () => `m${id} stores ${disk.storedRows} rows, compacted at ${floor} it needs ${rows}`,
    );
  }
}
