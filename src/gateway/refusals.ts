// How a refusal looks over HTTP: etcd's status, and a body that clients of every generation can read.
import { EtcdError, StatusCode } from "../base/errors.ts";
import { type HttpReply, jsonType } from "./exchange.ts";

const httpStatuses: Readonly<Record<StatusCode, number>> = {
  [StatusCode.ok]: 200,
  [StatusCode.canceled]: 499,
  [StatusCode.unknown]: 500,
  [StatusCode.invalidArgument]: 400,
  [StatusCode.deadlineExceeded]: 504,
  [StatusCode.notFound]: 404,
  [StatusCode.alreadyExists]: 409,
  [StatusCode.permissionDenied]: 403,
  [StatusCode.resourceExhausted]: 429,
  [StatusCode.failedPrecondition]: 400,
  [StatusCode.aborted]: 409,
  [StatusCode.outOfRange]: 400,
  [StatusCode.unimplemented]: 501,
  [StatusCode.internal]: 500,
  [StatusCode.unavailable]: 503,
  [StatusCode.dataLoss]: 500,
  [StatusCode.unauthenticated]: 401,
};

export const errDeadlineExceeded = new EtcdError(
  StatusCode.deadlineExceeded,
  "context deadline exceeded",
);
export const errNotFound = new EtcdError(StatusCode.notFound, "Not Found");
export const errMethodNotAllowed = new EtcdError(StatusCode.unimplemented, "Method Not Allowed");
/** Ours: too many unfinished bodies at once. */
export const errBodyBacklog = new EtcdError(
  StatusCode.resourceExhausted,
  "too many bytes of unfinished requests",
);
/** For what is no HTTP/1.1, or is not complete in time: the whole answer. */
export const badRequest = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";
export const errTimeout = (text: string): EtcdError =>
  new EtcdError(StatusCode.invalidArgument, `invalid grpc-timeout: ${text}`);

export function httpStatusOf(error: EtcdError): number {
  return httpStatuses[error.code];
}

/** Clients of 3.4 read `error`, later ones `message`. */
export function refusalBody({ code, message }: EtcdError): string {
  return JSON.stringify({ error: message, message, code });
}

/** The last line of a stream. */
export function streamRefusal({ code, message }: EtcdError): string {
  return `${JSON.stringify({ error: { code, message, grpc_code: code } })}\n`;
}

export function refuse(reply: HttpReply, error: EtcdError): void {
  const challenge =
    error.code === StatusCode.unauthenticated
      ? ([["WWW-Authenticate", error.message]] as const)
      : [];
  reply.whole(httpStatusOf(error), [jsonType, ...challenge], refusalBody(error));
}
