// The store home of a member in the simulator: whatever engine is in use is watched, also after a snapshot.
import type { Engine } from "../../src/storage/engine.ts";
import type { StoreHome } from "../../src/storage/storeHome.ts";

export function homeWith(home: StoreHome, wrap: (engine: Engine) => Engine): StoreHome {
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
    begin: () => home.begin(),
    close: () => home.close(),
  };
}
