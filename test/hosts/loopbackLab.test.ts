// The loopback's lab itself: what is cut is not heard, in that direction and between those two alone, and
// comes after the mending as TCP would bring it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { LoopbackLab, noLoopbackReason } from "./loopbackLab.ts";

const portOf = (url: string) => ({ host: new URL(url).hostname, port: Number(new URL(url).port) });

/** One end of a connection: what it heard so far, and when it has heard something. */
class End {
  readonly socket: Socket;
  heard = "";

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (text) => {
      this.heard += text;
    });
  }

  async hears(text: string): Promise<void> {
    while (!this.heard.includes(text)) await once(this.socket, "data");
  }
}

test("a loopback lab cuts in one direction and mends", {
  skip: await noLoopbackReason(),
}, async () => {
  await using lab = await LoopbackLab.start(3);
  const server = createServer();
  const { host, port } = portOf(lab.peerListenUrl(2));
  server.listen(port, host);
  await once(server, "listening");
  const calls: Socket[] = [];
  const callFrom = async (from: number): Promise<{ near: End; far: End }> => {
    const near = new End(connect(portOf(lab.peerUrl(2))));
    const taken = once(server, "connection");
    near.socket.write(`GET / HTTP/1.1\r\nX-Quorlet-Peer-Url: ${lab.peerUrl(from)}\r\n\r\n`);
    const [socket] = (await taken) as [Socket];
    calls.push(near.socket, socket);
    const far = new End(socket);
    await far.hears(`${lab.peerUrl(from)}\r\n\r\n`);
    return { near, far };
  };
  try {
    const one = await callFrom(1);
    const three = await callFrom(3);
    await lab.cut(1, 2);
    one.near.socket.write("lost");
    one.far.socket.write("back");
    await one.near.hears("back");
    three.near.socket.write("other");
    await three.far.hears("other");
    assert.ok(!one.far.heard.includes("lost"), "what was said before the others is not heard");
    await lab.mend();
    await one.far.hears("lost");
    await lab.cut(2, 1);
    one.far.socket.write("answer");
    one.near.socket.write("question");
    await one.far.hears("question");
    // A way of its own: an answer that were let through would have come with this one.
    three.far.socket.write("bye");
    await three.near.hears("bye");
    assert.ok(!one.near.heard.includes("answer"), "nor is the answer");
    // Who dials anew is heard, and hears nothing.
    const again = await callFrom(1);
    again.far.socket.write("welcome");
    await lab.mend();
    await one.near.hears("answer");
    await again.near.hears("welcome");
  } finally {
    for (const socket of calls) socket.destroy();
    server.close();
  }
});
