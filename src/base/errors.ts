// The only place where refusals are spelled. Codes and texts are etcd's, byte for byte: clients match on them.

/** gRPC status codes. */
export const StatusCode = {
  ok: 0,
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;
export type StatusCode = (typeof StatusCode)[keyof typeof StatusCode];

/** A request that was refused; the caller sees `code` and `message` as they are. */
export class EtcdError extends Error {
  override readonly name = "EtcdError";
  readonly code: StatusCode;

  constructor(code: StatusCode, message: string) {
    super(message);
    this.code = code;
  }
}

// A refusal is an answer, not an accident: one frozen object each, made without a stack trace.
function refusal(code: StatusCode, message: string): EtcdError {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = new EtcdError(code, message);
  Error.stackTraceLimit = limit;
  return error;
}

const { invalidArgument, notFound, failedPrecondition, outOfRange } = StatusCode;
const { resourceExhausted, unavailable, unknown, unimplemented, dataLoss } = StatusCode;

// Key-value.
export const errEmptyKey = refusal(invalidArgument, "etcdserver: key is not provided");
export const errKeyNotFound = refusal(invalidArgument, "etcdserver: key not found");
export const errValueProvided = refusal(invalidArgument, "etcdserver: value is provided");
export const errLeaseProvided = refusal(invalidArgument, "etcdserver: lease is provided");
export const errTooManyOps = refusal(
  invalidArgument,
  "etcdserver: too many operations in txn request",
);
export const errDuplicateKey = refusal(
  invalidArgument,
  "etcdserver: duplicate key given in txn request",
);
export const errInvalidSortOption = refusal(invalidArgument, "etcdserver: invalid sort option");
export const errCompacted = refusal(
  outOfRange,
  "etcdserver: mvcc: required revision has been compacted",
);
export const errFutureRevision = refusal(
  outOfRange,
  "etcdserver: mvcc: required revision is a future revision",
);
export const errNoSpace = refusal(resourceExhausted, "etcdserver: mvcc: database space exceeded");
export const errCorrupt = refusal(dataLoss, "etcdserver: corrupt cluster");
export const errRequestTooLarge = refusal(invalidArgument, "etcdserver: request is too large");
// Declared as RESOURCE_EXHAUSTED, but etcd's own mapping lets it out as UNKNOWN; clients see 2.
export const errTooManyRequests = refusal(unknown, "etcdserver: too many requests");

// Leases.
export const errLeaseNotFound = refusal(notFound, "etcdserver: requested lease not found");
export const errLeaseExists = refusal(failedPrecondition, "etcdserver: lease already exists");
export const errLeaseTtlTooLarge = refusal(outOfRange, "etcdserver: too large lease TTL");

// Membership.
export const errMemberExists = refusal(failedPrecondition, "etcdserver: member ID already exist");
export const errPeerUrlExists = refusal(failedPrecondition, "etcdserver: Peer URLs already exists");
// Declared as FAILED_PRECONDITION; etcd's own mapping lets it out as UNKNOWN.
export const errNotEnoughStarted = refusal(
  unknown,
  "etcdserver: re-configuration failed due to not enough started members",
);
export const errMemberBadUrls = refusal(
  invalidArgument,
  "etcdserver: given member URLs are invalid",
);
export const errMemberNotFound = refusal(notFound, "etcdserver: member not found");
export const errMemberNotLearner = refusal(
  failedPrecondition,
  "etcdserver: can only promote a learner member",
);
export const errLearnerNotReady = refusal(
  failedPrecondition,
  "etcdserver: can only promote a learner member which is in sync with leader",
);
export const errTooManyLearners = refusal(
  failedPrecondition,
  "etcdserver: too many learner members in cluster",
);
export const errUnhealthy = refusal(unavailable, "etcdserver: unhealthy cluster");
export const errBadLeaderTransferee = refusal(
  failedPrecondition,
  "etcdserver: bad leader transferee",
);
export const errTimeoutLeaderTransfer = refusal(
  unknown,
  "etcdserver: request timed out, leader transfer took too long",
);
/** INVALID_ARGUMENT: a change of several members that cannot be; the text is ours, etcd has none. */
export const errImpossibleChange = (why: string): EtcdError =>
  refusal(invalidArgument, `etcdserver: impossible change of membership: ${why}`);

/** UNKNOWN: as etcd lets out what its disk says. */
export const errDefragmentFailed = (why: string): EtcdError =>
  refusal(unknown, `etcdserver: cannot defragment: ${why}`);

// Availability.
/** UNAVAILABLE as in etcd 3.5, so that its clients try another member; FAILED_PRECONDITION since 3.6. */
export const errLearnerRefuses = refusal(unavailable, "etcdserver: rpc not supported for learner");
export const errNoLeader = refusal(unavailable, "etcdserver: no leader");
export const errNotLeader = refusal(failedPrecondition, "etcdserver: not leader");
export const errLeaderChanged = refusal(unavailable, "etcdserver: leader changed");
export const errStopped = refusal(unavailable, "etcdserver: server stopped");
export const errTimeout = refusal(unavailable, "etcdserver: request timed out");
export const errTimeoutLeaderFail = refusal(
  unavailable,
  "etcdserver: request timed out, possibly due to previous leader failure",
);
export const errTimeoutConnectionLost = refusal(
  unavailable,
  "etcdserver: request timed out, possibly due to connection lost",
);

export const errCanceled = refusal(StatusCode.canceled, "etcdserver: request canceled");

// Watches: texts of cancel reasons, which etcd sends without its usual prefix.
export const reasonEmptyRange = "mvcc: watcher range is empty";
export const reasonDuplicateId = "mvcc: duplicate watch ID provided on the WatchStream";
/** Ours: etcd knows no such bound. */
export const reasonTooManyWatchers = "etcdserver: too many watchers";

// Locks and elections. Whatever goes wrong inside these services, etcd lets out as UNKNOWN.
export const errElectionNotLeader = refusal(unknown, "election: not leader");
export const errElectionNoLeader = refusal(unknown, "election: no leader");
export const errMutexExpired = refusal(unknown, "mutex: session is expired");
/** The text is ours: etcd lets such a candidate win. */
export const errElectionExpired = refusal(unknown, "election: session is expired");
export const errNoLeaderKey = refusal(unknown, '"leader" field must be provided');
/** UNKNOWN: the text of what was refused inside. */
export const errInside = (error: EtcdError): EtcdError => refusal(unknown, error.message);

// Users and roles, of which there are none.
export const errRootUserNotExist = refusal(
  failedPrecondition,
  "etcdserver: root user does not exist",
);
export const errUserEmpty = refusal(invalidArgument, "etcdserver: user name is empty");
export const errUserNotFound = refusal(failedPrecondition, "etcdserver: user name not found");
export const errRoleEmpty = refusal(invalidArgument, "etcdserver: role name is empty");
export const errRoleNotFound = refusal(failedPrecondition, "etcdserver: role name not found");
export const errPermissionNotGiven = refusal(invalidArgument, "etcdserver: permission not given");
export const errInvalidAuthManagement = refusal(
  invalidArgument,
  "etcdserver: invalid auth management",
);
export const errAuthNotEnabled = refusal(
  failedPrecondition,
  "etcdserver: authentication is not enabled",
);
/** The text is ours. */
export const errAuthUnsupported = refusal(
  unimplemented,
  "etcdserver: users and roles are not supported",
);

// Downgrades, which there are none of: etcd's texts for what it refuses too, the last is ours.
export const errDowngradeVersionFormat = refusal(
  invalidArgument,
  "etcdserver: wrong downgrade target version format",
);
export const errDowngradeTarget = refusal(
  invalidArgument,
  "etcdserver: invalid downgrade target version",
);
export const errNoDowngrade = refusal(failedPrecondition, "etcdserver: no inflight downgrade job");
export const errDowngradeAction = refusal(unknown, "etcdserver: unknown method");
export const errDowngradeUnsupported = refusal(
  unimplemented,
  "etcdserver: a downgrade is not supported",
);

// Maintenance. The texts are ours: etcd ends its process at an unknown kind, and keeps all alarms.
export const errUnknownAlarm = refusal(invalidArgument, "etcdserver: unknown alarm or action");
export const errTooManyAlarms = refusal(resourceExhausted, "etcdserver: too many alarms");
/** UNAVAILABLE; the text is ours: a store that grows lets go of the state that was being sent. */
export const errSnapshotCut = refusal(unavailable, "etcdserver: snapshot cut off, ask again");

// Health service.
export const errUnknownService = refusal(notFound, "unknown service");

/** UNIMPLEMENTED for a method of a known service. */
export const errUnknownMethod = (service: string, method: string): EtcdError =>
  refusal(unimplemented, `unknown method ${method} for service ${service}`);
/** UNIMPLEMENTED for a service that is not served. */
export const errServiceNotServed = (service: string): EtcdError =>
  refusal(unimplemented, `unknown service ${service}`);
/** RESOURCE_EXHAUSTED: a gRPC message above the receive limit; sizes in bytes. */
export const errMessageTooLarge = (size: number, sizeMax: number): EtcdError =>
  refusal(resourceExhausted, `grpc: received message larger than max (${size} vs. ${sizeMax})`);
/** RESOURCE_EXHAUSTED: an answer above the send limit; sizes in bytes. */
export const errAnswerTooLarge = (size: number, sizeMax: number): EtcdError =>
  refusal(
    resourceExhausted,
    `grpc: trying to send message larger than max (${size} vs. ${sizeMax})`,
  );
/** INTERNAL: the request bytes are not a message of the expected type. */
export const errMalformed = (why: string): EtcdError =>
  refusal(StatusCode.internal, `grpc: error unmarshalling request: ${why}`);
