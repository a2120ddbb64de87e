// Several runs of the benchmark in one process, one after the other: built entry, runs as JSON.
const [, , cli, runs] = process.argv;
const { runBenchCommand } = await import(cli);
for (const args of JSON.parse(runs)) await runBenchCommand(args);
