// The store home of a member in the simulator: whatever engine is in use is watched, also after a snapshot.
import type { Engine } from "../../src/storage/engine.ts";
import type { IncomingStore, StoreHome } from "../../src/storage/storeHome.ts";
import type { CrashSite } from "./sites.ts";

export function homeWith(
  home: StoreHome,
  wrap: (engine: Engine) => Engine,
  pass: (site: CrashSite) => void = () => {},
): StoreHome {
  let inner = home.engine;
  let outer = wrap(inner);
  return {
    get engine() {
      if (home.engine !== inner) {
        inner = home.engine;
        outer = wrap(inner);
      }
      return outer;
    },
    begin: () => incomingWith(home.begin(), pass),
    close: () => home.close(),
  };
}

/** Its owner may die at every step. */
function incomingWith(incoming: IncomingStore, pass: (site: CrashSite) => void): IncomingStore {
  return {
    add: (rows, done) => {
      pass("image.add");
      incoming.add(rows, done);
    },
    change: (batch, done) => {
      pass("image.add");
      incoming.change(batch, done);
    },
    finish: (at, done) => {
      pass("image.finish");
      incoming.finish(at, (error) => {
        pass("image.finished");
        done(error);
      });
    },
    commit: (done) => {
      pass("image.commit");
      incoming.commit((error) => {
        pass("image.committed");
        done(error);
      });
    },
    replace: (done) => {
      pass("image.commit");
      incoming.replace((error) => {
        pass("image.committed");
        done(error);
      });
    },
    abandon: () => incoming.abandon(),
  };
}
