// Changes of membership that the owner of a cluster asks for, over any channel to it.
import { EtcdError, StatusCode } from "../base/errors.ts";
import type { Channel } from "../client/channel.ts";
import { Reader } from "../proto/reader.ts";
import { Writer } from "../proto/writer.ts";

/** @returns the id of the new member. @throws {EtcdError} */
export async function askToAdd(
  channel: Channel,
  { peerUrls, learner }: { readonly peerUrls: readonly string[]; readonly learner: boolean },
): Promise<bigint> {
  const writer = new Writer();
  writer.bool(0x10, learner);
  writer.strings(0x0a, peerUrls);
  const answer = await channel.unary("/etcdserverpb.Cluster/MemberAdd", writer.finish());
  const id = addedId(answer);
  if (id === undefined) throw new EtcdError(StatusCode.internal, "the answer names no member");
  return id;
}

/** @throws {EtcdError} */
export async function askToRemove(channel: Channel, id: bigint): Promise<void> {
  const writer = new Writer();
  writer.id(0x08, id);
  await channel.unary("/etcdserverpb.Cluster/MemberRemove", writer.finish());
}

/** Field 2 of the answer is the member, its field 1 the id. */
function addedId(answer: Uint8Array): bigint | undefined {
  const reader = new Reader(answer);
  let id: bigint | undefined;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag !== 0x12) {
      reader.skip(tag, 0);
      continue;
    }
    const outer = reader.enter();
    for (let inner = reader.tag(); inner !== 0; inner = reader.tag()) {
      if (inner === 0x08) id = reader.uint64Exact();
      else reader.skip(inner, 0);
    }
    reader.leave(outer);
  }
  return reader.fault === undefined ? id : undefined;
}
