// WebSockets of Node, which has none of its own.
import type { IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import type { DialSocket } from "./socketPort.ts";

const handshakeMsMax = 5_000;
/** The longest batch of a member: one huge answer. */
const frameBytesMax = 512 << 20;

export const dialNodeSocket: DialSocket = (url, events) => {
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    handshakeTimeout: handshakeMsMax,
    maxPayload: frameBytesMax,
  });
  let connection: IncomingMessage["socket"] | undefined;
  let isHeld = true;
  let why = "the connection was lost";
  const apply = (): void => {
    if (isHeld) connection?.ref();
    else connection?.unref();
  };
  socket.on("upgrade", (response: IncomingMessage) => {
    connection = response.socket;
    apply();
  });
  socket.on("open", () => events.onOpen());
  socket.on("message", (data: Buffer, isBinary: boolean) =>
    events.onBytes(isBinary ? data : undefined),
  );
  socket.on("error", (error: Error) => {
    why = error.message;
  });
  socket.on("close", () => events.onClose(why));
  return {
    send: (batch) => socket.send(batch, { binary: true, compress: false }),
    close: () => socket.terminate(),
    hold: (held) => {
      isHeld = held;
      apply();
    },
  };
};
