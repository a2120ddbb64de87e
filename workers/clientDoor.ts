// Binds what clients reach a member by: one address for all, or HTTP apart; unix sockets; with TLS or
// without, by the same rules everywhere.
import type { Address } from "../src/cluster/address.ts";
import type { ClientDoor } from "../src/cluster/protocol.ts";
import type { DoorRules, Listener } from "../src/door/listener.ts";
import { makeCertificate } from "../src/door/ownCertificate.ts";
import type { AccessRules } from "../src/gateway/access.ts";
import { binding } from "./bindError.ts";

/** @returns the port of the main address. @throws {BindError} for an address that cannot be used. */
export async function bindClientDoor(
  listener: Listener,
  listen: Address,
  door: ClientDoor = {},
): Promise<number> {
  const { listenHttp, unixPaths = [] } = door;
  const rules = rulesOf(listen, door);
  const serves = listenHttp === undefined ? "all" : "grpc";
  const { port } = await binding(listen, listener.listen(listen, { ...rules, serves }));
  if (listenHttp !== undefined) {
    await binding(listenHttp, listener.listen(listenHttp, { ...rules, serves: "http" }));
  }
  for (const path of unixPaths) await listener.listenUnix({ path }, rules);
  return port;
}

export function accessOf({ cors = ["*"], hostWhitelist = ["*"] }: ClientDoor = {}): AccessRules {
  return { cors, hostWhitelist };
}

function rulesOf({ host }: Address, { tls, autoTls }: ClientDoor): DoorRules {
  if (tls !== undefined) return { tls };
  if (autoTls !== true) return {};
  const hosts = [...new Set([host, "localhost", "127.0.0.1", "::1"])];
  return { tls: makeCertificate(hosts, Date.now()) };
}
