// lease-keepalive: a lease and a stream for each client, and one message after the other that renews it.
import { LeaseId } from "../../../src/base/brand.ts";
import {
  decodeLeaseTtlResponse,
  encodeLeaseGrantRequest,
  encodeLeaseIdRequest,
} from "../../../src/proto/leaseCodec.ts";
import { Malformed } from "../../../src/proto/reader.ts";
import { Writer } from "../../../src/proto/writer.ts";
import type { Caller, MessageStream, OnReply } from "../caller.ts";
import { callOnce, type Scenario, type ScenarioParts } from "./scenario.ts";

const grantPath = "/etcdserverpb.Lease/LeaseGrant";
const keepAlivePath = "/etcdserverpb.Lease/LeaseKeepAlive";
const ttlSec = 600;

interface Renewal {
  readonly stream: MessageStream;
  readonly message: Uint8Array;
  onReply: OnReply | undefined;
}

export function leaseScenario(_parts: ScenarioParts): Scenario {
  let renewals: readonly Renewal[] = [];
  return {
    async prepare(callers) {
      renewals = await Promise.all(callers.map((caller) => renewalOn(caller)));
      for (const caller of callers) caller.flush();
    },
    run(client, _caller, onReply) {
      const renewal = renewals[client];
      if (renewal === undefined) throw new Error(`client ${client} has no lease`);
      renewal.onReply = onReply;
      renewal.stream.send(renewal.message);
    },
  };
}

async function renewalOn(caller: Caller): Promise<Renewal> {
  const writer = new Writer();
  const grant = encodeLeaseGrantRequest(writer, { id: LeaseId(0n), ttlSec });
  const granted = decodeLeaseTtlResponse(await callOnce(caller, grantPath, grant));
  if (granted instanceof Malformed) throw new Error(`${grantPath}: ${granted.why}`);
  const answer = (reply: Uint8Array | undefined, why: string): void => {
    const { onReply } = renewal;
    renewal.onReply = undefined;
    onReply?.(reply, why);
  };
  const renewal: Renewal = {
    message: Uint8Array.from(encodeLeaseIdRequest(writer, { id: granted.id })),
    stream: caller.stream(keepAlivePath, {
      onMessage: (message) => {
        const renewed = decodeLeaseTtlResponse(message);
        const isAlive = !(renewed instanceof Malformed) && renewed.ttlSec > 0;
        answer(isAlive ? message : undefined, "the lease is gone");
      },
      onEnd: (why) => answer(undefined, why || "the stream ended"),
    }),
    onReply: undefined,
  };
  return renewal;
}
