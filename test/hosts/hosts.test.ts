// Clusters on several hosts: networks of their own where these may be made, else addresses of the loopback
// with proxies between them. QUORLET_SEED chooses the harm, QUORLET_HOSTS_BLOWS how much of it, and
// QUORLET_HOSTS=loopback leaves out the networks.
import { suite, test } from "node:test";
import { Lab, noLabReason } from "./lab.ts";
import { LoopbackLab, noLoopbackReason } from "./loopbackLab.ts";
import { hardTimes, wholeLife } from "./scenario.ts";

const seed = Number(process.env.QUORLET_SEED ?? 1);
const blowCount = Number(process.env.QUORLET_HOSTS_BLOWS ?? 8);
const isLoopbackWanted = process.env.QUORLET_HOSTS === "loopback";
const noLab = isLoopbackWanted ? "QUORLET_HOSTS says loopback" : noLabReason();
const noLoopback = await noLoopbackReason();

suite("hosts that are networks apart", { skip: noLab }, () => {
  test(`keep every promise (seed ${seed})`, async (t) => {
    await using site = await Lab.start(5);
    await wholeLife({ site, seed, blowCount, note: (what) => t.diagnostic(what) });
  });
});

suite("hosts that are addresses apart", { skip: noLoopback }, () => {
  const isAll = noLab !== false;
  const life = isAll ? "all their life" : "in hard times";
  test(`keep every promise, ${life} (seed ${seed})`, async (t) => {
    await using site = await LoopbackLab.start(isAll ? 5 : 3);
    const note = (what: string): void => t.diagnostic(what);
    if (isAll) await wholeLife({ site, seed, blowCount, note });
    else await hardTimes({ site, seed, note });
  });
});
