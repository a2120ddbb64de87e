// The mesh: every two members get the two ends of one channel, again after a restart.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemberId } from "../../src/base/brand.ts";
import { Mesh } from "../../src/cluster/mesh.ts";
import { PortLink } from "../../src/transport/port.ts";
import { turnsUntil } from "../support/turns.ts";

const ids = [1n, 2n, 3n].map(MemberId);

test("all members reach all others, also those that were started again", async (t) => {
  const links = new Map(ids.map((id) => [id, new PortLink()]));
  t.after(() => {
    for (const link of links.values()) link.close();
  });
  const heard: string[] = [];
  const listen = (id: MemberId): void => {
    const link = links.get(id) ?? new PortLink();
    link.onFrame = (from) => heard.push(`${from}>${id}`);
  };
  const mesh = new Mesh((member, { peer, port }) => links.get(member)?.attach(peer, port));
  const everyone = ["1>2", "1>3", "2>1", "2>3", "3>1", "3>2"];
  const talk = async (): Promise<void> => {
    heard.length = 0;
    for (const from of ids) for (const to of ids) links.get(from)?.send(to, Uint8Array.of(1));
    await turnsUntil(() => heard.length === 6, "all are heard");
    assert.deepEqual(heard.toSorted(), everyone);
  };
  ids.forEach(listen);
  mesh.connect(ids);
  await talk();
  const second = MemberId(2n);
  links.get(second)?.close();
  mesh.remove(second);
  await turnsUntil(() => links.get(MemberId(1n))?.connected(second) === false, "the loss is seen");
  links.set(second, new PortLink());
  listen(second);
  mesh.redraw(second);
  await talk();
});
