// host:port as users write it.

export interface Address {
  readonly host: string;
  /** 0 where one listens: any free port. */
  readonly port: number;
}

/** IPv6 addresses stand in brackets, as in URLs. */
export function addressText({ host, port }: Address): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** @returns undefined when `text` is no host:port. */
export function parseAddress(text: string): Address | undefined {
  const [, bracketed, plain, port] =
    /^(?:\[([0-9a-f:.]+)\]|([\w.-]+)):(\d{1,5})$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535) return undefined;
  return { host, port: Number(port) };
}

/** Where a link to the peer with this URL is dialled: etcd's `http` becomes `ws`, with or without TLS. */
export function linkUrl(peerUrl: string): string {
  return peerUrl.replace(/^http/, "ws");
}
