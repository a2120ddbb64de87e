// etcd's --peer-… flags for TLS between members.
import type { MeshDoor } from "../cluster/protocol.ts";
import { ConfigError } from "./configError.ts";
import type { Settings } from "./settings.ts";
import type { ServerUrl } from "./urls.ts";

/** Paths of PEM files. */
export type PeerTlsConfig = Exclude<NonNullable<MeshDoor["tls"]>, "auto">;

/** @returns undefined when nothing is said. @throws {ConfigError} in etcd's words. */
export function peerTlsOf(
  settings: Settings,
  listen: readonly ServerUrl[],
): PeerTlsConfig | "auto" | undefined {
  const text = (flag: string): string | undefined => settings.text(flag) || undefined;
  const pair = bothOrNone(text("peer-cert-file"), text("peer-key-file"));
  const secure = listen.find(({ isTls }) => isTls);
  // As in etcd: files, where there are some, win over self-made certificates.
  if (pair.certFile === undefined && settings.bool("peer-auto-tls")) return "auto";
  if (pair.certFile === undefined && secure !== undefined) {
    const { host, port } = secure.address;
    throw new ConfigError(
      `cannot listen on TLS for ${host}:${port}: KeyFile and CertFile are not presented`,
    );
  }
  const client = bothOrNone(text("peer-client-cert-file"), text("peer-client-key-file"));
  const found: Record<keyof PeerTlsConfig, string | boolean | undefined> = {
    ...pair,
    clientCertFile: client.certFile,
    clientKeyFile: client.keyFile,
    trustedCaFile: text("peer-trusted-ca-file"),
    clientCertAuth: settings.bool("peer-client-cert-auth") || undefined,
    crlFile: text("peer-crl-file"),
    allowedCn: text("peer-cert-allowed-cn"),
    allowedHostname: text("peer-cert-allowed-hostname"),
  };
  if (found.allowedCn !== undefined && found.allowedHostname !== undefined) {
    throw new ConfigError(
      `AllowedCN and AllowedHostname are mutually exclusive (cn=${found.allowedCn}, hostname=${found.allowedHostname})`,
    );
  }
  const said = Object.entries(found).filter(([, value]) => value !== undefined);
  return said.length === 0 ? undefined : Object.fromEntries(said);
}

function bothOrNone(certFile: string | undefined, keyFile: string | undefined) {
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new ConfigError(
      `KeyFile and CertFile must both be present[key: ${keyFile ?? ""}, cert: ${certFile ?? ""}]`,
    );
  }
  return { certFile, keyFile };
}
