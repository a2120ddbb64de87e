// npm run bench -- VERB [flags]; `quorlet bench` is the same for users of the package.
import { runBenchCommand } from "./cli.ts";

await runBenchCommand(process.argv.slice(2));
