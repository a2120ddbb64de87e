// Whom the load goes to: a cluster of our own, an etcd started for the comparison, or a running one.
import type { Caller } from "../load/caller.ts";
import { ownUsage, type ServerUsage, usageOf } from "../measure/usage.ts";
import type { BenchOptions } from "../options.ts";
import { embeddedTarget } from "./embedded.ts";
import { startEtcd } from "./etcd.ts";
import { ownProcesses, ownThreads } from "./own.ts";

export interface Target extends AsyncDisposable {
  readonly name: string;
  readonly endpoints: readonly string[];
  /** Processes of the servers; empty when unknown. */
  readonly pids: readonly number[];
  /** True when the servers are threads of this process: the generators' CPU time is taken off. */
  readonly sharesProcess: boolean;
  /** Opens a way in without sockets, where there is one. */
  embedded?(): Caller;
}

export async function openTarget(options: BenchOptions): Promise<Target> {
  const { endpoints, pids, label, embedded, transport } = options;
  if (endpoints.length > 0) {
    if (embedded) throw new Error("--embedded needs a cluster of our own, not --endpoints");
    return foreignTarget(label ?? endpoints.join(","), endpoints, pids);
  }
  if (embedded) return await embeddedTarget(options);
  return transport === "ws" ? await ownProcesses(options) : await ownThreads(options);
}

/** The other side of a comparison; undefined when none is asked for. */
export async function openPeer(options: BenchOptions): Promise<Target | undefined> {
  const { peer, against, againstPids, againstLabel } = options;
  if (against.length > 0) return foreignTarget(againstLabel, against, againstPids);
  if (peer === undefined) return undefined;
  const [, path] = /^etcd(?:=(.+))?$/.exec(peer) ?? [];
  if (!peer.startsWith("etcd")) throw new Error(`--peer knows etcd or etcd=path, not ${peer}`);
  return await startEtcd({ ...options, ...(path && { path }) });
}

export function foreignTarget(
  name: string,
  endpoints: readonly string[],
  pids: readonly number[],
): Target {
  return {
    ...{ name, endpoints, pids, sharesProcess: false },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Undefined when the processes are not known. */
export function serverUsage({ sharesProcess, pids }: Target): ServerUsage | undefined {
  if (sharesProcess) return ownUsage();
  return pids.length === 0 ? undefined : usageOf(pids);
}
