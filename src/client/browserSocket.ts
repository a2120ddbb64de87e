// WebSockets of a browser, or of whatever else has them as a global.
import type { DialSocket } from "./socketPort.ts";

/** The part of a browser's WebSocket that is used. */
interface WebSocketLike {
  binaryType: string;
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onclose: ((event: { readonly reason?: string }) => void) | null;
  onerror: (() => void) | null;
  send(bytes: Uint8Array): void;
  close(): void;
}

export type WebSocketClass = new (url: string) => WebSocketLike;

export function dialWith(Socket: WebSocketClass): DialSocket {
  return (url, events) => {
    const socket = new Socket(url);
    let isOpen = false;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      isOpen = true;
      events.onOpen();
    };
    socket.onmessage = ({ data }) =>
      events.onBytes(data instanceof ArrayBuffer ? new Uint8Array(data) : undefined);
    socket.onclose = ({ reason }) =>
      events.onClose(reason || (isOpen ? "the connection was lost" : "it cannot be reached"));
    // A browser tells nothing here, and `onclose` follows.
    socket.onerror = () => {};
    return {
      send: (batch) => socket.send(batch),
      close: () => socket.close(),
      hold() {},
    };
  };
}
