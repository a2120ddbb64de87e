// The member's end of a way to one client: a MessagePort or a WebSocket, whole batches on either.
import type { MessagePort } from "node:worker_threads";
import { postBytes } from "../transport/postBytes.ts";

/** So much may be posted and not taken while more of a long answer is posted. */
export const postedBytesMax = 1 << 20;

export interface DoorPort {
  /** Delivers from now on; what came before was kept. Anything but bytes comes as undefined. */
  listen(onBatch: (batch: Uint8Array | undefined) => void): void;
  /** Called once, however it came about. */
  onClose(closed: () => void): void;
  /** Takes the bytes over. */
  post(batch: Uint8Array): void;
  /** Called when what is posted and not taken has become little. */
  onRoom(hasRoom: () => void): void;
  /** Posted and not taken by the other side, as far as that can be known. */
  readonly backlogBytes: number;
  close(): void;
}

export function overMessagePort(port: MessagePort): DoorPort {
  return {
    listen(onBatch) {
      port.on("message", (message: unknown) =>
        onBatch(message instanceof Uint8Array ? message : undefined),
      );
    },
    onClose: (closed) => void port.on("close", closed),
    post: (batch) => postBytes(port, batch),
    // The other end belongs to this program.
    onRoom: () => {},
    backlogBytes: 0,
    close: () => port.close(),
  };
}
