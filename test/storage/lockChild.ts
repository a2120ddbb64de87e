// A process that locks a directory, says so, and waits to be killed.
import { type LockKind, lockDirectory } from "../../src/storage/dataDirLock.ts";

const [, , directory = "", kind] = process.argv;
const lockKind: LockKind = kind === "file" ? "file" : "socket";
await lockDirectory(directory, lockKind);
process.stdout.write("locked\n");
setInterval(() => {}, 60_000);
