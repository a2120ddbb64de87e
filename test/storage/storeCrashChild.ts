// A process that puts an image, or a store built anew, in place of its own, and kills itself at the step
// that it is told.
//   storeCrashChild.ts DIRECTORY STEP [anew]
import { LogIndex, Term } from "../../src/base/brand.ts";
import { Table, type TableRow } from "../../src/storage/engine.ts";
import { openLmdbHome } from "../../src/storage/lmdbHome.ts";
import { finished, homeOptions } from "./storeFixture.ts";

const [, , directory = "", step = "", what = "image"] = process.argv;
const home = openLmdbHome(
  homeOptions(directory, {
    onStep: (reached) => {
      if (reached === step) process.kill(process.pid, "SIGKILL");
    },
  }),
);

const rows = (value: string): TableRow[] =>
  Array.from({ length: 3000 }, (_, i) => ({
    table: Table.key,
    key: Buffer.from(`key ${10_000 + i}`),
    value: Buffer.from(value.repeat(20)),
  }));

await finished((done) => home.engine.submit({ puts: rows("old."), deletes: [] }, done));
const incoming = home.begin();
await finished((done) => incoming.add(rows("new."), done));
await finished((done) => incoming.finish({ index: LogIndex(9), term: Term(1) }, done));
await finished((done) => (what === "anew" ? incoming.replace(done) : incoming.commit(done)));
await home.close();
process.stdout.write("done\n");
