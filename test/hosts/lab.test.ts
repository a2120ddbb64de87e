// The lab itself: harm is real, in one direction, and nothing of it stays behind.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { suite, test } from "node:test";
import { Child } from "../support/child.ts";
import { Lab, noLabReason } from "./lab.ts";

const waitMsMax = 30_000;
const port = 9_999;

/** Prints what it is told, and says it to the one that it is told to say it to. */
const speaker = `
const socket = require("node:dgram").createSocket("udp4");
socket.on("message", (text) => {
  console.log("heard " + text);
  const [to, ...rest] = String(text).split(" ");
  if (rest.length > 0) socket.send(rest.join(" "), ${port}, to);
});
socket.bind(${port}, () => console.log("listens"));
`;

suite("a lab", { skip: noLabReason() }, () => {
  test("cuts in one direction, loses a share, and mends", async () => {
    await using lab = await Lab.start(2);
    const socket = createSocket("udp4");
    const children = [1, 2].map((host) => {
      const [command = "", ...args] = lab.on(host, [process.execPath, "-e", speaker]);
      return new Child({ command, args });
    });
    try {
      const listens = { pattern: /^listens$/, timeoutMs: waitMsMax };
      await Promise.all(children.map((child) => child.line(listens)));
      const [one, two] = children;
      assert.ok(one && two);
      const tell = teller(socket, lab);
      await tell(1, `${lab.address(2)} hello`);
      await two.line({ pattern: /^heard hello$/, timeoutMs: waitMsMax });
      await lab.cut(1, 2);
      await tell(1, `${lab.address(2)} lost`);
      await one.line({ pattern: /lost$/, timeoutMs: waitMsMax });
      await tell(2, `${lab.address(1)} back`);
      await one.line({ pattern: /^heard back$/, timeoutMs: waitMsMax });
      await lab.mend();
      await tell(1, `${lab.address(2)} whole`);
      await two.line({ pattern: /^heard whole$/, timeoutMs: waitMsMax });
      assert.doesNotMatch(two.output, /heard lost/, "what came later is there, this is not");
      await lab.lose(1, 50);
      for (let i = 0; i < 200; i++) await tell(1, `${lab.address(2)} many`);
      await lab.mend();
      await tell(1, `${lab.address(2)} end`);
      await two.line({ pattern: /^heard end$/, timeoutMs: waitMsMax });
      const heard = two.output.match(/many/g)?.length ?? 0;
      assert.ok(heard > 50 && heard < 150, `${heard} of 200`);
    } finally {
      socket.close();
      await Promise.all(children.map((child) => child.kill9()));
    }
  });

  test("leaves nothing behind, whatever happened", async () => {
    const broken = async (): Promise<void> => {
      await using lab = await Lab.start(2);
      throw new Error(`in ${lab.address(1)}`);
    };
    await assert.rejects(broken());
    const text = ["netns", "link"].map((what) => execFileSync("ip", [what], { encoding: "utf8" }));
    assert.doesNotMatch(text.join("\n"), new RegExp(`\\bq${process.pid}(n|v|br)`));
  });
});

/** Says something to a host, from outside. */
function teller(socket: Socket, lab: Lab): (host: number, text: string) => Promise<void> {
  return async (host, text) => {
    const sent = once(socket, "sent");
    socket.send(text, port, lab.address(host), (error) => socket.emit("sent", error));
    await sent;
  };
}
