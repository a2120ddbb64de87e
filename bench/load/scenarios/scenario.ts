// What a load consists of: operations that callers run one after the other.
import type { ScenarioOptions } from "../../options.ts";
import type { Caller, OnReply } from "../caller.ts";
import type { LoadTask } from "../generator.ts";
import type { KeyPicker } from "./keys.ts";

export interface Scenario {
  /** True where what is measured is not the call: then the scenario records by itself. */
  readonly recordsItself?: boolean;
  /** Makes what must stand before the first operation. Client i has the caller i. */
  prepare?(callers: readonly Caller[]): Promise<void>;
  /** Starts one operation; `onReply` is called once when it is done. */
  run(client: number, caller: Caller, onReply: OnReply): void;
  /** Waits for what is still to come. @returns what did not, by reason. */
  finish?(): Promise<readonly (readonly [string, number])[]>;
}

export interface Recorder {
  /** @param nowMs by performance.now(). */
  record(latencyMs: number, nowMs: number): void;
}

export interface ScenarioParts {
  readonly task: LoadTask;
  readonly keys: KeyPicker;
  readonly recorder: Recorder;
}

/** A call within a scenario, outside of what is measured. */
export function callOnce(caller: Caller, path: string, message: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    caller.call(path, message, (reply, why) => {
      if (reply === undefined) reject(new Error(`${path}: ${why}`));
      else resolve(Buffer.from(reply));
    });
    caller.flush();
  });
}

export const shapeOf = ({ task }: ScenarioParts): ScenarioOptions => task.scenario;
