// The state of a member whose disk lost what it had acknowledged: nothing of it may be read.
import { errNoLeader } from "../base/errors.ts";
import type { StateReader } from "./service.ts";

export function refusing({ revision }: StateReader): StateReader {
  const refuse = (): never => {
    throw errNoLeader;
  };
  return { revision, range: refuse, beginRange: refuse, stepRange: refuse, readTxn: refuse };
}
