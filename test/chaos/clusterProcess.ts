// The process under test: one embedded cluster on disk that takes orders from its parent. Runs from the
// build, as its users' do; killed by SIGKILL at any time.
//   node .build/test/chaos/clusterProcess.js DATA_DIR
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { tuneHeapOfThreads } from "../../src/base/system.ts";
import { Writer } from "../../src/proto/writer.ts";
import { type Client, Cluster, type MemberHandle, type MemberNotice } from "../../src/quorlet.ts";
import { chaosTiming, memberNames, type Order, type Report, type Request } from "./orders.ts";

/** What a notice says of a thread that left because it was told to. */
const killedByOrder = "its thread was stopped";
/** For what the cluster refuses now and allows later: a change before the last one is applied. */
const insistMsMax = 30_000;
const insistEveryMs = 50;

tuneHeapOfThreads();
process.on("disconnect", () => process.exit(0));
const [dataDir] = process.argv.slice(2);
if (dataDir === undefined) throw new Error("which data directory?");
const isNew = !existsSync(join(dataDir, "quorlet.json"));
const cluster = await Cluster.start({
  // Later there may be more: who joined is there again.
  ...(isNew && { members: memberNames.length }),
  dataDir,
  timing: chaosTiming,
  onMember: onNotice,
});
/** Kills under way: nobody restarts a thread that has not left yet. */
const kills = new Set<Promise<void>>();
/** Members that come or go; never rejects. */
let changes: Promise<void> = Promise.resolve();
process.on("message", (message) => void obey(message as Request));
tellMembers();

async function obey({ id, order }: Request): Promise<void> {
  try {
    tell({ kind: "done", id, whom: await carryOut(order) });
  } catch (error) {
    tell({ kind: "failed", id, why: error instanceof Error ? error.message : String(error) });
  }
}

/** @returns whom it met, for the protocol of the round. */
async function carryOut(order: Order): Promise<string> {
  switch (order.kind) {
    case "mend":
      cluster.faults.mend();
      return "all";
    case "join":
      return change(async () => void (await cluster.addMember({ learner: order.learner })));
    case "part":
      return change(async () => {
        const last = joined().at(-1);
        if (last !== undefined) await cluster.removeMember(last.id);
      });
    case "heal":
      return await heal();
    case "shrink":
      return await shrink();
    default:
      return await harm(order);
  }
}

async function harm(order: Extract<Order, { readonly target: string }>): Promise<string> {
  const { faults } = cluster;
  const member = find(order.target);
  if (member === undefined) return "nobody";
  const { name } = member;
  switch (order.kind) {
    case "kill":
      await kill(name);
      return name;
    case "restart":
      await Promise.all(kills);
      await member.restart();
      return name;
    case "pause":
      faults.pause(name, order.ms);
      return name;
    case "cut": {
      const { peer, direction } = order;
      const peers = cluster.members.filter(
        (other) => other.name !== name && (peer === undefined || other.name === find(peer)?.name),
      );
      for (const other of peers) {
        if (direction === "deaf") faults.cut(other.name, name, "oneWay");
        else faults.cut(name, other.name, direction);
      }
      return `${name} and ${peers.map((other) => other.name).join() || "nobody"}`;
    }
  }
}

async function kill(name: string): Promise<void> {
  const killed = cluster.faults.kill(name);
  kills.add(killed);
  await killed.finally(() => kills.delete(killed));
}

/** One after the other, however long the cluster cannot decide. */
function change(act: () => Promise<void>): string {
  const before = changes;
  changes = before.then(act).then(tellMembers, tellMembers);
  return "begun";
}

async function heal(): Promise<string> {
  cluster.faults.mend();
  await Promise.all(kills);
  await restartAll();
  await changes;
  // Who came meanwhile may have been killed as well.
  await restartAll();
  const client = cluster.client();
  try {
    await insist(() => settle(client));
  } finally {
    client.close();
  }
  tellMembers();
  return cluster.members.map(({ name }) => name).join();
}

/** A removal that nobody could confirm may yet be committed: whoever goes must have gone. */
async function settle(client: Client): Promise<void> {
  const { members } = await client.memberList();
  for (const { id, isLearner } of members) {
    const isRunning = cluster.members.some((member) => member.id === id);
    if (isLearner && isRunning) await promote(id);
  }
  const goes = cluster.members.find(({ id }) => members.every((member) => member.id !== id));
  if (goes !== undefined) throw new Error(`${goes.name} has yet to go`);
}

/** Also those that were added and never began: the process was killed in between. */
async function shrink(): Promise<string> {
  const client = cluster.client();
  const gone = new Set<string>();
  const stay = new Set(cluster.members.filter(isFirst).map(({ id }) => id));
  try {
    await insist(async () => {
      for (const { id, name } of (await client.memberList()).members) {
        if (stay.has(id)) continue;
        gone.add(`${id.toString(16)} ${name}`);
        await cluster.removeMember(id);
      }
      await settle(client);
    });
  } finally {
    client.close();
  }
  tellMembers();
  return [...gone].join() || "nobody";
}

async function promote(id: bigint): Promise<void> {
  const channel = cluster.connect();
  const writer = new Writer();
  writer.id(0x08, id);
  try {
    await channel.unary("/etcdserverpb.Cluster/MemberPromote", writer.finish());
  } finally {
    channel.close();
  }
}

async function restartAll(): Promise<void> {
  await Promise.all(cluster.members.map(restart));
}

/** Who is removed meanwhile need not come back. */
async function restart(member: MemberHandle): Promise<void> {
  try {
    await member.restart();
  } catch (error) {
    if (cluster.members.some(({ id }) => id === member.id)) throw error;
  }
}

async function insist(act: () => Promise<unknown>): Promise<void> {
  const endMs = performance.now() + insistMsMax;
  for (;;) {
    try {
      await act();
      return;
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await wait(insistEveryMs);
    }
  }
}

function isFirst({ name }: { readonly name: string }): boolean {
  return memberNames.some((first) => first === name);
}

const joined = (): readonly MemberHandle[] => cluster.members.filter((each) => !isFirst(each));

function find(target: string): MemberHandle | undefined {
  return cluster.members.find(({ name, role }) =>
    target === "leader" ? role === "leader" : name === target,
  );
}

function onNotice({ name, kind, why }: MemberNotice): void {
  if (kind === "serving" || (kind === "down" && why === killedByOrder)) return;
  if (kind === "removed" && !isFirst({ name })) tellMembers();
  else tell({ kind: "crash", name, why: `${kind}: ${why}` });
}

function tellMembers(): void {
  const places = cluster.members
    .filter(({ endpoint }) => !endpoint.endsWith(":0"))
    .map(({ name, endpoint }) => ({ name, endpoint }));
  tell({ kind: "members", places });
}

function tell(report: Report): void {
  if (process.connected) process.send?.(report);
}
