// Who a member process is: one of those that a cluster begins with, by its flags, or one that was added
// to a cluster that runs, which then says under which id. What its data directory says comes first.
import { MemberId } from "../base/brand.ts";
import { inspectDataDir } from "../storage/dataDir.ts";
import { askForMembers } from "../transport/memberQuestion.ts";
import type { PeerTls } from "../transport/peerTls.ts";
import { linkUrl } from "./address.ts";
import { type ClusterSeed, type MemberSeed, seedMembers } from "./identity.ts";
import { StartError } from "./startError.ts";

export interface WantedMember {
  readonly name: string;
  /** All of the initial cluster, `name` among them. */
  readonly members: readonly Omit<MemberSeed, "id">[];
  readonly token: string;
  readonly dataDir: string;
  readonly initialState: "new" | "existing";
  /** What its directory says counts, not the list: the others are lost. */
  readonly forceAlone?: boolean;
  /** For peers with https URLs. */
  readonly tls?: PeerTls;
}

export interface PlannedMember {
  readonly seed: ClusterSeed;
  readonly self: MemberSeed;
}

/**
 * @throws {StartError} when nobody knows this member, or somebody knows it with other data.
 * @throws {DataDirError} when the directory cannot be used.
 */
export async function planMember(wanted: WantedMember): Promise<PlannedMember> {
  const { name, dataDir, initialState } = wanted;
  const found = await inspectDataDir(dataDir);
  if (found.kind === "ours") {
    const own = found.marker.members.find((member) => member.name === name);
    if (own?.joined === true) return rejoining(wanted, found.marker.clusterId, own.id);
    if (own !== undefined && wanted.forceAlone === true) {
      const planned = begun(wanted);
      if (planned.seed.clusterId === found.marker.clusterId) return planned;
      const self = { name, id: own.id, peerUrls: urlsOf(wanted) };
      return { seed: { clusterId: found.marker.clusterId, members: [self] }, self };
    }
  } else if (initialState === "existing") return joining(wanted);
  return begun(wanted);
}

/** One of those that the cluster began or begins with. */
function begun({ name, members, token }: WantedMember): PlannedMember {
  const seed = seedMembers(members, token);
  const self = seed.members.find((member) => member.name === name);
  if (self === undefined) throw new StartError(`--initial-cluster does not name ${name}`);
  return { seed, self };
}

/** The first start of a member that was added. */
async function joining(wanted: WantedMember): Promise<PlannedMember> {
  const { name } = wanted;
  const own = urlsOf(wanted).map(linkUrl);
  const others = wanted.members.filter((member) => member.name !== name);
  // Stock clients add members by http URLs only: as a link, that is the same as ws.
  const isOwn = (url: string): boolean => own.includes(linkUrl(url));
  const selfIn = (seed: ClusterSeed) => seed.members.find(({ peerUrls }) => peerUrls.some(isOwn));
  const running = await askAll(
    others.flatMap(({ peerUrls }) => peerUrls),
    { tls: wanted.tls, isBest: (seed) => selfIn(seed) !== undefined },
  );
  if (running === undefined) {
    throw new StartError(`no member of the initial cluster says who is in the cluster`);
  }
  const self = selfIn(running);
  if (self === undefined) {
    throw new StartError(
      `the cluster does not know ${urlsOf(wanted).join()}: add the member first, then start it`,
    );
  }
  if (self.name !== "") {
    throw new StartError(
      `member ${self.id.toString(16)} has already been bootstrapped, and this data directory is empty: remove it from the cluster and add it again`,
    );
  }
  return { seed: running, self: { ...self, name, joined: true } };
}

/** A later start: its store knows the others, unless it never came so far. */
async function rejoining(
  wanted: WantedMember,
  clusterId: bigint,
  id: MemberId,
): Promise<PlannedMember> {
  const { name, members } = wanted;
  const self = { name, id, peerUrls: urlsOf(wanted), joined: true };
  const others = members.filter((member) => member.name !== name);
  const running = await askAll(
    others.flatMap(({ peerUrls }) => peerUrls),
    { tls: wanted.tls, isBest: () => true },
  );
  const known = running?.clusterId === clusterId ? running.members : [];
  return { seed: { clusterId, members: [...known.filter((one) => one.id !== id), self] }, self };
}

const urlsOf = ({ name, members }: WantedMember): readonly string[] =>
  members.find((member) => member.name === name)?.peerUrls ?? [];

/**
 * The first of the best answers, else the first at all: a member that lags does not know yet who was
 * added. Undefined when nobody answers.
 */
async function askAll(
  urls: readonly string[],
  { tls, isBest }: { tls: PeerTls | undefined; isBest: (seed: ClusterSeed) => boolean },
): Promise<ClusterSeed | undefined> {
  const answers = urls.map(async (url) => {
    const members = parseMembers(JSON.parse(await askForMembers(url, tls)));
    return members ?? Promise.reject(new Error(`${url} says nothing about members`));
  });
  const best = answers.map(async (answer) => {
    const seed = await answer;
    return isBest(seed) ? seed : Promise.reject(new Error("another one may know more"));
  });
  return Promise.any(best).catch(() => Promise.any(answers).catch(() => undefined));
}

/** @returns undefined for anything but what a member says. */
export function parseMembers(json: unknown): ClusterSeed | undefined {
  if (!isRecord(json) || !Array.isArray(json.members)) return undefined;
  const clusterId = idOf(json.clusterId);
  const members = json.members.map(parseMember);
  if (clusterId === undefined || members.length === 0) return undefined;
  const known = members.filter((member) => member !== undefined);
  return known.length === members.length ? { clusterId, members: known } : undefined;
}

function parseMember(json: unknown): MemberSeed | undefined {
  if (!isRecord(json)) return undefined;
  const { name, peerUrls } = json;
  const id = idOf(json.id);
  if (id === undefined || typeof name !== "string" || !Array.isArray(peerUrls)) return undefined;
  const urls = peerUrls.filter((url): url is string => typeof url === "string");
  return urls.length === peerUrls.length ? { id: MemberId(id), name, peerUrls: urls } : undefined;
}

function idOf(value: unknown): bigint | undefined {
  return typeof value === "string" && /^[0-9a-f]{1,16}$/.test(value)
    ? BigInt(`0x${value}`)
    : undefined;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;
