// The time since the process began, for the parts of this room that only need to tell how much has passed.
import type { Clock } from "../base/ports.ts";

export const steadyClock: Clock = { nowMs: () => performance.now() };
