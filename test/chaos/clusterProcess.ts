// The process under test: one embedded cluster on disk that takes orders from its parent. Runs from the
// build, as its users' do; killed by SIGKILL at any time.
//   node .build/test/chaos/clusterProcess.js DATA_DIR
import { tuneHeapOfThreads } from "../../src/base/system.ts";
import { Cluster, type MemberHandle, type MemberNotice } from "../../src/quorlet.ts";
import { chaosTiming, memberNames, type Order, type Report, type Request } from "./orders.ts";

/** What a notice says of a thread that left because it was told to. */
const killedByOrder = "its thread was stopped";

tuneHeapOfThreads();
process.on("disconnect", () => process.exit(0));
const [dataDir] = process.argv.slice(2);
if (dataDir === undefined) throw new Error("which data directory?");
const cluster = await Cluster.start({
  members: memberNames.length,
  dataDir,
  timing: chaosTiming,
  onMember: onNotice,
});
/** Kills under way: nobody restarts a thread that has not left yet. */
const kills = new Set<Promise<void>>();
process.on("message", (message) => void obey(message as Request));
tell({ kind: "ready", endpoints: cluster.endpoints });

async function obey({ id, order }: Request): Promise<void> {
  try {
    tell({ kind: "done", id, whom: await carryOut(order) });
  } catch (error) {
    tell({ kind: "failed", id, why: error instanceof Error ? error.message : String(error) });
  }
}

/** @returns whom it met, for the protocol of the round. */
async function carryOut(order: Order): Promise<string> {
  const { faults } = cluster;
  if (order.kind === "mend") {
    faults.mend();
    return "all";
  }
  if (order.kind === "heal") return await heal();
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

async function heal(): Promise<string> {
  cluster.faults.mend();
  await Promise.all(kills);
  await Promise.all(cluster.members.map((member) => member.restart()));
  return "all";
}

function find(target: string): MemberHandle | undefined {
  return cluster.members.find(({ name, role }) =>
    target === "leader" ? role === "leader" : name === target,
  );
}

function onNotice({ name, kind, why }: MemberNotice): void {
  if (kind === "serving" || (kind === "down" && why === killedByOrder)) return;
  tell({ kind: "crash", name, why });
}

function tell(report: Report): void {
  if (process.connected) process.send?.(report);
}
