// URLs as etcd's flags take them: a scheme and host:port, nothing else.
import { type Address, parseAddress } from "../cluster/address.ts";
import { ConfigError } from "./configError.ts";

const schemes = ["http", "https", "ws", "wss"] as const;
export type Scheme = (typeof schemes)[number];

export interface ServerUrl {
  /** As the user wrote it: ids are made of this. */
  readonly text: string;
  readonly scheme: Scheme;
  readonly address: Address;
  readonly isTls: boolean;
}

/** @throws {ConfigError} that names the flag. */
export function parseServerUrl(flag: string, text: string): ServerUrl {
  const [, scheme = "", rest = ""] = /^([a-z]+):\/\/([^/]*)\/?$/i.exec(text) ?? [];
  const known = schemes.find((one) => one === scheme.toLowerCase());
  if (known === undefined) {
    throw new ConfigError(
      scheme === ""
        ? `--${flag}: "${text}" must be http://host:port`
        : `--${flag}: URL scheme must be http, https, ws or wss: ${text}`,
    );
  }
  const address = parseAddress(rest);
  if (address === undefined) {
    throw new ConfigError(`--${flag}: URL address does not have the form "host:port": ${text}`);
  }
  const isTls = known === "https" || known === "wss";
  return { text, scheme: known, address, isTls };
}

/** True for addresses that one can listen on but not call. */
export const isWildcard = (host: string): boolean => /^(0\.0\.0\.0|[0:]+)$/.test(host);
