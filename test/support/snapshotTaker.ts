// Takes a member's snapshot as a caller that can stop reading.
import assert from "node:assert/strict";
import type { EtcdError } from "../../src/base/errors.ts";
import type { MemberService } from "../../src/member/service.ts";
import type { SnapshotRun, SnapshotSink } from "../../src/member/snapshotRequests.ts";

export class SnapshotTaker implements SnapshotSink {
  readonly #parts: Buffer[] = [];
  readonly #run: SnapshotRun;
  /** Pieces that are taken before the next `resume`. */
  room: number;
  fileBytes: number | undefined;
  isEnded = false;
  error: EtcdError | undefined;

  constructor(member: Pick<MemberService, "snapshots">, room = Number.POSITIVE_INFINITY) {
    this.room = room;
    this.#run = member.snapshots.open(this);
  }

  get file(): Buffer {
    return Buffer.concat(this.#parts);
  }

  get pieces(): number {
    return this.#parts.length;
  }

  onBegin(fileBytes: number): void {
    assert.ok(this.#isOpen && this.fileBytes === undefined);
    this.fileBytes = fileBytes;
  }

  onBytes(bytes: Uint8Array): boolean {
    assert.ok(this.#isOpen && this.room > 0 && this.fileBytes !== undefined);
    this.#parts.push(Buffer.from(bytes));
    return --this.room > 0;
  }

  onEnd(): void {
    assert.ok(this.#isOpen);
    this.isEnded = true;
  }

  onRefused(error: EtcdError): void {
    assert.ok(this.#isOpen);
    this.error = error;
  }

  resume(room: number): void {
    this.room = room;
    this.#run.resume();
  }

  cancel(): void {
    this.#run.cancel();
  }

  get #isOpen(): boolean {
    return !this.isEnded && this.error === undefined;
  }
}
