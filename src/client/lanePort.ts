// The client's end of a way to one member: a MessagePort or a WebSocket, whole batches on either.

export interface LanePort {
  /** Called with what arrives; anything but bytes comes as undefined. */
  onBatch: (batch: Uint8Array | undefined) => void;
  /** Called once, however it came about. */
  onClose: () => void;
  /** False: nothing that was posted has left, and nothing came. */
  readonly wasOpen: boolean;
  /** Takes the bytes over; before the port is open it keeps them. */
  post(batch: Uint8Array): void;
  close(): void;
  /** Whether the port keeps the program alive. */
  hold(): void;
  release(): void;
}
