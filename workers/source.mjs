// Development only: lets a worker thread run TypeScript. The built member.js needs nothing of it.
import { register } from "tsx/esm/api";

register();
await import("./member.ts");
