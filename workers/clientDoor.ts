// Binds what clients reach a member by: one address or several, some for gRPC or HTTP alone, unix sockets;
// with TLS or without, by the same rules everywhere.
import type { Address } from "../src/cluster/address.ts";
import type { ClientDoor, DoorManner } from "../src/cluster/protocol.ts";
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
  const { more = [] } = door;
  const addresses = more.flatMap(({ at }) => ("path" in at ? [] : [at.host]));
  const tls = tlsOf([listen.host, ...addresses], door);
  const rulesOf = (secure: boolean, serves: DoorManner["serves"]): DoorRules => {
    if (!secure) return { serves };
    if (tls === undefined) throw new RangeError("TLS without a certificate");
    return { serves, tls };
  };
  const { secure, serves } = door.main ?? { secure: tls !== undefined, serves: "all" };
  const { port } = await binding(listen, listener.listen(listen, rulesOf(secure, serves)));
  for (const { at, ...manner } of more) {
    const rules = rulesOf(manner.secure, manner.serves);
    if ("path" in at) await listener.listenUnix(at, rules);
    else await binding(at, listener.listen(at, rules));
  }
  return port;
}

export function accessOf({ cors = ["*"], hostWhitelist = ["*"] }: ClientDoor = {}): AccessRules {
  return { cors, hostWhitelist };
}

function tlsOf(hosts: readonly string[], { tls, autoTls }: ClientDoor): DoorRules["tls"] {
  if (tls !== undefined) return tls;
  if (autoTls !== true) return undefined;
  return makeCertificate([...new Set([...hosts, "localhost", "127.0.0.1", "::1"])], Date.now());
}
