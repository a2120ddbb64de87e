// Maintenance.Snapshot: the file of the member's state in messages, each with what is still to come, and
// behind them one with the SHA-256 of all. Headers are left out, as etcd does.
import { createHash } from "node:crypto";
import { type EtcdError, errMalformed } from "../base/errors.ts";
import type { StreamCall, StreamHandler } from "../grpc/call.ts";
import type { SnapshotRequests, SnapshotRun, SnapshotSink } from "../member/snapshotRequests.ts";
import { decodeEmptyRequest, encodeSnapshotResponse } from "../proto/maintenanceCodec.ts";
import type { Writer } from "../proto/writer.ts";

export class SnapshotCall implements StreamHandler, SnapshotSink {
  readonly #snapshots: SnapshotRequests;
  readonly #call: StreamCall;
  readonly #writer: Writer;
  readonly #hash = createHash("sha256");
  #run: SnapshotRun | undefined;
  #remainingBytes = 0;

  constructor(snapshots: SnapshotRequests, call: StreamCall, writer: Writer) {
    this.#snapshots = snapshots;
    this.#call = call;
    this.#writer = writer;
  }

  onMessage(message: Uint8Array): void {
    // One request; the server of grpc-go looks at no other.
    if (this.#run !== undefined) return;
    const fault = decodeEmptyRequest(message);
    if (fault !== undefined) this.#call.fail(errMalformed(fault.why));
    else this.#run = this.#snapshots.open(this);
  }

  onHalfClose(): void {}

  onDrain(): void {
    this.#run?.resume();
  }

  onCancel(): void {
    this.#run?.cancel();
  }

  onBegin(fileBytes: number): void {
    this.#remainingBytes = fileBytes;
  }

  onBytes(bytes: Uint8Array): boolean {
    this.#hash.update(bytes);
    this.#remainingBytes -= bytes.length;
    return this.#write(bytes);
  }

  onEnd(): void {
    this.#write(this.#hash.digest());
    this.#call.end();
  }

  onRefused(error: EtcdError): void {
    this.#call.fail(error);
  }

  #write(blob: Uint8Array): boolean {
    return this.#call.write(encodeSnapshotResponse(this.#writer, this.#remainingBytes, blob));
  }
}
