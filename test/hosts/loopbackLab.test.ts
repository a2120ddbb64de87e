// The loopback's lab itself: what is cut is not heard, in that direction and between those two alone, and
// comes after the mending as TCP would bring it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
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

/** Connections to host 2, and both ends of each. */
class Calls implements AsyncDisposable {
  readonly lab: LoopbackLab;
  readonly #server: Server;
  readonly #sockets: Socket[] = [];

  private constructor(lab: LoopbackLab, server: Server) {
    this.lab = lab;
    this.#server = server;
  }

  static async start(): Promise<Calls> {
    const lab = await LoopbackLab.start(3);
    const server = createServer();
    const { host, port } = portOf(lab.peerListenUrl(2));
    server.listen(port, host);
    await once(server, "listening");
    return new Calls(lab, server);
  }

  /** Resolves when host 2 has heard who calls. */
  async from(host: number): Promise<{ readonly near: End; readonly far: End }> {
    const { lab } = this;
    const near = new End(connect(portOf(lab.peerUrl(2))));
    const taken = once(this.#server, "connection");
    near.socket.write(`GET / HTTP/1.1\r\nX-Quorlet-Peer-Url: ${lab.peerUrl(host)}\r\n\r\n`);
    const [socket] = (await taken) as [Socket];
    this.#sockets.push(near.socket, socket);
    const far = new End(socket);
    await far.hears(`${lab.peerUrl(host)}\r\n\r\n`);
    return { near, far };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await this.lab[Symbol.asyncDispose]();
  }
}

const skip = await noLoopbackReason();
const ways = [
  { name: "what a caller says", from: 1, to: 2 },
  { name: "what a caller is answered", from: 2, to: 1 },
];
for (const { name, from, to } of ways) {
  test(`a loopback lab cuts off ${name}, nothing else, and mends`, { skip }, async () => {
    await using calls = await Calls.start();
    const [one, three] = [await calls.from(1), await calls.from(3)];
    const [speaker, hearer] = from === 1 ? [one.near, one.far] : [one.far, one.near];
    const [another, itsHearer] = from === 1 ? [three.near, three.far] : [three.far, three.near];
    await calls.lab.cut(from, to);
    speaker.socket.write("lost");
    hearer.socket.write("back");
    await speaker.hears("back");
    // What were let through would have come with this one.
    another.socket.write("other");
    await itsHearer.hears("other");
    assert.ok(!hearer.heard.includes("lost"), "what was said before the others is not heard");
    await calls.lab.mend();
    await hearer.hears("lost");
  });
}

test("in a loopback lab who dials anew across a cut is heard, and hears nothing", {
  skip,
}, async () => {
  await using calls = await Calls.start();
  const three = await calls.from(3);
  await calls.lab.cut(2, 1);
  const { near, far } = await calls.from(1);
  far.socket.write("welcome");
  three.far.socket.write("other");
  await three.near.hears("other");
  assert.equal(near.heard, "");
  await calls.lab.mend();
  await near.hears("welcome");
});
