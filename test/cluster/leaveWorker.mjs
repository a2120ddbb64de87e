// Lets a worker run TypeScript: Node 20 takes no loader for its first file.
import { register } from "tsx/esm/api";

register();
await import("./leaveWorker.ts");
