// One line on a terminal that tells how far a run is; nothing where nobody looks.
import type { BenchOptions, Verb } from "../options.ts";

const everyMs = 250;

/** @returns what takes a look-up of the count and gives how to stop. */
export function withProgress(
  name: string,
  verb: Verb,
  { total }: Pick<BenchOptions, "total">,
): (done: () => number) => () => void {
  return (done) => {
    if (!process.stderr.isTTY) return () => {};
    const startedMs = performance.now();
    let before = 0;
    const timer = setInterval(() => {
      const count = done();
      const sec = (performance.now() - startedMs) / 1000;
      const perSec = Math.round(((count - before) * 1000) / everyMs);
      before = count;
      const share = Math.min(100, Math.round((100 * count) / total));
      process.stderr.write(
        `\r\x1b[K${name} ${verb} ${share} %  ${count} of ${total}  ${perSec}/s  ${sec.toFixed(1)} s`,
      );
    }, everyMs);
    return () => {
      clearInterval(timer);
      process.stderr.write("\r\x1b[K");
    };
  };
}
