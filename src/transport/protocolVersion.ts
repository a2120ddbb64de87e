// Which versions of the peer protocol a member speaks; docs/wire.md says what each of them is.
//
// Each side names a range, both choose the highest version that they have in common: members of two
// releases run side by side while a cluster is upgraded one by one, if their ranges overlap.

export interface ProtocolVersions {
  readonly min: number;
  readonly max: number;
}

/** What this release speaks. */
export const ownVersions: ProtocolVersions = { min: 1, max: 1 };

/** As the header has it: "1-3", or "1" where that is the only one. */
export const versionsText = ({ min, max }: ProtocolVersions): string =>
  min === max ? `${min}` : `${min}-${max}`;

/** @returns undefined for anything that no member would say. */
export function parseVersions(text: unknown): ProtocolVersions | undefined {
  if (typeof text !== "string") return undefined;
  const [, low, high = low] = /^([1-9]\d{0,3})(?:-([1-9]\d{0,3}))?$/.exec(text) ?? [];
  const [min, max] = [Number(low), Number(high)];
  return low === undefined || min > max ? undefined : { min, max };
}

/** @returns the highest that both speak; undefined when there is none. */
export function commonVersion(one: ProtocolVersions, other: ProtocolVersions): number | undefined {
  const version = Math.min(one.max, other.max);
  return version < Math.max(one.min, other.min) ? undefined : version;
}
