// What a member offers to api/ about files of its whole state.
import type { EtcdError } from "../base/errors.ts";

/** Receives one file, in turns of the member. */
export interface SnapshotSink {
  /** Once, before all else. @param fileBytes all that `onBytes` will give. */
  onBegin(fileBytes: number): void;
  /** The bytes that follow, valid only within the call. @returns false: no more until `resume`. */
  onBytes(bytes: Uint8Array): boolean;
  /** The last of the calls. */
  onEnd(): void;
  /** The last of the calls too: before the beginning, also within `open`, or in the middle. */
  onRefused(error: EtcdError): void;
}

export interface SnapshotRun {
  /** The sink takes bytes again. */
  resume(): void;
  /** Nobody wants the rest: the sink hears nothing any more. */
  cancel(): void;
}

export interface SnapshotRequests {
  /** A file of a state that holds everything which is applied here at this moment. */
  open(sink: SnapshotSink): SnapshotRun;
}
