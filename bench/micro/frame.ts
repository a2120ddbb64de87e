// Encode and decode of frames: µs an entry, by entries a frame. Run: npx tsx bench/micro/frame.ts
import { pathToFileURL } from "node:url";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import type { AppendMessage } from "../../src/raft/message.ts";
import { EntryKind } from "../../src/raft/types.ts";
import { decodeFrame, FrameWriter } from "../../src/transport/frame.ts";

const from = MemberId(0x1111_2222_3333_4444n);
const to = MemberId(0x5555_6666_7777_8888n);

export interface FrameRow {
  readonly entries: number;
  readonly entryBytes: number;
  readonly microsecondsPerFrame: number;
  readonly microsecondsPerEntry: number;
}

/** @param frames how many frames of each shape; the first tenth warms up and is not counted. */
export function benchFrame(frames: number): readonly FrameRow[] {
  const shapes = [
    { entries: 0, entryBytes: 0 },
    { entries: 1, entryBytes: 300 },
    { entries: 1, entryBytes: 100_000 },
    { entries: 64, entryBytes: 300 },
    { entries: 512, entryBytes: 300 },
  ];
  return shapes.map((shape) => measure(shape, frames));
}

function measure(shape: { entries: number; entryBytes: number }, frames: number): FrameRow {
  const message = appendOf(shape);
  const writer = new FrameWriter();
  let startedMs = performance.now();
  let seen = 0;
  const warmUp = Math.ceil(frames / 10);
  for (let i = 0; i < warmUp + frames; i++) {
    if (i === warmUp) startedMs = performance.now();
    writer.add(message);
    const decoded = decodeFrame({ from, to, bytes: writer.finish() });
    if (decoded.kind === "messages") seen += decoded.messages.length;
  }
  const elapsedUs = (performance.now() - startedMs) * 1_000;
  if (seen !== warmUp + frames) throw new Error("a frame was lost");
  const microsecondsPerFrame = elapsedUs / frames;
  const microsecondsPerEntry = microsecondsPerFrame / Math.max(1, shape.entries);
  return { ...shape, microsecondsPerFrame, microsecondsPerEntry };
}

function appendOf({ entries, entryBytes }: { entries: number; entryBytes: number }): AppendMessage {
  const prevIndex = LogIndex(5_000_000_000);
  const term = Term(7);
  return {
    kind: "append",
    from,
    to,
    term,
    prevIndex,
    prevTerm: term,
    commit: prevIndex,
    entries: Array.from({ length: entries }, (_, i) => ({
      term,
      index: LogIndex(prevIndex + 1 + i),
      kind: EntryKind.normal,
      data: new Uint8Array(entryBytes).fill(i),
    })),
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href)
  console.table(benchFrame(20_000));
