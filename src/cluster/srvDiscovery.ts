// The members of a new cluster from DNS: SRV records of _etcd-server._tcp and _etcd-server-ssl._tcp.
import type { SrvRecord } from "node:dns";
import { addressText } from "./address.ts";
import type { MemberSeed } from "./identity.ts";
import { StartError } from "./startError.ts";

export interface SrvQuestion {
  readonly domain: string;
  /** Suffix of the service name, "" for none. */
  readonly serviceName: string;
  /** This member, whose name DNS does not know. */
  readonly self: { readonly name: string; readonly peerUrls: readonly string[] };
}

/** What is asked of DNS; `node:dns/promises` offers both. */
export interface SrvResolver {
  resolveSrv(name: string): Promise<SrvRecord[]>;
  /** Every address of a host. */
  addresses(host: string): Promise<readonly string[]>;
}

const services = [
  { service: "etcd-server-ssl", scheme: "https" },
  { service: "etcd-server", scheme: "http" },
] as const;

/**
 * All members in the order of their records, each with one URL. The one whose URL is ours has our name,
 * the others are numbered, as in etcd.
 *
 * @throws {StartError} when there are no records, or none of them is this member.
 */
export async function discoverMembers(
  { domain, serviceName, self }: SrvQuestion,
  resolver: SrvResolver,
): Promise<readonly Omit<MemberSeed, "id">[]> {
  const suffix = serviceName === "" ? "" : `-${serviceName}`;
  const failures: string[] = [];
  const urls: string[] = [];
  for (const { service, scheme } of services) {
    const name = `_${service}${suffix}._tcp.${domain}`;
    try {
      for (const record of await resolver.resolveSrv(name)) urls.push(urlOf(scheme, record));
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  if (urls.length === 0) throw new StartError(`no member in DNS: ${failures.join("; ")}`);
  const own = await ownPlaces(self.peerUrls, resolver);
  const members: Omit<MemberSeed, "id">[] = [];
  let found = false;
  for (const url of new Set(urls)) {
    const isOwn = self.peerUrls.includes(url) || (await isAmong(own, url, resolver));
    found ||= isOwn;
    members.push({ name: isOwn ? self.name : String(members.length), peerUrls: [url] });
  }
  if (!found) {
    throw new StartError(
      `DNS of ${domain} does not name ${self.peerUrls.join()} among its members`,
    );
  }
  return members;
}

const urlOf = (scheme: string, { name, port }: SrvRecord): string =>
  `${scheme}://${addressText({ host: name.replace(/\.$/, ""), port })}`;

async function ownPlaces(
  urls: readonly string[],
  resolver: SrvResolver,
): Promise<ReadonlySet<string>> {
  const places = await Promise.all(urls.map((url) => placesOf(url, resolver)));
  return new Set(places.flat());
}

async function isAmong(
  places: ReadonlySet<string>,
  url: string,
  resolver: SrvResolver,
): Promise<boolean> {
  return (await placesOf(url, resolver)).some((place) => places.has(place));
}

/** Where a URL leads: scheme, address and port; nothing for a host that has no address. */
async function placesOf(url: string, resolver: SrvResolver): Promise<readonly string[]> {
  const { protocol, hostname, port } = new URL(url);
  const addresses = await resolver.addresses(hostname.replace(/^\[|\]$/g, "")).catch(() => []);
  return addresses.map((address) => `${protocol}${address} ${port}`);
}
