// Every file in transcripts/ is one scenario; see verbs.ts for its language.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot } from "../support/paths.ts";
import { runTranscript } from "../support/transcript.ts";
import { newInterpreter } from "./verbs.ts";

const folder = join(projectRoot, "test/raft/transcripts");

for (const name of readdirSync(folder).sort()) {
  test(`transcript ${name}`, () => runTranscript(join(folder, name), newInterpreter()));
}
