// Refusals of the gRPC layer itself; codes and texts are those of grpc-go, which etcd's clients know.
import { EtcdError, StatusCode } from "../base/errors.ts";

const { deadlineExceeded, internal, invalidArgument, resourceExhausted, unimplemented } =
  StatusCode;

export const errDeadlineExceeded = new EtcdError(deadlineExceeded, "context deadline exceeded");
export const errTruncatedMessage = new EtcdError(internal, "unexpected EOF");
export const errNoRequestMessage = new EtcdError(
  internal,
  "cardinality violation: received no request message from non-client-streaming RPC",
);
export const errManyRequestMessages = new EtcdError(
  internal,
  "cardinality violation: received multiple request messages for non-client-streaming RPC",
);
export const errCompressedFlag = new EtcdError(
  internal,
  "grpc: compressed flag set with identity or empty encoding",
);
/** Ours: too much waits for a client that does not take it. */
export const errAnswerBacklog = new EtcdError(
  resourceExhausted,
  "grpc: too many response bytes wait to be sent",
);
/** Ours: too many unfinished request messages at once. */
export const errRequestBacklog = new EtcdError(
  resourceExhausted,
  "grpc: too many bytes of unfinished request messages",
);

/** Ours: a batch calls a method of the other sort. */
export const errNotUnary = new EtcdError(unimplemented, "grpc: the method is a stream");
export const errNotStream = new EtcdError(unimplemented, "grpc: the method is not a stream");

export const errUnfoldsTooLarge = (bytesMax: number): EtcdError =>
  new EtcdError(
    resourceExhausted,
    `grpc: received message after decompression larger than max ${bytesMax}`,
  );
export const errDecompress = (why: unknown): EtcdError =>
  new EtcdError(internal, `grpc: failed to decompress the received message: ${why}`);
export const errPayloadFormat = (format: number): EtcdError =>
  new EtcdError(internal, `grpc: received unexpected payload format ${format}`);
export const errNoDecompressor = (encoding: string): EtcdError =>
  new EtcdError(
    unimplemented,
    `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(encoding)}`,
  );
export const errMalformedTimeout = (text: string): EtcdError =>
  new EtcdError(internal, `malformed grpc-timeout: ${JSON.stringify(text)}`);
export const errMalformedPath = (path: string): EtcdError =>
  new EtcdError(unimplemented, `malformed method name: ${JSON.stringify(path)}`);
export const errContentType = (contentType: string): EtcdError =>
  new EtcdError(
    invalidArgument,
    `invalid gRPC request content-type: ${JSON.stringify(contentType)}`,
  );
export const errHttpMethod = (method: string): EtcdError =>
  new EtcdError(
    internal,
    `Received a HEADERS frame with :method ${JSON.stringify(method)} which should be POST`,
  );
